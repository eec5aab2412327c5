// Trusted Types. htmx parses what the server sends by DOMParser and knows no policy of its own, so
// the default one lets text become HTML, which the Content-Security-Policy keeps from acting.
// What it lacks is the point: no text ever becomes a script or the address of one.
"use strict";

window.trustedTypes?.createPolicy("default", { createHTML: (html) => html });
