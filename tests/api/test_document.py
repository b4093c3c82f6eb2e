"""The OpenAPI document says what is answered, and Schemathesis finds nothing it does not say."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.front import Front

EXAMPLES = 30
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="session")
def document(default_front: Front) -> dict[str, Any]:
    return dict(httpx.get(default_front.url + "/schema/openapi.json").json())


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    ids = [operation["operationId"] for operation in operations(document)]
    assert len(ids) == len(set(ids)) == 25
    assert all(operation["summary"] for operation in operations(document))


def test_every_error_is_declared_as_a_problem(document: dict[str, Any]) -> None:
    for operation in operations(document):
        (success,) = {"200", "204"} & operation["responses"].keys()
        assert "500" in operation["responses"]
        assert ("content" in operation["responses"][success]) is (success == "200")
        if "requestBody" in operation:
            assert {"400", "408", "413", "415", "429", "503"} <= operation["responses"].keys()
        for status, response in operation["responses"].items():
            if status != success:
                assert list(response["content"]) == ["application/problem+json"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [reference for value in node.values() for reference in references(value)]
        return [reference for value in node for reference in references(value)] if isinstance(node, list) else []

    names = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert names == document["components"]["schemas"].keys()


def test_schemathesis_finds_nothing(default_front: Front) -> None:
    schema = schemathesis.openapi.from_url(default_front.url + "/schema/openapi.json")
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def check(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        check()
