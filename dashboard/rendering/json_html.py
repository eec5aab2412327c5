"""A JSON value as nested folds: types named, long strings as text, every omission counted.

Nothing here grows with what was sent: `Budget` holds the number of values that become elements,
and what it does not reach is counted in words.
"""

from dataclasses import dataclass

from django.utils.safestring import SafeString, mark_safe

from dashboard.rendering.text import escape, visible, visible_plain
from runs import json_tree
from runs.json_tree import Node

ITEMS_AT_ONCE = 12  # of an array; the others are in a fold below them
KEYS_AT_ONCE = 60
LONG = 160  # characters from which a string is set as text of its own
OPEN_LINES = 40  # once so many lines stand open, further folds start closed
EMBEDDED_DEEPEST = 3  # JSON in a string in JSON in a string ...


@dataclass(slots=True)
class Budget:
    """How many values may still be drawn, and how many lines already stand open."""

    values: int
    open_lines: int = 0
    embedded: int = 0

    def spend(self) -> bool:
        self.values -= 1
        return self.values >= 0


def tree(node: Node, values: int = 400) -> SafeString:
    """The value as HTML, at most `values` of its parts drawn.

    The outermost object or array has no fold of its own; `measure` puts it into words.
    """
    budget = Budget(values)
    html = _children(node, budget, 0) if node.children else _value(node, budget, depth=0)
    return mark_safe(f'<div class="tree">{html}</div>')  # parts are escaped below


def _value(node: Node, budget: Budget, depth: int, key: str = "") -> str:
    """One value; `key` is the HTML of its name, which a fold takes into its summary."""
    match node.kind:
        case "object" | "array" if node.children:
            return _fold(node, budget, depth, key)
        case "object" | "array":
            budget.open_lines += 1
            inside = "…" if node.is_cut else ""
            sign = f"{{{inside}}}" if node.kind == "object" else f"[{inside}]"
            return f"{key}<i>{sign if inside else f'{sign} empty {node.kind}'}</i>"
        case "string":
            return _string(node, budget, depth, key)
        case "deep":
            opening = visible(node.text[:200])
            note = f"nested deeper than is drawn, {len(node.text):,} characters"
            return f'{key}<i>{note}</i> <span class="s">{opening}</span>'
    budget.open_lines += 1
    kind = "l" if node.kind == "literal" else "n"
    cut = "…" if node.is_cut else ""
    return f'{key}<span class="{kind}">{visible(node.text)}{cut}</span>'


def _string(node: Node, budget: Budget, depth: int, key: str) -> str:
    inner = json_tree.embedded(node) if budget.embedded < EMBEDDED_DEEPEST else None
    if inner:
        budget.embedded += 1
        note = '<em class="note">JSON in a string</em> '
        html = _fold(inner, budget, depth, key + note)
        budget.embedded -= 1
        return html
    cut = '<i class="more">… cut here</i>' if node.is_cut else ""
    if len(node.text) < LONG and "\n" not in node.text:
        budget.open_lines += 1
        return f'{key}<span class="s">"{visible(node.text)}{"" if cut else chr(34)}</span>{cut}'
    lines = node.text.count("\n") + 1
    budget.open_lines += lines
    measure = f"{lines:,} lines" if lines > 1 else f"{len(node.text):,} characters"
    return f'{key}<i>text, {measure}</i><pre class="s">{visible(node.text)}{cut}</pre>'


def _fold(node: Node, budget: Budget, depth: int, key: str) -> str:
    is_open = budget.open_lines < OPEN_LINES and depth < 4
    head = f"{key}<i>{measure(node)}</i>"
    if not is_open:
        head += f' <span class="peek">{escape(_peek(node))}</span>'
    budget.open_lines += 1
    saved = budget.open_lines
    body = _children(node, budget, depth)
    if not is_open:
        budget.open_lines = saved  # what stands folded takes no lines
    return f"<details{' open' if is_open else ''}><summary>{head}</summary>{body}</details>"


def _children(node: Node, budget: Budget, depth: int) -> str:
    at_once = ITEMS_AT_ONCE if node.kind == "array" else KEYS_AT_ONCE
    if len(node.children) <= at_once + 3:
        at_once = len(node.children)
    seen: set[str] = set()
    first = _items(node.children[:at_once], budget, depth, seen, 1)
    rest = node.children[at_once:]
    html = f"<ul>{first}"
    if rest and budget.values > 0:
        more = _items(rest, budget, depth + 4, seen, at_once + 1)
        head = f'<details class="more"><summary>{len(rest):,} more</summary>'
        html += f"<li>{head}<ul>{more}</ul></details></li>"
    elif rest:
        html += _left_out(len(rest))
    if node.is_cut:
        html += '<li class="more">… goes on after what is shown here</li>'
    return html + "</ul>"


def _items(
    children: list[tuple[str | None, Node]],
    budget: Budget,
    depth: int,
    seen: set[str],
    first: int,
) -> str:
    """List items; those of an array that are folds get their number, counted from `first`."""
    parts: list[str] = []
    for index, (name, child) in enumerate(children):
        if not budget.spend():
            parts.append(_left_out(len(children) - index))
            break
        key = f"<i>{first + index}</i> " if child.children else ""
        if name is not None:
            again = ' <em class="note">same key again</em>' if name in seen else ""
            seen.add(name)
            key = f"<b>{visible(name)}</b>{again} "
        parts.append(f"<li>{_value(child, budget, depth + 1, key)}</li>")
    return "".join(parts)


def _left_out(number: int) -> str:
    things = "value" if number == 1 else "values"
    ways = "open or download the whole"
    return f'<li class="more">{number:,} more {things} not drawn here: {ways}</li>'


def measure(node: Node) -> str:
    """An object or array in words: "array, 12 items"."""
    number = len(node.children)
    thing = "item" if node.kind == "array" else "key"
    least = "at least " if node.is_cut else ""
    return f"{node.kind}, {least}{number:,} {thing}{'' if number == 1 else 's'}"


def _peek(node: Node) -> str:
    """What a closed fold holds, in one short line of plain text."""
    words: list[str] = []
    length = 0
    for name, child in node.children[:6]:
        word = _peek_value(child)
        word = f"{visible_plain(name[:40])}: {word}" if name is not None else word
        length += len(word)
        if length > 90:
            break
        words.append(word)
    more = ", …" if len(words) < len(node.children) else ""
    inside = ", ".join(words) + more if words else "…"
    return f"{{ {inside} }}" if node.kind == "object" else f"[ {inside} ]"


def _peek_value(node: Node) -> str:
    if node.kind == "string":
        flat = " ".join(node.text[:80].split())
        return f'"{visible_plain(flat[:40])}{"…" if len(node.text) > 40 else ""}"'
    if node.kind in ("number", "literal"):
        return node.text[:40]
    return "{…}" if node.kind == "object" else "[…]"
