"""One plain line for each tool call, by rules from its name, its input and what came back.

Tool names and argument shapes are those that Case.dev's documentation and its open-source
runtimes use; a name is free text, so anything else is said honestly: the tool's own name and the
first thing it was given.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from dashboard.rendering import shell
from dashboard.rendering.wording import (
    Act,
    Caption,
    Code,
    Part,
    Place,
    Quote,
    State,
    Verb,
    caption,
    first_of,
    found,
    number,
)
from runs import json_tree
from runs.json_tree import Node

WRITE = Verb("Writing", "Wrote", "write", "file written", "files written")
EDIT = Verb("Editing", "Edited", "edit", "edit", "edits")
OPEN = Verb("Reading", "Read", "open", "file read", "files read")
FETCH = Verb("Fetching", "Fetched", "fetch", "web page fetched", "web pages fetched")
PLAN = Verb("Updating", "Updated", "update", "update of its plan", "updates of its plan")
HAND_ON = Verb("Handing on", "Handed on", "hand on", "task handed on", "tasks handed on")
USE = Verb("Calling", "Called", "call")

type Said = tuple[Verb, list[Part]]

# How tools that change a file word what they did.
_ENDINGS = {
    WRITE: re.compile(r"Wrote ([\d,]{1,12} lines?)\b"),
    EDIT: re.compile(r"(?:Edited [^\n]{1,400}: )([\d,]{1,12} replacements?)\b"),
}


def of_call(
    tool: str | None,
    tool_input: str | None,
    output: Any = None,
    state: State = "done",
    reason: str = "",
) -> Caption:
    """What a tool call did.

    `tool_input` is JSON text, or its first part; `output` a value from `read_output`; `reason`
    the words in which a failed call says why.
    """
    given = json_tree.parse(tool_input, is_whole=False) if tool_input else None
    if given and given.kind == "string":
        given = json_tree.embedded(given) or given
    verb, parts = _said(tool or "", given)
    ending: list[Part] = []
    if state == "failed" and reason:
        ending = [": ", Quote(reason)]
    elif state == "done" and (told := _told(tool or "", verb, output)):
        ending = [": ", *told]
    line = caption(verb.words(state), " ", *parts, *ending)
    return replace(line, act=_act(tool or "", verb, parts))


def _act(tool: str, verb: Verb, parts: list[Part]) -> Act:
    if verb is USE:  # of a tool that we do not know, its name is all that makes calls alike
        return Act(f"call of {tool}", f"calls of {tool}") if tool else Act(verb.one, verb.many)
    place = next((part.text for part in parts if isinstance(part, Place)), "")
    if not place and verb is shell.SEARCH and parts and isinstance(parts[0], str):
        place = parts[0].partition(" for ")[0]  # "the web", "court dockets"
    return Act(verb.one, verb.many, place)


def _told(tool: str, verb: Verb, output: Any) -> list[Part]:
    """What came back, where it says so plainly."""
    rule = _ENDINGS.get(verb)
    if isinstance(output, str) and rule and (match := rule.match(output)):
        return [match[1].strip()]
    if verb is shell.UPLOAD and isinstance(output, dict):
        made = output.get("objectId") or output.get("object_id")
        return ["now ", Code(made)] if isinstance(made, str) and made else []
    if _plain_name(tool) == "glob" and isinstance(output, str) and not found(output):
        paths = [line for line in output.splitlines() if line.strip()]
        return [number(len(paths), "file")] if all(" " not in path for path in paths) else []
    words = found(output)
    return [words] if words else []


def of_result(tool: str | None, position: int | None, reason: str = "") -> Caption:
    """A `tool_result` step; `position` is that of its call, if one was found."""
    of: list[Part] = [f"Result of step {position}"] if position else ["Result"]
    if tool:
        of += [" of " if not position else ", ", Code(tool)]
    if not position:
        of += [", whose call is not told"]
    if reason:
        of += [": ", Quote(reason)]
    return caption(*of)


def read_output(raw: str | None, is_whole: bool) -> Any:
    """An output's value for counting: decoded if all of it is here, its text if it is a text."""
    if raw is None:
        return None
    try:
        if not is_whole:
            return json_tree.decode(raw + '"') if raw.startswith('"') else None
        value = json.loads(raw, strict=False)
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            value = json.loads(value, strict=False)
    except (ValueError, RecursionError):
        return None
    return value


def _said(tool: str, given: Node | None) -> Said:
    if given is not None:
        rule = _RULES.get(_plain_name(tool))
        said = rule(given) if rule else None
        if said:
            return said
    return _unknown(tool, given)


def _plain_name(tool: str) -> str:
    """`casedev_vault_search`, `vault.search` and `vault-search` are one tool."""
    return re.sub(r"[.\-:/]+", "_", tool.strip().lower()).removeprefix("casedev_")


def _unknown(tool: str, given: Node | None) -> Said:
    parts: list[Part] = [Code(tool)] if tool else ["a tool without a name"]
    key, value = first_of(given)
    if value:
        parts += [" with ", f"{key} " if key.isidentifier() else "", Quote(value)]
    return USE, [part for part in parts if part != ""]


# Files ---------------------------------------------------------------------------------------


def _bash(given: Node) -> Said | None:
    command = given.word("command", "cmd") or (given.text if given.kind == "string" else "")
    return shell.described(command, given.word("description")) if command.strip() else None


def _read(given: Node) -> Said | None:
    path = given.word("filePath", "file_path", "path", "file")
    if not path:
        return None
    offset, limit = given.word("offset"), given.word("limit")
    span = ""
    if limit.isdecimal() and offset.isdecimal() and len(offset) < 10 and len(limit) < 10:
        span = f", {int(limit):,} lines from line {int(offset):,}"
    elif limit.isdecimal() and len(limit) < 10:
        span = f", first {number(int(limit), 'line')}"
    elif offset.isdecimal() and len(offset) < 10:
        span = f" from line {int(offset):,}"
    return OPEN, [Code(_short_path(path)), span]


