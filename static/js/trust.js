// Trusted Types. htmx knows no policy of its own; this one lets text become HTML, which the
// Content-Security-Policy keeps from acting, and never a script or the address of one.
window.trustedTypes?.createPolicy("default", { createHTML: (html) => html });
