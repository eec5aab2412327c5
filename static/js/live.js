// Live pages. htmx and its sse extension carry and parse what the server sends; here are the two
// things they leave open: a connection that is looked after, and swaps that do not disturb whoever
// is reading. Without this file the page still gets its updates, only more roughly.
"use strict";

(() => {
  const WORDS = {
    live: "live",
    held: "live; some lines wait for your selection",
    reconnecting: "reconnecting…",
    polling: "asking every 5 s (no stream gets through)",
    paused: "paused in the background",
    over: "",
    gone: "no longer live: reload the page to sign in again",
  };
  const PATIENCE = { open: 30_000, first: 10_000, beat: 40_000, hidden: 30_000 };
  const GIVES_UP_AFTER = 3; // failed connections; from then on it polls, and tries a stream now and then

  let source = null; // of the page's one stream

  // The connection -----------------------------------------------------------------------------

  // What the extension takes for an EventSource: one that lives as long as the page. Behind it,
  // connections come and go, each asking for what came after the last thing that was shown.
  class Source extends EventTarget {
    constructor(url) {
      super();
      this.element = document.querySelector(`[sse-connect="${CSS.escape(url)}"]`);
      this.url = new URL(url, location.href);
      this.failures = 0;
      this.readyState = EventSource.OPEN;
      this.open();
    }

    get isClosed() {
      return this.readyState === EventSource.CLOSED;
    }

    address() {
      const query = this.url.searchParams;
      if (query.has("ids")) query.set("ids", rowsShown());
      return this.url.pathname + this.url.search;
    }

    saw(version) {
      const query = this.url.searchParams;
      if (version && query.has("since")) query.set("since", version);
    }

    open() {
      this.stop();
      const inner = (this.inner = new EventSource(this.address()));
      for (const name of ["change", "beat", "catch-up", "end", "gone"]) inner.addEventListener(name, (event) => this.take(event));
      inner.onopen = () => this.expect(PATIENCE.first);
      inner.onerror = () => this.lose();
      this.expect(PATIENCE.open);
    }

    // Streams beat. A connection that falls silent is dead, whatever the browser believes.
    expect(within) {
      clearTimeout(this.watch);
      this.watch = setTimeout(() => this.lose(), within);
    }

    stop() {
      this.inner?.close();
      for (const timer of [this.watch, this.retry, this.polling]) clearTimeout(timer);
    }

    take({ type, data, lastEventId }) {
      this.expect(PATIENCE.beat);
      this.failures = 0;
      if (type === "end") this.close("over");
      if (type === "gone") this.close("gone");
      this.dispatchEvent(new MessageEvent(type, { data, lastEventId }));
      this.saw(lastEventId);
      if (type === "beat") keepTime(Number(data));
      if (type === "catch-up") catchUp(JSON.parse(data));
      if (!this.isClosed) say(held.size ? "held" : "live");
    }

    lose() {
      this.stop();
      this.failures += 1;
      const isLost = this.failures >= GIVES_UP_AFTER;
      say(isLost ? "polling" : "reconnecting");
      // Spread out, so that a restarted server is not asked by everybody at once.
      const wait = isLost ? 30_000 : 500 * 2 ** this.failures * (0.5 + Math.random());
      this.retry = setTimeout(() => this.open(), wait);
      if (isLost) this.poll(5_000);
    }

    // The same pieces at the same address, as one answer.
    poll(every) {
      this.polling = setTimeout(async () => {
        await htmx.ajax("GET", this.address(), { source: this.element, target: this.element, swap: "none" }).catch(() => {});
        if (!this.isClosed) this.poll(every);
      }, every);
    }

    took(xhr) {
      const version = xhr.getResponseHeader("Runsheet-Version");
      if (version === null) {
        // A login page, or nothing where a shared run was: there is no right to see more.
        if (xhr.status === 200 || xhr.status === 404) this.close("gone");
        return;
      }
      this.saw(version);
      const state = JSON.parse(xhr.getResponseHeader("Runsheet-State") || "{}");
      if (state.catch_up) catchUp(state.catch_up);
      if (state.over) this.close("over");
    }

    // In the background one connection less (a browser has six to a server): the title stays true
    // by asking twice a minute.
    rest() {
      this.stop();
      say("paused");
      this.poll(30_000);
    }

    close(state) {
      if (this.isClosed) return;
      this.readyState = EventSource.CLOSED;
      this.stop();
      if (state) say(state);
      if (state === "gone" && location.pathname.startsWith("/s/")) location.reload();
    }
  }

  htmx.createEventSource = (url) => {
    source?.close();
    return (source = new Source(url));
  };

  document.addEventListener("htmx:afterOnLoad", (event) => {
    if (source && event.detail.elt === source.element) source.took(event.detail.xhr);
  });

  // Clocks on the page count by the server's time, if this machine's is wrong.
  function keepTime(told) {
    const skew = told - Date.now();
    document.documentElement.dataset.skew = Math.abs(skew) > 2_000 ? skew : 0;
  }

  let resting;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(resting);
    if (!source || source.isClosed) return;
    if (document.hidden) resting = setTimeout(() => source.rest(), PATIENCE.hidden);
    else if (source.inner.readyState === EventSource.CLOSED) source.open();
  });
  addEventListener("pagehide", () => source?.isClosed === false && source.stop());
  addEventListener("pageshow", (event) => event.persisted && source?.isClosed === false && source.open());

  function rowsShown() {
    const rows = document.querySelectorAll('[id^="run-"][data-version]');
    return [...rows].map((row) => `${row.id.slice(4)}:${row.dataset.version}`).filter((pair) => /^\d/.test(pair)).join();
  }

  function say(state) {
    document.documentElement.dataset.stream = state;
    const place = document.getElementById("stream-state");
    if (place && place.textContent !== WORDS[state]) place.textContent = WORDS[state];
  }

  // Swapping -----------------------------------------------------------------------------------

  const held = new Map(); // element -> the newest piece for it, until nobody reads there

  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    const fresh = fragment.firstElementChild;
    const isFiltered = document.querySelector("#steps[data-filtered]");
    if (target.id === "steps") takeSteps(target, [...fragment.children]);
    else if (fresh?.id !== target.id) return;
    else if (!(isFiltered && target.id === "above-steps")) bring(target, fresh);
    event.preventDefault();
  });

  // Change `old` into `fresh`, part by part. Of what has to wait only the newest is kept.
  function bring(old, fresh) {
    if (Number(fresh.dataset.version) < Number(old.dataset.version)) return;
    tell(document, "runsheet:came", { piece: fresh });
    const whole = fresh.cloneNode(true);
    mergeAttributes(old, fresh);
    if (mergeChildren(old, fresh)) held.delete(old);
    else held.set(old, whole);
    htmx.process(old);
    tell(old, "runsheet:changed");
  }

  // False if somebody said not to go on.
  const tell = (target, name, detail) => target.dispatchEvent(new CustomEvent(name, { bubbles: true, cancelable: true, detail }));

  // True if nothing of `old` had to be left as it was.
  function merge(old, fresh) {
    if (old.isEqualNode(fresh)) return true;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data === fresh.data) return true;
      if (isRead(old)) return false;
      old.data = fresh.data;
      return true;
    }
    mergeAttributes(old, fresh);
    return isOwn(old) || mergeChildren(old, fresh);
  }

  function mergeChildren(old, fresh) {
    let isWhole = true;
    let place = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      const found = counterpart(place, wanted);
      if (!found) {
        old.insertBefore(wanted, place);
        continue;
      }
      isWhole = dropUntil(place, found) && isWhole;
      isWhole = merge(found, wanted) && isWhole;
      place = found.nextSibling;
    }
    return dropUntil(place, null) && isWhole;
  }

  // What this page does with the element: count time in it, or show what was fetched when asked for.
  function isOwn(element) {
    return element.hasAttribute("data-since") || element.hasAttribute("data-ago") || element.hasAttribute("data-fetched");
  }

  function mergeAttributes(old, fresh) {
    for (const { name, value } of [...fresh.attributes]) {
      if (name !== "hx-swap-oob" && old.getAttribute(name) !== value && !isKept(old, name, fresh)) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !isKept(old, name, fresh)) old.removeAttribute(name);
    }
  }

  // A panel stays as the reader left it.
  function isKept(element, name, fresh) {
    if (name === "open") return element.localName === "details";
    // A list whose rows are the same goes on with the stream that it has.
    if (name === "sse-connect") return runsIn(element) === runsIn(fresh);
    return name === "data-fetched";
  }

  function runsIn(element) {
    const query = new URL(element.getAttribute("sse-connect") || "", location.href).searchParams;
    return query.get("ids")?.replaceAll(/:\d+/g, "");
  }

  function counterpart(place, wanted) {
    for (let node = place; node; node = node.nextSibling) {
      if (node.nodeName === wanted.nodeName && (node.id || "") === (wanted.id || "")) return node;
    }
    return null;
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

  // Selected, or holding what has the keyboard's focus.
  function isRead(node) {
    const active = document.activeElement;
    if (active && active !== document.body && node.contains(active)) return true;
    const selection = getSelection();
    return !selection.isCollapsed && selection.rangeCount > 0 && selection.getRangeAt(0).intersectsNode(node);
  }

  let releasing;
  function release() {
    clearTimeout(releasing);
    if (!held.size) return;
    releasing = setTimeout(() => {
      for (const [old, fresh] of [...held]) {
        if (old.isConnected) bring(old, fresh);
        else held.delete(old);
      }
      if (!held.size && document.documentElement.dataset.stream === "held") say("live");
    }, 150);
  }
  document.addEventListener("selectionchange", release);
  document.addEventListener("focusout", release);

  // Steps --------------------------------------------------------------------------------------

  const WINDOW = 100; // steps that the server sends at a time
  let newest = 0; // the last step that we have heard of

  const placeOf = (item) => Number(item?.id.match(/^s(\d+)/)?.[1] || 0);
  const linesOf = (list) => [...list.children].filter((item) => item.dataset.version);
  const lastOf = (list) => placeOf(linesOf(list).at(-1));
  const turnOf = (list) => list.querySelector(":scope > li.turn.later");

  document.addEventListener("runsheet:release", ({ target, detail }) => takeSteps(target, detail.items));

  // A row of the record keeps its line, also when it moves or when Case.dev drops it.
  function lineOf(list, item) {
    return list.querySelector(`:scope > li[data-row="${item.dataset.row}"]`) || list.querySelector(`:scope > #${CSS.escape(item.id)}`);
  }

  function takeSteps(list, items) {
    if (!tell(list, "runsheet:arrive", { items })) return;
    let added = 0;
    for (const item of items) {
      const line = lineOf(list, item);
      newest = Math.max(newest, placeOf(item));
      if (line) {
        const isNew = line.dataset.version !== item.dataset.version;
        bring(line, item);
        if (isNew) fetchAgain(line);
      } else if (add(list, item)) added += 1;
    }
    offerRest(list);
    if (!added) return;
    list.parentElement.querySelector(":scope > .empty")?.remove();
    tell(list, "runsheet:steps", { added });
  }

  // Only where it leaves no gap: what the page does not show yet comes when it is scrolled to.
  function add(list, item) {
    if (list.hasAttribute("data-filtered")) return false;
    const place = placeOf(item);
    const lines = linesOf(list);
    const next = lines.find((line) => placeOf(line) > place);
    if (next ? next === lines[0] : turnOf(list) || place > lastOf(list) + 1) return false;
    tell(document, "runsheet:came", { piece: item });
    list.insertBefore(item, next || null);
    htmx.process(item);
    return true;
  }

  // A turn to the steps that are not shown, as the server makes it.
  function offerRest(list) {
    if (list.hasAttribute("data-filtered")) return;
    const last = lastOf(list);
    list.dataset.last = last;
    list.dataset.complete = turnOf(list) || last < newest ? "no" : "yes";
    if (turnOf(list) || last >= newest) return;
    const turn = document.createElement("li");
    turn.className = "turn later";
    turn.setAttribute("hx-get", `?after=${last}`);
    turn.setAttribute("hx-trigger", "revealed");
    turn.setAttribute("hx-swap", "outerHTML");
    turn.innerHTML = '<span class="n" aria-hidden="true">⋮</span><div class="body"><a></a></div>';
    const link = turn.querySelector("a");
    link.href = `?at=${last + 1}#s${last + 1}`;
    link.textContent = `${newest - last} later steps`;
    list.append(turn);
    htmx.process(turn);
  }

  // More steps changed than were sent: those up to `up_to` were, the last there is stands at `last`.
  async function catchUp({ up_to: upTo, last }) {
    const list = document.getElementById("steps");
    if (!list) return;
    newest = Math.max(newest, last);
    offerRest(list);
    for (let at = upTo; at < lastOf(list); at += WINDOW) {
      const piece = document.createElement("template");
      piece.innerHTML = await piecesOf(`?after=${at}`);
      takeSteps(list, [...piece.content.children].filter((item) => item.dataset.version && lineOf(list, item)));
    }
  }

  async function piecesOf(address) {
    const answer = await fetch(address, { headers: { "HX-Request": "true" } });
    return answer.ok && !answer.redirected ? answer.text() : "";
  }

  // What was opened below a line, from the moment that it is asked for: `data-fetched` is "busy",
  // then "yes", or "stale" if the line changed meanwhile, so that what came is out of date.
  const openedIn = (target) => (target?.matches?.("#steps .opened, #read .opened") ? target : null);

  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (openedIn(detail.target)) detail.target.dataset.fetched = "busy";
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const opened = openedIn(detail.target);
    if (!opened) return;
    if (detail.successful) settle(opened);
    else delete opened.dataset.fetched;
  });

  function fetchAgain(line) {
    const opened = line.querySelector(".opened[data-fetched]");
    if (!opened) return;
    const isBusy = opened.dataset.fetched !== "yes";
    opened.dataset.fetched = "stale";
    if (!isBusy) settle(opened);
  }

  async function settle(opened) {
    while (opened.dataset.fetched === "stale") {
      opened.dataset.fetched = "busy";
      const fresh = opened.cloneNode(false);
      fresh.innerHTML = await piecesOf(opened.parentElement.getAttribute("hx-get"));
      if (fresh.firstChild) bring(opened, fresh);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    opened.dataset.fetched = "yes";
  }

  document.addEventListener("htmx:afterSettle", ({ target }) => {
    const list = document.getElementById("steps");
    if (list?.contains(target)) offerRest(list);
  });
})();
