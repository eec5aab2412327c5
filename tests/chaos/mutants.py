"""Payloads that drift, and payloads that mean harm."""

import copy
import json
from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

import httpx

from runs.simulator.testing import SimulatorServer
from tests.runs.answers import details, entry, put, step

type Path = tuple[str | int, ...]
OF_OTHER_TYPES: list[Any] = [0, -1, 1.5, "", "text", True, [], {}, [1], {"a": 1}, None]
WORDS = ("status", "type", "kind")  # their values are words of a list that may grow
UNKNOWN = "teleported"
SCRIPTS = ("nda_review", "privilege_log", "research_memo", "lease_abstraction")


class Recorded(NamedTuple):
    """An answer as the simulator gave it."""

    name: str
    run_id: str
    text: bytes

    def mutant(self, index: int, chance: Random) -> tuple[str, bytes]:
        """The mutant number `index`, and what was done: first one act at each node, then two at
        nodes by chance, and so on."""
        whole = json.loads(self.text)
        acts = _acts(self.text)
        said = []
        if index < len(acts):
            chosen = [acts[index]]
        else:
            chosen = chance.choices(acts, k=2 + index // len(acts) % 3)
        for name, path in chosen:
            if _perform(name, path, whole, chance):
                said.append(f"{name} {'.'.join(map(str, path))}")
        return "; ".join(said) or "nothing", json.dumps(whole).encode()


@lru_cache(maxsize=1)
def recorded() -> list[Recorded]:
    """Some runs in the middle and at their end."""
    bodies: list[Recorded] = []
    with SimulatorServer(manual=True, speed=1.0) as server:
        runs = [(name, server.start(name)) for name in SCRIPTS]
        for seconds in (20, 3_600):
            server.advance(seconds)
            for name, run in runs:
                url = f"{server.url}/agent/v1/run/{run.id}/details"
                text = httpx.get(url, headers=server.headers, trust_env=False).content
                bodies.append(Recorded(f"{name} at {seconds} s", f"run_{len(bodies)}", text))
    return [one._replace(text=_shortened(one)) for one in bodies]


def _shortened(body: Recorded) -> bytes:
    """With a dozen steps and entries at most: each costs as much as the others."""
    whole = json.loads(body.text)
    whole["id"] = body.run_id
    whole["steps"] = whole["steps"][:12]
    if isinstance(whole.get("usage"), dict) and whole["usage"].get("entries"):
        whole["usage"]["entries"] = whole["usage"]["entries"][:8]
    return json.dumps(whole).encode()


@lru_cache(maxsize=32)
def _acts(text: bytes) -> list[tuple[str, Path]]:
    acts: list[tuple[str, Path]] = []
    for path in _nodes(json.loads(text), ()):
        acts += [(name, path) for name in ("remove", "null", "retype", "rename")]
        if path[-1] in WORDS:
            acts.append(("unknown word", path))
    for path in (("steps",), ("usage", "entries")):
        acts += [(name, path) for name in ("reorder", "shorten", "double", "new ids")]
    return acts


def _nodes(value: Any, path: Path) -> list[Path]:
    found = [path] if path and path != ("id",) else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _nodes(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            found += _nodes(inner, (*path, place))
    return found


def _perform(name: str, path: Path, whole: Any, chance: Random) -> bool:
    """Whether the node was still there."""
    holder = whole
    for key in path[:-1]:
        if not _has(holder, key):
            return False
        holder = holder[key]
    key = path[-1]
    if not _has(holder, key):
        return False
    if name in _OF_LISTS:
        if isinstance(holder[key], list):
            holder[key] = _OF_LISTS[name](holder[key], chance)
        return True
    match name:
        case "remove":
            del holder[key]
        case "null":
            holder[key] = None
        case "retype":
            others = [one for one in OF_OTHER_TYPES if type(one) is not type(holder[key])]
            holder[key] = copy.deepcopy(chance.choice(others))
        case "unknown word":
            holder[key] = UNKNOWN
        case "rename" if isinstance(holder, dict):
            holder[f"{key}V2"] = holder.pop(key)
    return True


def _has(holder: Any, key: str | int) -> bool:
    if isinstance(holder, dict):
        return key in holder
    return isinstance(holder, list) and isinstance(key, int) and key < len(holder)


def _reorder(items: list[Any], chance: Random) -> list[Any]:
    return chance.sample(items, len(items))


def _shorten(items: list[Any], chance: Random) -> list[Any]:
    return [one for one in items if chance.random() < 0.7]


def _double(items: list[Any], chance: Random) -> list[Any]:
    return items + copy.deepcopy(chance.choices(items, k=2)) if items else []


def _new_ids(items: list[Any], chance: Random) -> list[Any]:
    return [
        one | {"id": f"new_{chance.randrange(10**6)}"} if isinstance(one, dict) else one
        for one in items
    ]


_OF_LISTS: dict[str, Callable[[list[Any], Random], list[Any]]] = {
    "reorder": _reorder,
    "shorten": _shorten,
    "double": _double,
    "new ids": _new_ids,
}

# Hostile ------------------------------------------------------------------------------------------

PLACES: list[Path] = [
    *(("prompt",), ("status",), ("agentId",), ("guidance",), ("createdAt",), ("workflowId",)),
    *(("result", "output"), ("result", "logs"), ("result", "outputObjectIds")),
    *(("result", "finalResponse", "summary"), ("result", "finalResponse", "issues")),
    *(("usage", "inputTokens"), ("usage", "summary"), ("usage", "entries"), ("usage",)),
    *(("usage", "entries", 0, "costMicros"), ("usage", "entries", 0, "metadata")),
    *(("usage", "entries", 0, "kind"), ("usage", "entries", 0, "timestamp")),
    *(("steps", 0, "id"), ("steps", 0, "type"), ("steps", 0, "content"), ("steps", 0, "toolName")),
    *(("steps", 0, "toolInput"), ("steps", 0, "toolOutput"), ("steps", 0, "durationMs")),
    *(("steps", 0, "timestamp"), ("steps", 0), ("steps",), ("unknown",)),
]
ODD = [
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1E400", "-0", "-0.0", "0.1e-400"),
    *("9" * 19, "9" * 40, "-" + "9" * 400, "1." + "0" * 400, "9007199254740993", "1e15", "1e16"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "123.456", "00"),
    *('"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udfff\\ud800"', '"\\ud83d\\ude00"', '"\\ud83d"'),
    *('"\\x00"', '"\x00"', '"\x01\x1f"', '"\x7f\x85\u2028\u2029"', '"\ufeff\ufffe\uffff"'),
    *('{"a":1,"a":2}', '{"":{"":{"":""}}}', '{"__proto__":1}', '{"\\u0000":1}', '{"\\ud800":1}'),
    *(
        "[" * 200 + "]" * 200,
        "[" * 2_000,
        "[" * 2_000 + "]" * 2_000,
        '{"a":' * 500 + "1" + "}" * 500,
    ),
    *('"' + "x" * 70_000 + '"', '"' + "é" * 3_000 + '"', '"' + "\U0001f600" * 500 + '"'),
    *('"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59.999999Z"', '"2026-02-30T00:00:00Z"'),
    *('"2026-11-02T15:00:00+23:59"', '"2026-11-02T24:00:00Z"', '"2026-W45-1"', '"20261102T1500"'),
    *(
        "true",
        "false",
        "null",
        '""',
        "[]",
        "{}",
        "[null]",
        "[[]]",
        '[{"id":null}]',
        "0",
        "1",
        '"0"',
    ),
    *('"\\', "'", "undefined", "+1", ".5", "0x10", "1_000", "/* */1", "nul", '"\\u12"', '"\\q"'),
    *('"\udce9\udcff"', '"\ud800"', '["\\u0000",{"b":"\\udc00"}]', '"<script>alert(1)</script>"'),
    *(
        '"\\u202e\\u2066evil"',
        '"a\\rb\\nc\\td"',
        '"{\\"x\\":NaN}"',
        '"%00%0d%0a"',
        '"\'; DROP TABLE"',
    ),
]
CODE_POINTS = 0x110000
BASE = details([step(1), step(2)], [entry(1)], id="run_1")


def hostile(number: int, chance: Random) -> tuple[str, bytes]:
    """The document `number`: each odd value at each place in turn, and beside it a block of code
    points, so that 5,000 documents hold every one."""
    path = PLACES[number % len(PLACES)]
    raw = ODD[number // len(PLACES) % len(ODD)]
    body = put(BASE, path, raw)
    if chance.random() < 0.3:
        path2, raw = chance.choice(PLACES), chance.choice(ODD)
        if path2[: len(path)] != path and path[: len(path2)] != path2:
            body = put_where_it_fits(body, path2, raw)
    words = f"{raw[:40]!r} at {path}"
    body = _with_block(body, number)
    if chance.random() < 0.05:
        body = _broken(body, chance)
        words += ", broken"
    return words, body


def put_where_it_fits(body: bytes, path: Path, raw: str) -> bytes:
    """`put`, if `body` is still JSON."""
    try:
        json.loads(body)
        return put(body, path, raw)
    except (ValueError, RecursionError, UnicodeError, TypeError, KeyError, IndexError):
        return body


def _with_block(body: bytes, number: int) -> bytes:
    """With a block of code points as the content of the second step, each written as it is."""
    size = -(-CODE_POINTS // 5_000)
    first = number % 5_000 * size
    points = range(first, min(first + size, CODE_POINTS))
    text = "".join(map(chr, points)).translate({ord('"'): None, ord("\\"): None})
    text = "".join(c if ord(c) >= 32 else f"\\u{ord(c):04x}" for c in text)
    return body.replace(b"Said in step 2.", text.encode("utf-8", "surrogatepass"))


def _broken(body: bytes, chance: Random) -> bytes:
    place = chance.randrange(len(body))
    match chance.randrange(4):
        case 0:
            return body[:place]
        case 1:
            return body[:place] + bytes([chance.randrange(256)]) + body[place + 1 :]
        case 2:
            return b"\xef\xbb\xbf" + body
        case _:
            return body[:place] + b"\xff\xfe\x00" + body[place:]
