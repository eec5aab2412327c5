"""JSON answers, gzipped for clients that accept it."""

import gzip
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from runs.simulator.body import GZIP_FROM_BYTES, GZIP_LEVEL, Body
from runs.simulator.errors import Shape, error_body

OFF_LOOP_FROM_BYTES = 512 * 1024  # deflating more than this would hold up other answers


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def _response(body: bytes, status: int, gzipped: bool) -> Response:
    headers = {"vary": "accept-encoding"} | ({"content-encoding": "gzip"} if gzipped else {})
    return Response(body, status, headers, media_type="application/json")


def answer(request: Request, value: Any, status: int = 200) -> Response:
    body = msgspec.json.encode(value)
    if len(body) < GZIP_FROM_BYTES or not _takes_gzip(request):
        return _response(body, status, gzipped=False)
    return _response(gzip.compress(body, GZIP_LEVEL, mtime=0), status, gzipped=True)


async def answer_body(request: Request, body: Body) -> Response:
    """The same for a body that is kept between requests."""
    if len(body) < GZIP_FROM_BYTES or not _takes_gzip(request):
        return _response(body.plain(), 200, gzipped=False)
    if len(body) < OFF_LOOP_FROM_BYTES:
        return _response(body.gzipped(), 200, gzipped=True)
    return _response(await run_in_threadpool(body.gzipped), 200, gzipped=True)


def error_answer(status: int, message: str, shape: Shape) -> Response:
    return _response(msgspec.json.encode(error_body(status, message, shape)), status, gzipped=False)
