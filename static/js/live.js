// Live pages. htmx and its sse extension carry and parse what the server sends; here are the two
// things they leave open: a connection that is looked after, and swaps that do not disturb whoever
// is reading. Without this file the page still gets its updates, only more roughly.

const WORDS = {
  live: "live",
  held: "live; some lines wait for your selection",
  reconnecting: "reconnecting…",
  polling: "asking every 5 s (no stream gets through)",
  paused: "paused in the background",
  over: "",
  gone: "no longer live: reload the page to sign in again",
};
const { dataset } = document.documentElement;
// Of the page's one stream.
let source;

const on = (name, act) => document.addEventListener(name, act);

function say(state) {
  dataset.stream = state;
  const place = document.getElementById("stream-state");
  if (place && place.textContent !== WORDS[state]) place.textContent = WORDS[state];
}

// What the extension takes for an EventSource: one that lives as long as the page. Behind it,
// connections come and go, each asking for what came after the last thing that was shown.
class Source extends EventTarget {
  failures = 0;

  constructor(url) {
    super();
    this.element = document.querySelector(`[sse-connect="${CSS.escape(url)}"]`);
    this.url = new URL(url, location.href);
    this.query = this.url.searchParams;
    this.open();
  }

  address() {
    const rows = document.querySelectorAll("tr[id^=run-][data-version]");
    if (this.query.has("ids")) this.query.set("ids", Array.from(rows, (row) => `${row.id.slice(4)}:${row.dataset.version}`));
    return this.url.pathname + this.url.search;
  }

  saw(version) {
    if (version && this.query.has("since")) this.query.set("since", version);
  }

  open() {
    this.stop();
    this.inner = new EventSource(this.address());
    // What follows slowly may be lost with this connection.
    this.query.set("again", 1);
    for (const name of ["change", "beat", "catch-up", "end", "gone"]) this.inner.addEventListener(name, (event) => this.take(event));
    this.inner.onopen = () => this.expect(10_000);
    this.inner.onerror = () => this.lose();
    this.expect(30_000);
  }

  // Streams beat. A connection that falls silent is dead, whatever the browser believes.
  expect(within) {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.lose(), within);
  }

  stop() {
    this.inner?.close();
    for (const timer of [this.watch, this.retry, this.polling]) clearTimeout(timer);
    // An answer that is on its way is older than what the next connection brings.
    this.polling = 0;
    htmx.trigger(this.element, "htmx:abort");
  }

  close() {
    this.isOver = true;
    this.stop();
  }

  end(state) {
    this.close();
    say(state);
    if (state === "gone" && location.pathname.startsWith("/s/")) location.reload();
  }

  take({ type, data, lastEventId }) {
    this.expect(40_000);
    this.failures = 0;
    if (type === "end") this.end("over");
    if (type === "gone") this.end("gone");
    this.dispatchEvent(new MessageEvent(type, { data, lastEventId }));
    this.saw(lastEventId);
    // Clocks on the page count by the server's time, if this machine's is wrong.
    if (type === "beat") dataset.skew = Math.abs(data - Date.now()) > 2_000 ? data - Date.now() : 0;
    if (type === "catch-up") htmx.trigger(document, "runsheet:behind", JSON.parse(data));
    if (!this.isOver) say(held.size ? "held" : "live");
  }

  lose() {
    this.stop();
    this.failures += 1;
    // From now on it polls, and tries a stream now and then.
    const isLost = this.failures > 2;
    say(isLost ? "polling" : "reconnecting");
    // Spread out, so that a restarted server is not asked by everybody at once.
    this.retry = setTimeout(() => this.open(), isLost ? 30_000 : 500 * 2 ** this.failures * (0.5 + Math.random()));
    if (isLost) this.poll(5_000);
  }

  // The same pieces at the same address, as one answer.
  poll(every) {
    const own = (this.polling = setTimeout(async () => {
      await htmx.ajax("GET", this.address(), { source: this.element, swap: "none" }).catch(() => {});
      if (this.polling === own) this.poll(every);
    }, every));
  }

  took(answer) {
    const version = answer.getResponseHeader("Runsheet-Version");
    if (version !== null) {
      this.saw(version);
      const state = JSON.parse(answer.getResponseHeader("Runsheet-State") || "{}");
      if (state.catch_up) htmx.trigger(document, "runsheet:behind", state.catch_up);
      if (state.over) this.end("over");
      // A login page, or nothing where a shared run was: there is no right to see more.
    } else if (answer.status === 200 || answer.status === 404) this.end("gone");
  }

  // In the background one connection less (a browser has six to a server): the title stays true
  // by asking twice a minute.
  rest() {
    this.stop();
    say("paused");
    this.poll(30_000);
  }
}

htmx.createEventSource = (url) => {
  source?.close();
  return (source = new Source(url));
};

on("htmx:afterOnLoad", ({ detail }) => source && detail.elt === source.element && source.took(detail.xhr));

let resting;
on("visibilitychange", () => {
  clearTimeout(resting);
  if (!source || source.isOver) return;
  if (document.hidden) resting = setTimeout(() => source.rest(), 30_000);
  else if (source.inner.readyState === EventSource.CLOSED) source.open();
});
addEventListener("pagehide", () => source?.stop());
addEventListener("pageshow", ({ persisted }) => persisted && source && !source.isOver && source.open());

// Swapping: `old` is changed into `fresh` part by part, and what is read has to wait ---------------

// Element -> the newest piece for it, until nobody reads there.
const held = new Map();

