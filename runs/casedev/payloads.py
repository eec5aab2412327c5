"""The wire shapes of Case.dev, read tolerantly. No raw JSON goes beyond this module.

Every field may be absent, null or of another type than documented. Reading has two lanes: a
strict one that is fast and right for almost every answer, and, where a value has an unexpected
type, a lenient one that takes what makes sense and notes what it found.

UNSET stands for an absent key, None for null.
"""

import re
import types
from collections.abc import Callable
from decimal import Decimal
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
BOM = b"\xef\xbb\xbf"
NOT_UTF8 = "The answer held bytes that are not UTF-8; they show as \ufffd."


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
    known = len(notes)
    try:
        return read_part(body.removeprefix(BOM), kind, "", notes)
    except msgspec.ValidationError as error:
        raise _unreadable("it is not a JSON object", body) from error
    except RecursionError as error:
        raise _unreadable("it is nested too deeply", body) from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        del notes[known:]
        return _read_mended(body, kind, notes)


def _read_mended[T: Struct](body: bytes, kind: type[T], notes: Notes) -> T:
    """The same, of a body that is not JSON as it stands."""
    sound = text.utf8(body)
    if sound != body.removeprefix(BOM):
        _note(notes, NOT_UTF8)
    try:
        try:
            return read_part(sound, kind, "", notes)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            answer = read_part(text.mended(sound), kind, "", notes)
            _note(notes, "The answer held NaN, Infinity or half characters, which are no JSON.")
            return answer
    except msgspec.ValidationError as error:
        raise _unreadable("it is not a JSON object", body) from error
    except msgspec.DecodeError as error:
        raise _unreadable("it is not JSON", body) from error
    except RecursionError as error:
        raise _unreadable("it is nested too deeply", body) from error


def _unreadable(why: str, body: bytes) -> Unreadable:
    return Unreadable(f"The answer cannot be read: {why}.", body=body)


def read_part[T: Struct](raw: bytes | Raw, kind: type[T], path: str, notes: Notes) -> T:
    """One object inside an answer; `path` names it in `notes`, as in "steps[3]"."""
    try:
        part: T = _decoder(kind).decode(raw)
    except msgspec.ValidationError:
        return _read_leniently(raw, kind, path, notes)
    return part


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
        present: dict[str, Raw] = _decoder(dict[str, Raw]).decode(raw)
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
    sent = bytes(raw)
    value, is_as_declared = _COERCIONS[_shape(core)](sent)
    if not is_as_declared:
        outcome = "could not be used" if value is None else "was taken as it makes sense"
        shown = sent[:40].decode("utf-8", "replace")
        _note(notes, f"{path} had an unexpected type ({shown}); it {outcome}.")
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


# Each gives a value and whether it is of the declared type after all. They look at the first
# byte and do not decode what they keep as text: it may be deep, or a number without measure.


def _as_text(raw: bytes) -> tuple[str | None, bool]:
    if raw.startswith(b'"'):
        return _string(raw), True
    return (None, True) if raw == b"null" else (raw.decode(), False)


def _string(raw: bytes) -> str:
    value: str = _decoder(str).decode(raw)
    return value


_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?")


def _as_whole(raw: bytes) -> tuple[int | None, bool]:
    is_text = raw.startswith(b'"')
    written = _string(raw).strip() if is_text else raw.decode()
    if not _NUMBER.fullmatch(written):
        return None, False
    number = Decimal(written)
    nearest = int(number.to_integral_value())
    return nearest, nearest == number and not is_text


def _as_truth(raw: bytes) -> tuple[bool | None, bool]:
    return {b"1": True, b"0": False, b'"true"': True, b'"false"': False}.get(raw), False


def _as_texts(raw: bytes) -> tuple[list[str] | None, bool]:
    if raw.startswith(b'"'):
        return [_string(raw)], False
    if not raw.startswith(b"["):
        return None, False
    items: list[Raw] = _decoder(list[Raw]).decode(raw)
    return [taken for item in items if (taken := _as_text(bytes(item))[0]) is not None], False


def _as_logs(raw: bytes) -> tuple[dict[str, str | None] | None, bool]:
    if raw.startswith(b"{"):
        parts: dict[str, Raw] = _decoder(dict[str, Raw]).decode(raw)
        return {name: _as_text(bytes(part))[0] for name, part in parts.items()}, False
    if raw.startswith(b"["):
        return {"logs": raw.decode()}, False
    return ({"logs": _string(raw)} if raw.startswith(b'"') else None), False


_COERCIONS: dict[str, Callable[[bytes], tuple[Any, bool]]] = {
    "str": _as_text,
    "int": _as_whole,
    "bool": _as_truth,
    "texts": _as_texts,
    "raws": lambda raw: (None, False),
    "logs": _as_logs,
}
