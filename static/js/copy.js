// Buttons that copy. Browsers let pages copy only over https and on this machine; where not, no
// button is shown.
if (navigator.clipboard) document.documentElement.dataset.copies = "";

document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.("button[data-copy]");
  const text = button && document.getElementById(button.dataset.copy);
  if (!text) return;
  // What is rendered leaves out closed folds, what is in the source the breaks between blocks.
  await navigator.clipboard.writeText(text.querySelector("details") ? text.textContent : text.innerText);
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 2000);
});
