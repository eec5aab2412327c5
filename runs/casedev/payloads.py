"""The wire shapes of Case.dev, read tolerantly. No raw JSON goes beyond this module.

Every field may be absent, null or of another type than documented. Reading has two lanes: a
strict one that is fast and right for almost every answer, and, where a value has an unexpected
type, a lenient one that takes what makes sense and notes what it found.

UNSET stands for an absent key, None for null.
"""

import types
from collections.abc import Callable
from functools import cache
from typing import Any, get_args, get_origin

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from runs import text
from runs.casedev.errors import Unreadable

type Text = str | UnsetType | None
type Number = int | UnsetType | None
type Texts = list[str] | UnsetType | None
type Notes = list[str]

ABSENT = Raw(b"")
NOTES_CAP = 50


class FinalResponse(Struct, rename="camel"):
    summary: Text = UNSET
    created_object_ids: Texts = UNSET
    issues: Texts = UNSET


class Result(Struct, rename="camel"):
    output: Text = UNSET
    output_object_ids: Texts = UNSET
    final_response: FinalResponse | UnsetType | None = UNSET
    logs: dict[str, Text] | UnsetType | None = UNSET


class Summary(Struct, rename="camel"):
    cost_micros: Number = UNSET
    total_input_tokens: Number = UNSET
    total_output_tokens: Number = UNSET
    total_tokens: Number = UNSET


class Usage(Struct, rename="camel"):
    model: Text = UNSET
    input_tokens: Number = UNSET
    output_tokens: Number = UNSET
    tool_calls: Number = UNSET
    duration_ms: Number = UNSET
    summary: Summary | UnsetType | None = UNSET
    entries: list[Raw] | UnsetType | None = UNSET


class Details(Struct, rename="camel"):
    """`GET /agent/v1/run/{id}/details`. Steps and entries stay raw until one is asked for, so
    that those which did not change since the last answer cost a comparison and no more."""

    id: Text = UNSET
    agent_id: Text = UNSET
    status: Text = UNSET
    prompt: Text = UNSET
    guidance: Text = UNSET
    model: Text = UNSET
    workflow_id: Text = UNSET
    modal_sandbox_id: Text = UNSET
    provider: Text = UNSET
    runtime_id: Text = UNSET
    runtime_state: Text = UNSET
    result: Result | UnsetType | None = UNSET
    usage: Usage | UnsetType | None = UNSET
    steps: list[Raw] | UnsetType | None = UNSET
    created_at: Text = UNSET
    started_at: Text = UNSET
    completed_at: Text = UNSET


class StepPayload(Struct, rename="camel"):
    id: Text = UNSET
    type: Text = UNSET
    content: Text = UNSET
    tool_name: Text = UNSET
    tool_input: Raw = ABSENT
    tool_output: Raw = ABSENT
    duration_ms: Number = UNSET
    timestamp: Text = UNSET


class EntryPayload(Struct, rename="camel"):
    id: Text = UNSET
    kind: Text = UNSET
    service: Text = UNSET
    endpoint: Text = UNSET
    method: Text = UNSET
    status_code: Number = UNSET
    cost_micros: Number = UNSET
    prompt_tokens: Number = UNSET
    completion_tokens: Number = UNSET
    total_tokens: Number = UNSET
    model: Text = UNSET
    timestamp: Text = UNSET
    metadata: Raw = ABSENT


class ListedRun(Struct, rename="camel"):
    id: Text = UNSET
    agent_id: Text = UNSET
    status: Text = UNSET
    prompt: Text = UNSET
    model: Text = UNSET
    created_at: Text = UNSET
    started_at: Text = UNSET
    completed_at: Text = UNSET


class RunPage(Struct, rename="camel"):
    """One page of `GET /agent/v1/run`, newest first."""

    runs: list[Raw] | UnsetType | None = UNSET
    has_more: bool | UnsetType | None = UNSET
    next_cursor: Text = UNSET


class AgentPayload(Struct, rename="camel"):
    id: Text = UNSET
    name: Text = UNSET
    description: Text = UNSET
    model: Text = UNSET


class AgentPage(Struct, rename="camel"):
    agents: list[Raw] | UnsetType | None = UNSET
    has_more: bool | UnsetType | None = UNSET
    next_cursor: Text = UNSET


