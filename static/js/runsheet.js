// What every page has besides htmx: times that stay true, the reader's own choices, single keys.

const root = document.documentElement;
const find = (selector) => document.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const on = (name, act) => document.addEventListener(name, act);

function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

// Times: the same words as the filters `ago` and `duration` in templatetags/runsheet.py ------------

const now = () => Date.now() + Number(root.dataset.skew || 0); // the server's, as live.js has heard it

function ago(moment) {
  const seconds = Math.round((now() - moment) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 5) return "just now";
  const [size, unit] = [[86400, "days"], [3600, "h"], [60, "min"], [1, "s"]].find(([size]) => distance >= size);
  const words = `${Math.floor(distance / size)} ${unit}`.replace(/^1 days/, "1 day");
  return seconds > 0 ? `${words} ago` : `in ${words}`;
}

function duration(ms) {
  const whole = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, seconds] = [whole / 3600, (whole / 60) % 60, whole % 60].map(Math.floor);
  const two = (number) => String(number).padStart(2, "0");
  if (hours >= 24) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours) return `${hours}:${two(minutes)}:${two(seconds)}`;
  return minutes ? `${minutes}:${two(seconds)}` : `${seconds} s`;
}

setInterval(() => {
  if (document.hidden) return;
  for (const each of all("[data-since]")) write(each, duration(now() - Date.parse(each.dataset.since)));
  for (const each of all("time[data-ago]")) write(each, ago(Date.parse(each.dateTime)));
}, 1000);

// The server tells UTC, and `datetime` and `title` keep it, whatever clock is read in between.
function tellTimes(piece) {
  const isLocal = root.dataset.zone === "local";
  for (const time of all("time[datetime]:not([data-ago])", piece)) {
    if (isLocal || time.dataset.utc) write(time, isLocal ? local(time) : time.dataset.utc);
  }
}

// In the very form in which it was told, but for a day in front where it is another one here.
function local(time) {
  const moment = new Date(time.dateTime);
  const utc = (time.dataset.utc ??= time.textContent);
  const [date, clock] = moment.toLocaleString("sv").split(" ");
  const day = `${moment.getDate()} ${moment.toDateString().slice(4, 7)}`;
  const isToday = moment.toDateString() === new Date(now()).toDateString();
  const told = utc
    .replace(/\d{4}-\d\d-\d\d/, date)
    .replace(/^\d+ [A-Z][a-z]+/, day)
    .replace(/\d\d:\d\d(:\d\d)?/, (whole) => clock.slice(0, whole.length))
    .replace("UTC", String(moment).match(/GMT\S+/));
  return /^[\d:]+$/.test(utc) && !isToday && !time.closest(".steps, .strip") ? `${day} ${told}` : told;
}

on("runsheet:came", ({ detail }) => tellTimes(detail.piece));
on("htmx:load", ({ target }) => tellTimes(target));
tellTimes(document);

// Choices: of this browser, in cookies, so that the next page comes as it was chosen
for (const field of all("[data-choice]")) {
  const name = field.dataset.choice;
  field.closest("[hidden]").hidden = false;
  field.addEventListener("change", () => {
    root.dataset[name] = field.type === "checkbox" && field.checked ? "" : field.value;
    document.cookie = `${name}=${root.dataset[name]}; path=/; max-age=31536000; samesite=lax`;
    tellTimes(document);
  });
}

// What went wrong is said; what refreshes itself says so by its own freshness
let forgetting;
function tell(words) {
  clearTimeout(forgetting);
  write(find("#told"), words);
  forgetting = setTimeout(() => write(find("#told"), ""), 10_000);
}

for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) on(name, ({ detail: { elt, xhr } }) => {
  if (!elt.matches("[data-refreshes], [sse-connect]")) tell(`That could not be loaded: ${xhr?.status ? `the site answered ${xhr.status}` : "the site does not answer"}. Try again.`);
  // What opens asks once; opened again after this, once more.
  elt.ontoggle = () => {
    if (!elt.open) return;
    elt.ontoggle = null;
    htmx.trigger(elt, "again");
  };
});

// Logged out meanwhile: the page itself leads to the login and back.
on("htmx:beforeSwap", ({ detail }) => {
  if (!new URL(detail.xhr.responseURL || location.href).pathname.startsWith("/accounts/")) return;
  detail.shouldSwap = false;
  location.reload();
});

// Keys: "/", "?", "g l" and the like do what the element does that names them ----------------------

const LINES = ".runs tbody tr, .sheet > li, .links tbody tr";
const OTHERS = { n: "a[rel=next]", p: "a[rel=prev]" };
let begun = "";

const handleOf = (line) => line.querySelector("summary") || line.querySelector(".words a, .body a") || line.querySelector("a");

function step(by) {
  const lines = all(LINES).filter((line) => handleOf(line)?.checkVisibility());
  const here = lines.indexOf(document.activeElement.closest(LINES));
  const seen = lines.findIndex((line) => line.getBoundingClientRect().top >= 0);
  const next = lines[here < 0 ? seen : here + by];
  if (next) handleOf(next).focus();
}

// The step or run that has the focus, else the page.
function copyLink() {
  const line = document.activeElement.closest(LINES);
  const { href } = line?.querySelector("a.n") || line?.querySelector("a") || location;
  if (!navigator.clipboard) tell("This browser copies only over https.");
  else navigator.clipboard.writeText(href).then(() => tell("Link copied."));
}

function leave(element) {
  const open = element.closest("details[open]") || find("details.menu[open]");
  if (!open) return element.blur();
  open.open = false;
  open.querySelector("summary").focus();
}

function act(key) {
  if (key === "j" || key === "k") return step(key === "j" ? 1 : -1);
  if (key === "c") return copyLink();
  const named = find(`[data-key="${CSS.escape(key)}"]`) || (OTHERS[key] && find(OTHERS[key]));
  if (!named) return false;
  if (named.matches("input[type=search], input[type=text]")) named.select();
  else named.click();
}

on("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("dialog")) return;
  if (key === "Escape") {
    if (target.matches("input[type=search]")) event.preventDefault(); // it would empty the field: what was found stays
    return leave(target);
  }
  if (root.dataset.keys === "off" || target.isContentEditable || target.matches("input:not([type=checkbox], [type=radio]), textarea, select")) return;
  const whole = begun + key;
  begun = key === "g" ? "g " : "";
  if (act(whole) !== false) event.preventDefault();
});

on("click", (event) => {
  for (const menu of all("details.menu[open]")) menu.open = menu.contains(event.target);
  if (!event.target.closest?.("[data-key='?']")) return;
  event.preventDefault();
  find("dialog").showModal();
});
