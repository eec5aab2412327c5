"""Errors in the three shapes that Case.dev is known to use (API facts, errors)."""

from typing import Any, Literal

Shape = Literal["a", "b", "c"]

_CODES = {
    400: "INVALID_REQUEST",
    401: "AUTH_INVALID",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    429: "RATE_LIMIT_EXCEEDED",
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ApiError(Exception):
    """An answer other than 2xx; the app renders it in the shape that is switched on."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def error_body(status: int, message: str, shape: Shape) -> dict[str, Any]:
    code = _CODES.get(status, "INTERNAL_ERROR")
    if shape == "b":
        type_ = _TYPES.get(status, "api_error")
        return {"error": {"message": message, "type": type_, "code": code.lower()}}
    if shape == "c":
        return {"message": message}
    return {"error": {"code": code, "message": message}}