def _write(given: Node) -> Said | None:
    path = given.word("filePath", "file_path", "path", "file")
    return (WRITE, [Code(_short_path(path))]) if path else None


def _edit(given: Node) -> Said | None:
    path = given.word("filePath", "file_path", "path", "file")
    if not path:
        return None
    old = given.word("oldString", "old_string", "oldText")
    at: list[Part] = [" at ", Quote(old, 50)] if old.strip() else []
    return EDIT, [Code(_short_path(path)), *at]


def _short_path(path: str) -> str:
    return path.removeprefix("/workspace/") or path


def _glob(given: Node) -> Said | None:
    pattern = given.word("pattern", "glob")
    return (shell.LIST, ["files that match ", Code(pattern), *_in(given)]) if pattern else None


def _grep(given: Node) -> Said | None:
    pattern = given.word("pattern", "query", "regex")
    if not pattern:
        return None
    include = given.word("include", "glob")
    what: list[Part] = [Code(include)] if include else ["files"]
    return shell.SEARCH, [*what, *_in(given), " for ", Quote(pattern)]


def _list(given: Node) -> Said | None:
    path = given.word("path", "directory")
    return shell.LIST, ["the files in ", Code(path)] if path else ["files"]


def _in(given: Node) -> list[Part]:
    path = given.word("path", "directory").rstrip("/")
    return [" in ", Place(path)] if path and path not in (".", "/workspace") else []


def _webfetch(given: Node) -> Said | None:
    url = given.word("url", "uri")
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return FETCH, [Code(url)]
    return FETCH, [Code(f"{parts.netloc}{parts.path}".rstrip("/") or url)]


def _websearch(given: Node) -> Said | None:
    query = given.word("query", "q")
    return (shell.SEARCH, ["the web for ", Quote(query)]) if query else None


def _todowrite(given: Node) -> Said | None:
    todos = given.get("todos", "items")
    if todos is None or todos.kind != "array":
        return None
    if todos.is_cut:
        return PLAN, ["its plan"]
    total = len(todos.children)
    done = sum(child.word("status") == "completed" for _, child in todos.children)
    now = next((c for _, c in todos.children if c.word("status") == "in_progress"), None)
    parts: list[Part] = [f"its plan: {done:,} of {number(total, 'point')} done"]
    if now and now.word("content"):
        parts += [", now ", Quote(now.word("content"), 60)]
    return PLAN, parts


def _todoread(given: Node) -> Said | None:
    return shell.READ, ["its plan"]


def _task(given: Node) -> Said | None:
    said = given.word("description", "prompt")
    return (HAND_ON, ["a task: ", Quote(said)]) if said else None


# Case.dev's own tools ------------------------------------------------------------------------


def _vault(given: Node) -> Place:
    return Place(given.word("vaultId", "vault_id", "vault", "id"))


def _object(given: Node) -> Code:
    return Code(given.word("objectId", "object_id", "filename", "path", "object", "id"))


def _vault_search(given: Node) -> Said | None:
    query = given.word("query", "q")
    where: list[Part] = [_vault(given)] if _vault(given).text else ["the vault"]
    return (shell.SEARCH, [*where, " for ", Quote(query)]) if query else None


def _vault_list(given: Node) -> Said | None:
    return shell.LIST, ["the vaults"]


def _vault_get(given: Node) -> Said | None:
    return (shell.GET, ["vault ", _vault(given)]) if _vault(given).text else None


def _vault_object_list(given: Node) -> Said | None:
    where: list[Part] = [_vault(given)] if _vault(given).text else ["the vault"]
    return shell.LIST, ["the documents of ", *where]


def _vault_move(verb: Verb, link: str) -> Callable[[Node], Said | None]:
    def rule(given: Node) -> Said | None:
        thing, vault = _object(given), given.word("vaultId", "vault_id", "vault")
        if not thing.text:
            return None
        place: list[Part] = [f" {link} ", Place(vault)] if vault else []
        return verb, [thing, *place]

    return rule


def _matter(verb: Verb) -> Callable[[Node], Said | None]:
    def rule(given: Node) -> Said | None:
        name = given.word("path", "filePath", "matterId", "matter_id", "id", "name")
        return (verb, ["matter file ", Code(name)]) if name else (verb, ["the matter"])

    return rule


def _law(given: Node) -> Said | None:
    query = given.word("query", "q", "question")
    return (shell.RESEARCH, ["case law: ", Quote(query)]) if query else None


_RULES: dict[str, Callable[[Node], Said | None]] = {
    "bash": _bash,
    "shell": _bash,
    "read": _read,
    "write": _write,
    "edit": _edit,
    "multiedit": _edit,
    "glob": _glob,
    "grep": _grep,
    "list": _list,
    "webfetch": _webfetch,
    "websearch": _websearch,
    "todowrite": _todowrite,
    "todoread": _todoread,
    "task": _task,
    "vault_list": _vault_list,
    "vault_get": _vault_get,
    "vault_object_list": _vault_object_list,
    "vault_objects": _vault_object_list,
    "vault_search": _vault_search,
    "search_vault": _vault_search,
    "vault_upload": _vault_move(shell.UPLOAD, "to"),
    "vault_download": _vault_move(shell.DOWNLOAD, "from"),
    "matter_read": _matter(OPEN),
    "matter_write": _matter(WRITE),
    "matter_edit": _matter(EDIT),
    "legal_research_search": _law,
    "legal_research": _law,
    "legal_search": _law,
    "web_search": _websearch,
}
