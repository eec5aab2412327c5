"""The OpenAPI document, for programs, and the page made from it, for people.

A page of our own: the usual viewers bring a megabyte of script, and styles that our policy for
browsers does not let in.
"""

import json
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboard.api.models import ApiToken
from dashboard.api.routes import api

METHODS = ("get", "post")


class Field(NamedTuple):
    name: str
    kind: str
    description: str
    note: str  # "required", a default, a range


class Operation(NamedTuple):
    anchor: str
    method: str
    path: str
    title: str
    description: str
    parameters: list[Field]
    body: list[Field]
    answer: str  # name of the schema
    status: str
    problems: list[str]


class Shape(NamedTuple):
    name: str
    description: str
    fields: list[Field]


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/")))
    for operations in told["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    body = response["content"].pop("application/json")
                    response["content"]["application/problem+json"] = body
    return told


@require_safe
def document(request: HttpRequest) -> HttpResponse:
    """Tells nothing of any run, so that a tool can read it without a token."""
    base = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
    body = json.dumps(schema() | {"servers": [{"url": base}]}, indent=1)
    return HttpResponse(body, content_type="application/json")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    told = schema()
    shapes = told["components"]["schemas"]
    operations = [
        _operation(method, path, operations[method], shapes)
        for path, operations in told["paths"].items()
        for method in METHODS
        if method in operations
    ]
    context = {
        "about": told["info"]["description"].strip().split("\n\n"),
        "operations": operations,
        "shapes": [_shape(name, shapes[name]) for name in _answers(shapes)],
        "base": settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/"),
        "most_live": ApiToken.MOST_LIVE,
    }
    return render(request, "api/docs.html", context)


def _answers(shapes: dict[str, Any]) -> list[str]:
    """What answers hold, the questions left out: those stand with their addresses."""
    return [name for name in shapes if not name.endswith("Query") and name != "RunToAdd"]


def _operation(method: str, path: str, told: dict[str, Any], shapes: dict[str, Any]) -> Operation:
    responses = told["responses"]
    status = next(code for code in responses if int(code) < 300)
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {})
    sent = shapes[_name(body["schema"])] if body else {}
    return Operation(
        anchor=told["operationId"].rpartition("_")[2] or told["operationId"],
        method=method.upper(),
        path=path,
        title=told["summary"],
        description=told.get("description", ""),
        parameters=[_parameter(one) for one in told.get("parameters", ())],
        body=_fields(sent),
        answer=_name(responses[status]["content"]["application/json"]["schema"]),
        status=status,
        problems=[code for code in responses if int(code) >= 400],
    )


def _parameter(told: dict[str, Any]) -> Field:
    shape = told["schema"]
    note = "in the address" if told["in"] == "path" else _note(shape)
    return Field(told["name"], _kind(shape), shape.get("description", ""), note)


def _shape(name: str, told: dict[str, Any]) -> Shape:
    return Shape(name, told.get("description", ""), _fields(told))


def _fields(told: dict[str, Any]) -> list[Field]:
    return [
        Field(name, _kind(field), field.get("description", ""), "")
        for name, field in told.get("properties", {}).items()
    ]


def _note(shape: dict[str, Any]) -> str:
    parts = []
    if shape.get("default") not in (None, "", []):
        parts.append(f"default {json.dumps(shape['default']).strip(chr(34))}")
    if "maximum" in shape and shape["maximum"] < 2**53:
        parts.append(f"{shape.get('minimum', 0)} to {shape['maximum']:,}")
    return ", ".join(parts)


def _kind(shape: dict[str, Any]) -> str:
    """ "string or null", "list of Step", "date-time"."""
    if "$ref" in shape:
        return _name(shape)
    if "anyOf" in shape:
        return " or ".join(dict.fromkeys(_kind(one) for one in shape["anyOf"]))
    if shape.get("type") == "array":
        return f"list of {_kind(shape.get('items', {}))}"
    return str(shape.get("format") or shape.get("type") or "any JSON")


def _name(shape: dict[str, Any]) -> str:
    return str(shape.get("$ref", "")).rpartition("/")[2]
