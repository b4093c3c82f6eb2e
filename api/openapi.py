"""The OpenAPI 3.1 document, from what each handler declares beside itself with `describe`.

The schemas are msgspec's own, of the Structs that requests are read into.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from msgspec import Struct

from actors.keyed import KEY_CHARACTERS_MAX
from api.idempotency import KEY_HEADER, REPLAYED_HEADER
from api.media import ARROW, JSON
from api.options import LISTS, OBJECTS
from api.problems import MEDIA_TYPE, Problem
from engine.scalars import scalar_schema

__all__ = ["Operation", "build_document", "describe"]

_ABOUT = (
    "May this person be contacted now, on which channel, at what time, and can the campaign pay for it. "
    "docs/orchestrator-guide.md tells the rules and every field, docs/delivery.md how what was decided leaves."
)
_REFERENCE = "#/components/schemas/{name}"
_ALWAYS = (500,)
_WITH_PLACE = (429, 503)
_WITH_BODY = (400, 408, 413, 415)
_WITH_KEY = (400, 409, 422)
_REPLAYED = {
    REPLAYED_HEADER: {"description": "The answer was given before.", "schema": {"const": "true"}},
}
_KEY = {
    "name": KEY_HEADER,
    "in": "header",
    "description": "Kept for 24 hours with path and raw body: the same again gets the first answer, recipients that "
    "were unavailable are decided then; another request under it is refused (422). Where the answer held a person who "
    "was erased it is forgotten (409). Only successes are kept.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX, "pattern": "^[!-~]+$"},
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}}


class Operation(Struct, frozen=True, kw_only=True):
    """What a handler takes and answers. `answer` None means the text of `media_type`."""

    id: str
    body: type[Struct] | None = None
    body_required: bool = True
    body_media_type: str = JSON
    many: bool = False
    """The body is a list of such."""
    status: int = 200
    """Of a success; 204 has no body."""
    answer: type[Struct] | None = None
    media_type: str = "application/json"
    problems: tuple[int, ...] = ()
    arrow: bool = False
    """Body and answer may be Arrow streams; beside such a body the other fields come in the query."""
    open: bool = False
    """Needs no key and takes no place among the requests under way."""
    keyless: bool = False
    """Needs no key: a signature or a token is proof enough. No Idempotency-Key is looked at."""
    signed_by: tuple[str, ...] = ()
    """The headers that prove it."""
    query: tuple[str, ...] = ()
    """What the query may have."""


def describe(operation_id: str, **facts: Any) -> dict[str, Any]:
    """The keyword arguments that give a Litestar handler its Operation."""
    operation = Operation(id=operation_id, **facts)
    return {"operation_id": operation_id, "opt": {"operation": operation}}


def build_document(routes: Iterable[BaseRoute], version: str, keyed: bool) -> dict[str, Any]:
    """The document of all routes whose handlers have an Operation; `keyed` where requests need a key."""
    found = sorted(_operations(routes), key=lambda entry: (entry[0], entry[1]))
    kinds = {kind for *_, operation in found for kind in (operation.body, operation.answer) if kind is not None}
    _, schemas = msgspec.json.schema_components(
        [Problem, *sorted(kinds, key=lambda kind: kind.__name__)],
        schema_hook=scalar_schema,
        ref_template=_REFERENCE,
    )
    for schema in schemas.values():
        schema["description"] = _one_line(schema["description"])
    paths: dict[str, dict[str, Any]] = {}
    for path, method, handler, operation in found:
        paths.setdefault(path, {})[method] = _operation(path, method, handler, operation, keyed)
        if operation.arrow and operation.body:
            _add_arrow(paths[path][method], schemas[operation.body.__name__]["properties"])
    components: dict[str, Any] = {"schemas": schemas}
    if keyed:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Madan Sara", "version": version, "description": _ABOUT},
        "paths": paths,
        "components": components,
    }


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip())


def _operations(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str, HTTPRouteHandler, Operation]]:
    for route in routes:
        if not isinstance(route, HTTPRoute):
            continue
        for method, (handler, _) in route.route_handler_map.items():
            operation = handler.opt.get("operation")
            if isinstance(operation, Operation) and method != "OPTIONS":
                yield re.sub(r"\{(\w+):str\}", r"{\1}", route.path), method.lower(), handler, operation


def _operation(path: str, method: str, handler: HTTPRouteHandler, operation: Operation, keyed: bool) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", path)
    needs_key = not (operation.open or operation.keyless)
    may_have_key = method == "post" and needs_key
    statuses = {*operation.problems, *_ALWAYS}
    statuses |= set() if operation.open else set(_WITH_PLACE)
    statuses |= set(_WITH_BODY) if operation.body else set()
    statuses |= {400} if names else set()
    statuses |= set(_WITH_KEY) if may_have_key else set()
    statuses |= {401 if keyed else 403} if needs_key else set()
    statuses |= {401} if operation.signed_by else set()
    summary, _, description = (handler.fn.__doc__ or "").strip().partition("\n")
    document: dict[str, Any] = {
        "operationId": operation.id,
        "summary": summary,
        "responses": {str(operation.status): _answer(operation)}
        | {str(status): _problem(status) for status in sorted(statuses)},
    }
    if description.strip():
        document["description"] = _one_line(description)
    parameters = [_parameter(name) for name in names]
    parameters += [_text("header", name, required=True) for name in operation.signed_by]
    parameters += [_text("query", name, required=False) for name in operation.query]
    parameters += [_KEY] if may_have_key else []
    if parameters:
        document["parameters"] = parameters
    if may_have_key:
        document["responses"][str(operation.status)]["headers"] = _REPLAYED
    if operation.body:
        schema: dict[str, Any] = {"$ref": _REFERENCE.format(name=operation.body.__name__)}
        document["requestBody"] = {
            "required": operation.body_required,
            "content": {
                operation.body_media_type: {"schema": {"type": "array", "items": schema} if operation.many else schema}
            },
        }
    if keyed and needs_key:
        document["security"] = [{"key": []}]
    return document


def _add_arrow(document: dict[str, Any], fields: dict[str, Any]) -> None:
    stream = {ARROW: {"schema": {"type": "string", "contentMediaType": ARROW}}}
    document["requestBody"]["content"] |= stream
    document["responses"]["200"]["content"] |= stream
    for name, schema in fields.items():
        if name != "recipients":
            parameter: dict[str, Any] = {"name": name, "in": "query"}
            parameter["description"] = "Beside an Arrow stream, and only there."
            if name in OBJECTS:
                parameter |= {"content": {JSON: {"schema": schema}}}
            else:
                parameter |= {"schema": schema} | ({"style": "form", "explode": False} if name in LISTS else {})
            document["parameters"].append(parameter)


def _answer(operation: Operation) -> dict[str, Any]:
    if operation.status == HTTPStatus.NO_CONTENT:
        return {"description": "Done."}
    schema: dict[str, Any] = {"type": "string"}
    if operation.answer:
        schema = {"$ref": _REFERENCE.format(name=operation.answer.__name__)}
    elif operation.media_type == "application/json":
        schema = {"type": "object"}
    return {"description": "As asked.", "content": {operation.media_type: {"schema": schema}}}


def _problem(status: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="Problem")}}},
    }
    if status in _WITH_PLACE:
        document["headers"] = _RETRY_AFTER
    return document


def _parameter(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 128}
    if name == "channel":
        schema = {"enum": ["email", "sms", "whatsapp", "instagram", "facebook", "linkedin", "twitter", "all"]}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _text(place: str, name: str, required: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": {"type": "string"}}
