// The share form: words selected in the preview go into the list of what is redacted.
"use strict";

(() => {
  const button = document.getElementById("pick-words");
  const words = document.querySelector("#share-form textarea[name=words]");
  const preview = document.getElementById("preview");
  if (!button || !words || !preview) return;
  let picked = "";

  document.addEventListener("selectionchange", () => {
    const selection = getSelection();
    const isInside = selection.rangeCount > 0 && preview.contains(selection.getRangeAt(0).commonAncestorContainer);
    const text = selection.toString().replace(/\s+/g, " ").trim();
    if (isInside && text) picked = text.slice(0, 200);
    button.hidden = !picked;
    if (picked) button.textContent = `Redact “${picked.length > 30 ? `${picked.slice(0, 29)}…` : picked}”`;
  });

  button.addEventListener("click", () => {
    words.value = [words.value.trim(), picked].filter(Boolean).join("\n");
    document.querySelector("#share-form button[name=preview]").click();
  });
})();
