// The timeline of a run that is under way: steps come into its list, which may be followed or
// paused. live.js says what came ("runsheet:take") and brings what stands here already.

const WINDOW = 100; // steps that the server sends at a time
const find = (selector) => document.querySelector(selector);
const list = find("#steps");
const isFiltered = "filtered" in list.dataset;
let newest = 0; // the last step that we have heard of
const early = []; // lines that came while theirs were on their way, which may be older

const placeOf = (item) => parseInt(item?.id.slice(1)) || 0; // of "s12"
const lines = () => [...list.children].filter((item) => item.dataset.version);
const last = () => placeOf(lines().at(-1));
const turn = () => find("#steps > li.turn.later");

// A row of the record keeps its line, also when it moves or when Case.dev drops it.
const lineOf = ({ id, dataset }) => find(`#steps > li[data-row="${dataset.row}"], #steps > #${CSS.escape(id)}`);

function take(items) {
  let added = 0;
  for (const item of items) {
    const line = lineOf(item);
    newest = Math.max(newest, placeOf(item));
    if (line) htmx.trigger(line, "runsheet:bring", { fresh: item });
    else if (add(item)) added += 1;
    else if (find("#steps .htmx-request")) early.push(item);
  }
  offerRest();
  if (!added) return;
  if (choice.checked) toEnd();
  count(added);
}

// Only where it leaves no gap: what the page does not show yet comes when it is scrolled to.
function add(item) {
  const place = placeOf(item);
  const next = lines().find((line) => placeOf(line) > place);
  if (isFiltered || (next ? next === lines()[0] : turn() || place > last() + 1)) return false;
  htmx.trigger(document, "runsheet:came", { piece: item });
  list.insertBefore(item, next || null);
  htmx.process(item);
  return true;
}

// A turn to the steps that are not shown, as the server makes it.
function offerRest() {
  if (isFiltered) return;
  const end = last();
  list.dataset.last = end;
  list.dataset.complete = turn() || end < newest ? "no" : "yes";
  if (turn() || end >= newest) return;
  list.insertAdjacentHTML("beforeend", `<li class="turn later" hx-get="?after=${end}" hx-trigger="revealed" hx-swap="outerHTML"><span class="n" aria-hidden="true">⋮</span><div class="body"><a href="?at=${end + 1}#s${end + 1}">${newest - end} later steps</a></div></li>`);
  htmx.process(turn());
}
document.addEventListener("htmx:afterSettle", ({ target }) => list.contains(target) && take(early.splice(0)));

// More steps changed than were sent: those up to `up_to` were, the last there is stands at `last`.
document.addEventListener("runsheet:behind", async ({ detail }) => {
  newest = Math.max(newest, detail.last);
  offerRest();
  for (let at = detail.up_to; at < last(); at += WINDOW) {
    const answer = await fetch(`?after=${at}`, { headers: { "HX-Request": "true" } });
    const piece = document.createElement("template");
    if (answer.ok && !answer.redirected) piece.innerHTML = await answer.text();
    take([...piece.content.children].filter((item) => item.dataset.version && lineOf(item)));
  }
});

// The newest step: followed until one scrolls up; while paused, what arrives waits and is counted --

const newer = find("#newer");
const choice = find("#follow input");
const pause = find("#follow button");
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
  const fresh = [...waiting.values()].filter((item) => !lineOf(item)).length;
  pause.textContent = isPaused ? `Go on: ${fresh || !waiting.size ? steps(fresh) : "changes"} waiting` : "Pause";
}

list.addEventListener("runsheet:take", ({ detail }) => {
  if (!isPaused) return take(detail.items);
  for (const item of detail.items) waiting.set(item.id, item);
  showPause();
});
pause.addEventListener("click", () => {
  isPaused = !isPaused;
  take(waiting.values());
  waiting.clear();
  showPause();
});
choice.addEventListener("change", () => choice.checked && toEnd());
newer.addEventListener("click", toEnd);
// What is filtered has no end to follow, and its keys nothing to press.
if (isFiltered) find("#follow").remove();
else find("#follow").hidden = false;

// Whoever scrolls up wants to read; a page that grows above does not scroll by itself.
addEventListener("scroll", () => {
  if (scrollY < scrolledTo - 2 && distance() > 80) choice.checked = false;
  scrolledTo = scrollY;
  if (unseen) count(0);
}, { passive: true });
