// Passkeys: forms that the browser's own authenticator fills in (WebAuthn). Their one field that
// counts, `credential`, is what the authenticator answered, as JSON.
"use strict";

(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const named = (list) => (list ?? []).map((known) => ({ ...known, id: bytes(known.id) }));

  function plain(credential) {
    const response = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (credential.response[name]) response[name] = text(credential.response[name]);
    }
    const { id, type, authenticatorAttachment } = credential;
    return { id, type, authenticatorAttachment, response, rawId: text(credential.rawId), clientExtensionResults: credential.getClientExtensionResults() };
  }

  async function create(form, { publicKey }) {
    const alone = form.elements.passwordless.checked;
    const selection = { ...publicKey.authenticatorSelection, residentKey: alone ? "required" : "discouraged", requireResidentKey: alone };
    if (alone) selection.userVerification = "required";
    return navigator.credentials.create({ publicKey: {
      ...publicKey,
      challenge: bytes(publicKey.challenge),
      user: { ...publicKey.user, id: bytes(publicKey.user.id) },
      excludeCredentials: named(publicKey.excludeCredentials),
      authenticatorSelection: selection,
    } });
  }

  const get = ({ publicKey }) => navigator.credentials.get({ publicKey: {
    ...publicKey, challenge: bytes(publicKey.challenge), allowCredentials: named(publicKey.allowCredentials),
  } });

  async function answer(form) {
    if (form.dataset.passkey === "login") {
      const fresh = await fetch(form.action, { headers: { Accept: "application/json" } });
      if (!fresh.ok) throw new Error(fresh.status === 429 ? "Too many tries. Wait for some minutes." : "The site did not answer.");
      return get((await fresh.json()).request_options);
    }
    const options = JSON.parse(form.querySelector("#passkey-options").textContent);
    return form.dataset.passkey === "add" ? create(form, options.creation_options) : get(options.request_options);
  }

  function sentence(error) {
    if (error.name === "NotAllowedError") return "Nothing was confirmed. Try again when your passkey is at hand.";
    if (error.name === "InvalidStateError") return "This passkey is added already.";
    if (error.name === "SecurityError") return "Passkeys need https and the site's own name (or localhost), not a bare address.";
    return error.message;
  }

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    if (!window.PublicKeyCredential) continue;
    form.hidden = false;
    const told = form.querySelector("p.error[role=alert]:last-of-type");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      told.hidden = true;
      try {
        form.elements.credential.value = JSON.stringify(plain(await answer(form)));
        form.submit();
      } catch (error) {
        told.textContent = sentence(error);
        told.hidden = false;
      }
    });
  }
})();
