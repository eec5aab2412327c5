// The page of one run: follow the newest step, copy a text, and tell the status in the browser's tab.
"use strict";

(() => {
  // Status in the tab ---------------------------------------------------------------------------

  const MARKS = { running: "▶", completed: "✓", failed: "✕" };
  const COLOURS = { running: "#1f5fae", completed: "#1d6b45", failed: "#a32020" };

  function showStatus() {
    const status = document.querySelector("#run-head .status");
    if (!status) return;
    const name = Object.keys(MARKS).find((known) => status.classList.contains(known));
    const words = document.title.replace(/^[▶✓✕] /u, "");
    document.title = name ? `${MARKS[name]} ${words}` : words;
    const icon = document.querySelector("link[rel=icon]");
    if (!icon || !name) return;
    const picture = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8" fill="${COLOURS[name]}"/><text x="8" y="11.5" font-size="10" text-anchor="middle" fill="#fff">${MARKS[name]}</text></svg>`;
    icon.href = `data:image/svg+xml,${encodeURIComponent(picture)}`;
  }

  // The list of runs tells the beginning of a prompt; the whole comes with the first details.
  function completeTitle() {
    if (document.querySelector("#run-title[data-cut]")) htmx.ajax("GET", location.href, { source: document.body, selectOOB: "#run-title", swap: "none" });
  }

  document.addEventListener("runsheet:changed", ({ target }) => {
    if (target.id !== "run-head") return;
    showStatus();
    completeTitle();
  });
  showStatus();

  // Copy ----------------------------------------------------------------------------------------

  // Browsers let pages copy only over https and on this machine.
  function offerCopies() {
    for (const button of document.querySelectorAll("button[data-copy][hidden]")) button.hidden = !navigator.clipboard;
  }
  document.addEventListener("htmx:load", offerCopies);
  document.addEventListener("runsheet:changed", offerCopies);
  offerCopies();

  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("button[data-copy]");
    const text = button && document.getElementById(button.dataset.copy);
    if (!text) return;
    // What is rendered leaves out closed folds, what is in the source the breaks between blocks.
    await navigator.clipboard.writeText(text.querySelector("details") ? text.textContent : text.innerText);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });

  // The newest step -----------------------------------------------------------------------------

  const list = document.getElementById("steps");
  if (!list || list.hasAttribute("data-filtered") || !document.querySelector("[sse-connect]")) return;

  const follow = document.createElement("label");
  follow.className = "follow";
  follow.innerHTML = '<input type="checkbox"> Follow the newest step';
  const choice = follow.firstChild;
  list.before(follow);

  const newer = document.createElement("button");
  newer.className = "newer";
  newer.type = "button";
  newer.hidden = true;
  list.after(newer);

  let unseen = 0;
  let scrolledTo = scrollY;

  const toEnd = () => list.lastElementChild?.scrollIntoView({ block: "end" });
  const distance = () => (list.lastElementChild?.getBoundingClientRect().bottom || 0) - innerHeight;

  function count(added) {
    unseen = distance() <= 8 ? 0 : unseen + added;
    newer.hidden = !unseen;
    newer.textContent = `${unseen} new step${unseen === 1 ? "" : "s"} ↓`;
  }

  list.addEventListener("runsheet:steps", ({ detail }) => {
    if (choice.checked) toEnd();
    count(detail.added);
  });
  choice.addEventListener("change", () => choice.checked && toEnd());
  newer.addEventListener("click", toEnd);

  // Whoever scrolls up wants to read; a page that grows above does not scroll by itself.
  addEventListener("scroll", () => {
    if (scrollY < scrolledTo - 2 && distance() > 80) choice.checked = false;
    scrolledTo = scrollY;
    if (unseen) count(0);
  }, { passive: true });
})();
