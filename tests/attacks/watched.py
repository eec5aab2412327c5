"""Pages of one browser, watched: what ran, what was asked for, what became of the text."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.urls import Resolver404, resolve
from playwright.sync_api import BrowserContext, Page, Request

# Runs before anything of the page. What the policy stopped counts too: text should never have
# come as far as the policy.
_BEFORE = """
window.__hit = 0; window.__stopped = [];
addEventListener("securitypolicyviolation", (event) =>
  window.__stopped.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""
# What a page holds that none of ours does, and the canaries that it shows. Addresses of lists hold
# what was asked for; h.example is whither the page leads that shows where a link goes.
_AFTER = r"""
() => {
  const wrong = [];
  const forbidden = "iframe,frame,object,embed,applet,base,video,audio,source,track,portal,math," +
    "fencedframe,marquee,foreignObject,image,animate,set,area,keygen,xmp,noscript,style," +
    "template,meta[http-equiv],a[ping],script:not([nonce]):not([src^='/static/'])";
  for (const element of document.querySelectorAll(forbidden)) {
    // Our own, for browsers without scripts.
    const isPlain = element.localName === "noscript" && !/kanarie|sink/.test(element.innerHTML);
    if (!isPlain) wrong.push(element.outerHTML.slice(0, 200));
  }
  const mayHold = ["title", "aria-label", "value", "alt", "placeholder", "content"];
  const isText = (name) => mayHold.includes(name);
  const isOurs = (name, value) => name === "href" && ALLOWED.test(value);
  for (const element of document.querySelectorAll("*")) {
    if (/[^a-z0-9]/i.test(element.localName)) wrong.push(`<${element.localName}>`);
    for (const { name, value } of element.attributes) {
      if (/^(on|hx-on|data-hx-on)|^(style|srcdoc)$/.test(name))
        wrong.push(`${element.localName} ${name}=${value.slice(0, 80)}`);
      else if (/\.example|stolen|__hit/.test(value) && !isText(name) && !isOurs(name, value))
        wrong.push(`${element.localName} ${name}=${value.slice(0, 120)}`);
    }
  }
  const found = document.documentElement.outerHTML.match(/kanarie\d{4}x/g) || [];
  return { wrong, stopped: window.__stopped, hit: window.__hit, found: [...new Set(found)],
    config: window.htmx ? JSON.stringify(htmx.config) : "" };
}
""".replace("ALLOWED", r"/^(\/runs\/|\?|https:\/\/h\.example\/\?q=)[^ ]*$/")


def route_of(path: str) -> str:
    """The route of a page of the site; the path itself for a page that only a test has."""
    try:
        return str(resolve(path).route)
    except Resolver404:
        return path


@dataclass
class Watch:
    """`found`: canaries by kind of page, `places`: by route; `wrongs`: whatever should not have
    been."""

    context: BrowserContext
    base: str
    found: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    places: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    wrongs: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    loads: int = 0

    def __post_init__(self) -> None:
        self.context.add_init_script(_BEFORE)
        self.context.on("request", self._note)
        self.context.on("page", self._watch)
        self.page: Page = self.context.new_page()

    def _watch(self, page: Page) -> None:
        page.on("dialog", lambda dialog: self._dialog(dialog))
        page.on("pageerror", lambda error: self.wrongs.append(f"{page.url}: {error}"))
        page.on("popup", lambda popup: self.wrongs.append(f"{page.url}: opened {popup.url}"))

    def _dialog(self, dialog: Any) -> None:
        self.wrongs.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _note(self, request: Request) -> None:
        self.asked.append(request.url)
        path = urlsplit(request.url)
        if f"{path.scheme}://{path.netloc}" != self.base:
            self.wrongs.append(f"asked {request.url}")
        elif "stolen" in path.path or path.path.startswith("/accounts/logout"):
            self.wrongs.append(f"asked {request.url} on {request.frame.url}")

    def visit(self, kind: str, path: str) -> None:
        answer = self.page.goto(f"{self.base}{path}", wait_until="load")
        if answer is None or not answer.ok:
            self.wrongs.append(f"{kind} {path}: {answer and answer.status}")
        self.loads += 1
        self.look(kind)

    def look(self, kind: str, brought_by: str = "") -> None:
        """At the page as it stands. `brought_by`: the route of the stream that changed it."""
        seen = self.page.evaluate(_AFTER)
        path = urlsplit(self.page.url).path
        where = f"{kind} {path}"
        self.found[kind] |= set(seen["found"])
        self.places[brought_by or route_of(path)] |= set(seen["found"])
        self.wrongs += [f"{where}: {wrong}" for wrong in seen["wrong"] + seen["stopped"]]
        if seen["hit"]:
            self.wrongs.append(f"{where}: {seen['hit']} scripts ran")
        if seen["config"]:
            self._hardened(where, json.loads(seen["config"]))

    def _hardened(self, where: str, config: dict[str, Any]) -> None:
        wanted = {
            "allowEval": False,
            "allowScriptTags": False,
            "selfRequestsOnly": True,
            "historyCacheSize": 0,
        }
        if not wanted.items() <= config.items():
            self.wrongs.append(f"{where}: htmx is set to {config}")
