"""Reading request bodies: every wrong field is a 400 that names it."""

from typing import Any

import msgspec
from starlette.requests import Request

from runs.simulator.errors import ApiError


async def json_object(request: Request) -> dict[str, Any]:
    """The JSON object of the body; an empty body counts as an empty object."""
    raw = await request.body()
    if not raw:
        return {}
    try:
        value = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise ApiError(400, "Request body must be valid JSON") from error
    if not isinstance(value, dict):
        raise ApiError(400, "Request body must be a JSON object")
    return value


def required_text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ApiError(400, f"{name} is required and must be a non-empty string")
    return value


def optional_text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ApiError(400, f"{name} must be a string")
    return value


def optional_texts(fields: dict[str, Any], name: str) -> list[str] | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ApiError(400, f"{name} must be an array of strings")
    return value


def whole_number(text: str | None, name: str, default: int, low: int, high: int) -> int:
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ApiError(400, f"{name} must be a whole number from {low} to {high}")
    return int(text)
