"""Whether a tool call failed, as far as its output says so beyond doubt.

The API has no field for it. A wrong "failed" would be a lie about somebody's work, so only
outputs that can mean nothing else count; whatever reads a document (`read`, `grep`, ...) may
well return the word "error" and is judged by the tool's own messages alone.
"""

import re

from runs import json_tree
from runs.json_tree import Node

# Rises when the rule changes, so that what was judged by an earlier one can be judged anew.
RULE = 1

# How much of an output is looked at, here and by whoever reads only a part.
PREFIX = 2_000

# An output without any of these is no failure: twenty plain searches cost less than one pattern,
# and a long run has thousands of outputs. Most are text that begins with none of the words that a
# failure begins with, and then five are enough.
_HINTS = (
    *("rror", "RROR", "xit", "eturnCode", "eturn_code", "eturncode", "uccess", '"ok', "atal"),
    *("FATAL", "raceback", "anic", "o such", "ot found", "enied", "s a directory", "ENO"),
)
_START = re.compile(
    r"error|fatal|panic|traceback|usage|exit|process |command |failed with", re.IGNORECASE
)
_STARTS = frozenset("EeFfPpTtUu")  # letters that it begins with
_COLOUR = "\\u001"  # what begins a colour code in JSON, which may stand within a word
_READER_STARTS = frozenset("EeFfPpDdNn")
_LINE_END = r"\n"
_SHELL_HINTS = ("o such", "ot found", "enied", "s a directory")
_READERS = {"read", "grep", "glob", "webfetch", "list", "edit", "write"}
_EXIT_KEYS = ("exitCode", "exit_code", "exitcode", "returncode", "returnCode", "return_code")
_READER_ERROR = re.compile(
    r"\s*(?:(?:Error: )?(?:File|Path|Directory) not found|Error: ENOENT|ENOENT\b"
    r"|(?:Error: )?(?:No such file or directory|Permission denied)"
    r"|Error: (?:oldString not found|Failed to|Request failed|Cannot |Could not ))",
    re.IGNORECASE,
)
_COMMAND_ERROR = re.compile(
    r"(?:error|fatal|panic)(?:\[\w+\])?: \S|Traceback \(most recent call last\)|Error: \S",
    re.IGNORECASE,
)
_EXIT_LINE = re.compile(
    r"\(?(?:process |command )?(?:exit (?:code|status)|exited with(?: code)?"
    r"|failed with exit code)[: ]+(-?[1-9]\d*)\b\)?",
    re.IGNORECASE,
)
_SHELL_ERROR = re.compile(
    r"(?:[\w./-]+: )+(?:line \d+: )?[^:]{0,200}: "
    r"(?:command not found|No such file or directory|Permission denied|Is a directory)"
)
_ANSI = re.compile(r"\x1b\[[0-9;:]*[A-Za-z]")
_PREAMBLE = re.compile(r"^(?:error|fatal)(?:\[\w+\])?: (?=\S)", re.IGNORECASE)
_LONGEST_REASON = 140


def failure(tool: str | None, raw: str | None, is_whole: bool = True) -> str:
    """Why the call failed, in a few words of its own output; "" if it did not, or may not have.

    `raw` is the output's JSON text (`is_whole` false: its first PREFIX characters).
    """
    if raw is None:
        return ""
    part = raw[:PREFIX]
    if not _may_tell_of_failure(tool, part):
        return ""
    node = json_tree.parse(part, is_whole and len(raw) <= PREFIX)
    if node is None:
        return ""
    reads = tool in _READERS
    if node.kind == "string":
        inner = json_tree.embedded(node)
        if inner is None:
            return _shortened(_of_reader(node.text) if reads else _of_text(node.text))
        node = inner
    return "" if reads or node.kind != "object" else _shortened(_of_object(node))


def _may_tell_of_failure(tool: str | None, part: str) -> bool:
    """False for nearly all that is none; whatever the rules below take for one passes."""
    if part[:1] in ("[", "n", "t", "f"):  # an array or a literal
        return False
    if part[:1] == '"' and part[1:2].isalnum():  # text, with no blank, escape or JSON at its start
        if tool in _READERS:
            return part[1] in _READER_STARTS
        begins_so = part[1] in _STARTS and _START.match(part, 1) is not None
        # One character is found many times faster than two.
        has_escapes = "\\" in part
        if not begins_so and not (has_escapes and _COLOUR in part):
            first, last = _ends(part) if has_escapes else (part, part)
            return "xit" in last or (":" in first and _has_any(first, _SHELL_HINTS))
    return _has_any(part, _HINTS)


def _ends(part: str) -> tuple[str, str]:
    """The first and the last line of text in JSON."""
    first, last = part.find(_LINE_END), part.rfind(_LINE_END)
    return (part, part) if first < 0 else (part[:first], part[last + 1 :])


def _has_any(text: str, hints: tuple[str, ...]) -> bool:
    for hint in hints:  # noqa: SIM110 # a generator for `any` would take longer than the searches
        if hint in text:
            return True
    return False


def _of_object(node: Node) -> str:
    said = _message(node.get("error")) or _first_line(node.word("stderr"))
    code = _exit_code(node) or _exit_code(node.get("metadata"), "exit")
    if code:
        return f"{said} (exit code {code})" if said else f"exit code {code}"
    if _message(node.get("error")):
        return _message(node.get("error"))
    if _is(node.get("isError", "is_error"), "true") or _is(node.get("success", "ok"), "false"):
        return said or _first_line(node.word("message", "content", "output")) or "reported an error"
    return ""


def _exit_code(node: Node | None, *names: str) -> str:
    child = node.get(*(names or _EXIT_KEYS)) if node else None
    if child is None or child.kind != "number" or child.is_cut:
        return ""
    return child.text if child.text.strip("-0.") else ""


def _message(error: Node | None) -> str:
    """What an `error` value says; "" for null, false, "" and {}."""
    if error is None:
        return ""
    if error.kind == "object" and error.children:
        return _first_line(error.word("message", "detail", "code", "type")) or "error"
    if error.kind == "string":
        return _first_line(error.text)
    return "error" if _is(error, "true") else ""


def _is(node: Node | None, literal: str) -> bool:
    return node is not None and node.kind == "literal" and node.text == literal


def _of_reader(text: str) -> str:
    return _first_line(text) if _READER_ERROR.match(text) else ""


def _of_text(text: str) -> str:
    lines = [line.strip() for line in _ANSI.sub("", text).strip().splitlines()]
    if not lines:
        return ""
    # A usage text comes with its error within the first lines; without one it was asked for.
    leading = lines[:6] if lines[0].lower().startswith("usage") else lines[:1]
    for line in leading:
        if _COMMAND_ERROR.match(line):
            return lines[-1] if line.startswith("Traceback") else line
    if code := _EXIT_LINE.match(lines[0]) or _EXIT_LINE.fullmatch(lines[-1]):
        return f"exit code {code[1]}"
    return lines[0] if len(lines) <= 3 and _SHELL_ERROR.fullmatch(lines[0]) else ""


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _shortened(reason: str) -> str:
    reason = _PREAMBLE.sub("", reason)
    return reason if len(reason) <= _LONGEST_REASON else reason[: _LONGEST_REASON - 1] + "…"
