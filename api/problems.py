"""Problems (RFC 9457): the one place that turns whatever went wrong into an answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap
from msgspec import UNSET, Struct, UnsetType

from engine.errors import FieldError, MadanSaraError, Overloaded, RequestError, ShardUnavailable

__all__ = ["MEDIA_TYPE", "FieldProblem", "Problem", "exception_handlers", "problem_response"]

MEDIA_TYPE = "application/problem+json"

_DETAILS = {
    401: "This needs a key: Authorization: Bearer KEY.",
    404: "There is nothing at this path.",
    405: "This path does not take this method.",
    500: "Something went wrong here; it is in the log.",
}
_log = logging.getLogger("madan_sara.api")


class FieldProblem(Struct):
    """What is wrong at one place of the request."""

    path: str
    message: str


class Problem(Struct):
    """Why a request was not answered as asked. `errors` is there for bad input."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | UnsetType = UNSET


def problem_response(
    status: int,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """The answer of a problem."""
    problem = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=[FieldProblem(path, message) for path, message in errors] or UNSET,
    )
    return Response(
        msgspec.json.encode(problem), status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def _of_domain(_: Request[Any, Any, Any], error: MadanSaraError) -> Response[bytes]:
    headers = {}
    if isinstance(error, Overloaded | ShardUnavailable):
        headers["Retry-After"] = str(error.retry_after_s)
    errors = error.errors if isinstance(error, RequestError) else ()
    return problem_response(error.status, error.detail, errors, headers)


def _of_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    if error.status_code >= 500:
        return _of_bug(request, error)
    headers = {name.title(): value for name, value in (error.headers or {}).items()}
    detail = _DETAILS.get(error.status_code, error.detail)
    return problem_response(error.status_code, detail, headers=headers)


def _of_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    template = request.scope.get("path_template", "")
    _log.error("request failed", exc_info=error, extra={"method": request.method, "route": template})
    return problem_response(500, _DETAILS[500])


def exception_handlers() -> ExceptionHandlersMap:
    """By exception class, for the whole application."""
    return {MadanSaraError: _of_domain, HTTPException: _of_http, Exception: _of_bug}