on("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  const fresh = fragment.firstElementChild;
  if (target.id === "steps") htmx.trigger(target, "runsheet:take", { items: [...fragment.children] });
  else if (fresh?.id !== target.id) return;
  else if (!["above-steps", "no-steps"].includes(target.id) || !document.querySelector("#steps[data-filtered]")) bring(target, fresh);
  event.preventDefault();
});

// The list of runs tells the beginning of a prompt; the whole comes with the first details.
on("runsheet:changed", ({ target }) => {
  if (target.id === "run-head" && document.querySelector("#run-title[data-cut]")) htmx.ajax("GET", location.href, { source: document.body, selectOOB: "#run-title", swap: "none" });
});

on("runsheet:bring", ({ target, detail }) => bring(target, detail.fresh));

function bring(old, fresh) {
  if (Number(fresh.dataset.version) < Number(old.dataset.version)) return;
  htmx.trigger(document, "runsheet:came", { piece: fresh });
  const whole = fresh.cloneNode(true);
  const stale = stalePanels(old, fresh);
  mergeAttributes(old, fresh);
  if (mergeChildren(old, fresh)) held.delete(old);
  else held.set(old, whole);
  htmx.process(old);
  for (const panel of stale) htmx.trigger(panel.parentElement, "again");
  htmx.trigger(old, "runsheet:changed");
}

// True if nothing of `old` had to be left as it was.
function merge(old, fresh) {
  if (old.isEqualNode(fresh)) return true;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (isRead(old)) return false;
    old.data = fresh.data;
    return true;
  }
  mergeAttributes(old, fresh);
  // The page itself counts time in it, or shows what was fetched when asked for.
  return old.matches("[data-since], [data-ago], [data-fetched]") || mergeChildren(old, fresh);
}

function mergeChildren(old, fresh) {
  let isWhole = true;
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    let found = place;
    while (found && (found.nodeName !== wanted.nodeName || (found.id || "") !== (wanted.id || ""))) found = found.nextSibling;
    if (!found) old.insertBefore(wanted, place);
    else {
      isWhole = dropUntil(place, found) && isWhole;
      isWhole = merge(found, wanted) && isWhole;
      place = found.nextSibling;
    }
  }
  return dropUntil(place, null) && isWhole;
}

function mergeAttributes(old, fresh) {
  for (const name of new Set([...old.getAttributeNames(), ...fresh.getAttributeNames()])) {
    const value = fresh.getAttribute(name);
    // The stream that a list keeps is asked for what comes after its rows were made anew.
    if (name === "sse-connect") source.query.set("seen", new URLSearchParams(value).get("seen"));
    if (name === "hx-swap-oob" || old.getAttribute(name) === value || isKept(old, name, fresh)) continue;
    if (value === null) old.removeAttribute(name);
    else old.setAttribute(name, value);
  }
}

// A panel stays as the reader left it, and a list of the same rows with the stream that it has.
function isKept(element, name, fresh) {
  const runs = (each) => (each.getAttribute(name) || "").replace(/:\d+|seen=\d+/g, "");
  return name === "data-fetched" || (name === "open" && element.localName === "details") || (name === "sse-connect" && runs(element) === runs(fresh));
}

function dropUntil(place, end) {
  let isWhole = true;
  while (place && place !== end) {
    const next = place.nextSibling;
    if (isRead(place)) isWhole = false;
    else place.remove();
    place = next;
  }
  return isWhole;
}

// What was opened below a line: asked for, and then asked for anew when the line changed. Its row
// alone does not tell: another step answers a call, and lines of the document have no version.
const isOpened = ({ target }) => target.matches?.(".opened");
const told = (line) => line && line.dataset.version + line.className + Array.from(line.querySelectorAll(".what, .took, .pair"), (part) => part.textContent);

function stalePanels(old, fresh) {
  return [...old.querySelectorAll(".opened[data-fetched]")].filter((panel) => {
    const line = panel.closest("li");
    const next = line === old ? fresh : fresh.querySelector(`#${CSS.escape(line.id)}`);
    const before = panel.told ?? told(line);
    // Once, also if what is read keeps the line as it was.
    panel.told = told(next);
    return panel.told !== before;
  });
}

let asked = 0;
on("htmx:beforeRequest", ({ detail }) => {
  if (!isOpened(detail)) return;
  detail.target.dataset.fetched ||= "no";
  detail.xhr.number = ++asked;
});
on("htmx:beforeSwap", ({ detail }) => {
  if (!isOpened(detail) || !detail.shouldSwap) return;
  const { target, xhr } = detail;
  // Asked for before what is shown, and answered after it.
  const isLate = xhr.number < target.number;
  detail.shouldSwap = !isLate && target.dataset.fetched !== "yes";
  if (isLate) return;
  target.number = xhr.number;
  if (!detail.shouldSwap) {
    const fresh = target.cloneNode(false);
    fresh.innerHTML = detail.serverResponse;
    bring(target, fresh);
  }
  target.dataset.fetched = "yes";
});

// Selected, or holding what has the keyboard's focus.
function isRead(node) {
  const selection = getSelection();
  return (document.activeElement !== document.body && node.contains(document.activeElement)) || (!selection.isCollapsed && selection.getRangeAt(0).intersectsNode(node));
}

let releasing;
function release() {
  clearTimeout(releasing);
  if (held.size) releasing = setTimeout(() => {
    for (const [old, fresh] of [...held]) {
      if (old.isConnected) bring(old, fresh);
      else held.delete(old);
    }
    if (!held.size && dataset.stream === "held") say("live");
  }, 150);
}
on("selectionchange", release);
on("focusout", release);
