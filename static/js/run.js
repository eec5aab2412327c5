// The page of one run: its status in the browser's tab, copying, and keeping up with the newest step.
"use strict";

(() => {
  // Status in the tab ---------------------------------------------------------------------------

  const MARKS = { queued: ["◷", "#5a6372"], running: ["▶", "#1f5fae"], completed: ["✓", "#1d6b45"], failed: ["✕", "#a32020"], cancelled: ["⊘", "#5a6372"] };

  function showStatus() {
    const status = document.querySelector("#run-head .status");
    if (!status) return;
    const [mark, colour] = MARKS[Object.keys(MARKS).find((name) => status.classList.contains(name))] || [];
    const words = document.title.replace(/^[◷▶✓✕⊘] /u, "");
    document.title = mark ? `${mark} ${words}` : words;
    if (!mark) return;
    const picture = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8" fill="${colour}"/><text x="8" y="11.5" font-size="10" text-anchor="middle" fill="#fff">${mark}</text></svg>`;
    document.querySelector("link[rel=icon]").href = `data:image/svg+xml,${encodeURIComponent(picture)}`;
  }

  document.addEventListener("runsheet:changed", ({ target }) => {
    if (target.id !== "run-head") return;
    showStatus();
    // The list of runs tells the beginning of a prompt; the whole comes with the first details.
    if (document.querySelector("#run-title[data-cut]")) htmx.ajax("GET", location.href, { source: document.body, selectOOB: "#run-title", swap: "none" });
  });
  showStatus();

  // Copy: browsers let pages copy only over https and on this machine ---------------------------

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

  // The newest step: followed until one scrolls up; while paused, what arrives waits and is counted

  const list = document.getElementById("steps");
  const follow = document.getElementById("follow");
  if (!list || !follow || list.hasAttribute("data-filtered") || !document.querySelector("[sse-connect]")) return;

  const [choice, pause, newer] = [follow.querySelector("input"), follow.querySelector("button"), document.getElementById("newer")];
  const waiting = new Map(); // step's id -> its newest line, while paused
  let isPaused = false;
  let unseen = 0; // steps below the screen that came since one looked there
  let scrolledTo = scrollY;

  const toEnd = () => list.lastElementChild?.scrollIntoView({ block: "end" });
  const distance = () => (list.lastElementChild?.getBoundingClientRect().bottom || 0) - innerHeight;
  const steps = (number) => `${number} new step${number === 1 ? "" : "s"}`;

  function count(added) {
    unseen = distance() <= 8 ? 0 : unseen + added;
    newer.hidden = !unseen;
    newer.textContent = `${steps(unseen)} ↓`;
  }

  function showPause() {
    const fresh = [...waiting.keys()].filter((id) => !document.getElementById(id)).length;
    pause.textContent = isPaused ? `Go on: ${fresh || !waiting.size ? steps(fresh) : "changes"} waiting` : "Pause";
  }

  list.addEventListener("runsheet:arrive", (event) => {
    if (!isPaused) return;
    event.preventDefault();
    for (const item of event.detail.items) waiting.set(item.id, item);
    showPause();
  });
  list.addEventListener("runsheet:steps", ({ detail }) => {
    if (choice.checked) toEnd();
    count(detail.added);
  });
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    const items = [...waiting.values()];
    waiting.clear();
    if (items.length) list.dispatchEvent(new CustomEvent("runsheet:release", { bubbles: true, detail: { items } }));
    showPause();
  });
  choice.addEventListener("change", () => choice.checked && toEnd());
  newer.addEventListener("click", toEnd);
  follow.hidden = false;

  // Whoever scrolls up wants to read; a page that grows above does not scroll by itself.
  addEventListener("scroll", () => {
    if (scrollY < scrolledTo - 2 && distance() > 80) choice.checked = false;
    scrolledTo = scrollY;
    if (unseen) count(0);
  }, { passive: true });
})();