def read[T: Struct](body: bytes, kind: type[T], notes: Notes) -> T:
    """A whole answer as `kind`. Raises Unreadable if it is not one JSON object."""
    sound = text.utf8(body)
    if sound is not body and sound != body.removeprefix(b"\xef\xbb\xbf"):
        _note(notes, "The answer held bytes that are not UTF-8; they show as \ufffd.")
    try:
        try:
            return read_part(sound, kind, "", notes)
        except (msgspec.DecodeError, RecursionError):
            return read_part(text.repaired(sound), kind, "", notes)
    except (text.NotJSON, msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"The answer cannot be read: {_why(error)}.", body=body) from error


def read_part[T: Struct](raw: bytes | Raw, kind: type[T], path: str, notes: Notes) -> T:
    """One object inside an answer; `path` names it in `notes`, as in "steps[3]"."""
    try:
        return _decoder(kind).decode(raw)
    except msgspec.ValidationError:
        return _read_leniently(raw, kind, path, notes)


def _why(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return "it is not a JSON object"
    return str(error) if isinstance(error, text.NotJSON) else "it is not JSON"


def _note(notes: Notes, sentence: str) -> None:
    if len(notes) < NOTES_CAP:
        notes.append(sentence)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


@cache
def _members(kind: type[Struct]) -> dict[str, tuple[str, Any]]:
    """Wire name -> (attribute, type) of a struct."""
    return {field.encode_name: (field.name, field.type) for field in msgspec.structs.fields(kind)}


def _read_leniently[T: Struct](raw: bytes | Raw, kind: type[T], path: str, notes: Notes) -> T:
    try:
        present = _decoder(dict[str, Raw]).decode(raw)
    except msgspec.ValidationError:
        if not path:
            raise
        _note(notes, f"{path} is not an object.")
        return kind()
    result = kind()
    for name, (attribute, declared) in _members(kind).items():
        if name in present:
            where = f"{path}.{name}" if path else name
            setattr(result, attribute, _take(present[name], declared, where, notes))
    return result


def _take(raw: Raw, declared: Any, path: str, notes: Notes) -> Any:
    """`raw` as the declared type, or the nearest that makes sense with a note, or None."""
    try:
        return _decoder(declared).decode(raw)
    except msgspec.ValidationError:
        pass
    core = _core(declared)
    if isinstance(core, type) and issubclass(core, Struct):
        return _read_leniently(raw, core, path, notes)
    value = _COERCIONS[_shape(core)](bytes(raw))
    outcome = "could not be used" if value is None else "was taken as it makes sense"
    _note(
        notes,
        f"{path} had an unexpected type ({bytes(raw)[:40].decode('utf-8', 'replace')}); "
        f"it {outcome}.",
    )
    return value


def _core(declared: Any) -> Any:
    """The type that is left of an optional one: `str` of `str | UnsetType | None`."""
    declared = getattr(declared, "__value__", declared)
    if get_origin(declared) is types.UnionType:
        kinds = [kind for kind in get_args(declared) if kind not in (types.NoneType, UnsetType)]
        return kinds[0]
    return declared


def _shape(core: Any) -> str:
    if get_origin(core) is list:
        return "raws" if get_args(core)[0] is Raw else "texts"
    return "logs" if get_origin(core) is dict else core.__name__


def _as_text(raw: bytes) -> str | None:
    value = msgspec.json.decode(raw)
    return value if value is None or isinstance(value, str) else raw.decode()


def _as_whole(raw: bytes) -> int | None:
    match msgspec.json.decode(raw):
        case float(value) if value.is_integer():
            return int(value)
        case str(value) if value.strip().lstrip("-").isdecimal() and len(value) < 20:
            return int(value)
        case _:
            return None


def _as_truth(raw: bytes) -> bool | None:
    return {b"1": True, b"0": False, b'"true"': True, b'"false"': False}.get(raw)


def _as_texts(raw: bytes) -> list[str] | None:
    match msgspec.json.decode(raw):
        case list():
            items = _decoder(list[Raw]).decode(raw)
            return [taken for item in items if (taken := _as_text(bytes(item))) is not None]
        case str(value):
            return [value]
        case _:
            return None


def _as_logs(raw: bytes) -> dict[str, str | None] | None:
    match msgspec.json.decode(raw):
        case dict():
            parts = _decoder(dict[str, Raw]).decode(raw)
            return {name: _as_text(bytes(part)) for name, part in parts.items()}
        case str(value):
            return {"logs": value}
        case list():
            return {"logs": raw.decode()}
        case _:
            return None


_COERCIONS: dict[str, Callable[[bytes], Any]] = {
    "str": _as_text,
    "int": _as_whole,
    "bool": _as_truth,
    "texts": _as_texts,
    "raws": lambda raw: None,
    "logs": _as_logs,
}
