"""Keys: with any configured, everything but health and the document needs one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from engine.config import load_settings
from engine.errors import ConfigurationError
from tests.api.front import Front, problem_of

GUARDED = [
    ("GET", "/api/v1/outreach/campaigns"),
    ("POST", "/api/v1/outreach/send"),
    ("POST", "/api/v1/outreach/send-batch"),
    ("GET", "/api/v1/outreach/messages/m"),
    ("DELETE", "/api/v1/outreach/recipients/r/suppressions/all"),
    ("PUT", "/api/v1/clock"),
    ("GET", "/metrics"),
]


@pytest.fixture(scope="module")
def keyed(fronts: Callable[..., Front]) -> Iterator[httpx.Client]:
    front = fronts(api_keys="first-key,second-key", clock="manual")
    with httpx.Client(base_url=front.url) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer", "Bearer wrong", "Basic first-key", "first-key", "Bearer first-key,second-key"],
)
def test_no_or_a_wrong_key_is_a_401(keyed: httpx.Client, method: str, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = keyed.request(method, path, headers=headers)
    problem_of(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["first-key", "second-key"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_every_key_opens(keyed: httpx.Client, key: str, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {key}"}
    assert keyed.get("/api/v1/outreach/campaigns", headers=headers).status_code == 200
    assert keyed.get("/metrics", headers=headers).status_code == 200


def test_a_refused_key_counts_by_its_status(keyed: httpx.Client) -> None:
    path = "/api/v1/outreach/campaigns/{campaign_id}"
    counted = f'madan_sara_requests_total{{method="PUT",path="{path}",status_code="401"}}'
    headers = {"Authorization": "Bearer first-key"}
    assert counted not in keyed.get("/metrics", headers=headers).text
    keyed.put("/api/v1/outreach/campaigns/c", content=b"{}")
    assert f"{counted} 1.0" in keyed.get("/metrics", headers=headers).text


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/schema/openapi.json"])
def test_health_and_the_document_are_open(keyed: httpx.Client, path: str) -> None:
    assert keyed.get(path).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("localhost:1", 200),
        ("[::1]", 200),
        ("[::1]:8080", 200),
        ("evil.example:8080", 403),
        ("evil.example", 403),
        ("192.168.0.1:8080", 403),
        ("[2001:db8::1]:8080", 403),
    ],
)
def test_without_a_key_only_loopback_is_answered(client: httpx.Client, host: str, status: int) -> None:
    answer = client.get("/campaigns", headers={"Host": host})
    assert answer.status_code == status
    if status == 403:
        problem_of(answer, 403)


def test_with_a_key_any_host_is_answered(keyed: httpx.Client) -> None:
    headers = {"Host": "outreach.example", "Authorization": "Bearer first-key"}
    assert keyed.get("/api/v1/outreach/campaigns", headers=headers).status_code == 200


def test_without_a_key_only_loopback_is_bound() -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        load_settings(environment={}, options={"host": "0.0.0.0"})
