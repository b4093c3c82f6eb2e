"""Input no parser likes: a 4xx problem each time, in bounded memory, and the server goes on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from api.media import ARROW
from tests.api.front import Front, problem_of

MEBIBYTE = 1_048_576

BROKEN_BODIES = {
    "empty": b"",
    "truncated": b'{"campaign_id": "c", "recip',
    "truncated text": b'{"campaign_id": "c',
    "two values": b"{} {}",
    "not an object": b"[]",
    "null": b"null",
    "bare word": b"hello",
    "NaN": b'{"a": NaN}',
    "arrays 100,000 deep": b"[" * 100_000,
    "arrays 100,000 deep and back": b"[" * 100_000 + b"]" * 100_000,
    "objects 100,000 deep": b'{"a":' * 100_000,
    "deep inside": b'{"campaign_id": "c", "recipients": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "10 MB integer": b'{"campaign_id": ' + b"9" * 10_000_000 + b"}",
    "10 MB fraction": b'{"campaign_id": 0.' + b"9" * 10_000_000 + b"}",
    "10 MB exponent": b'{"campaign_id": 1e' + b"9" * 10_000_000 + b"}",
    "10 MB text": b'{"campaign_id": "' + b"x" * 10_000_000 + b'"}',
    "10 MB name": b'{"' + b"x" * 10_000_000 + b'": 1}',
    "bad UTF-8": b'{"campaign_id": "\xff\xfe"}',
    "overlong UTF-8": b'{"campaign_id": "\xc0\xaf"}',
    "half a surrogate": b'{"campaign_id": "\\ud800"}',
    "NUL": b'{"campaign_id": "a\x00b"}',
    "escaped NUL": b'{"campaign_id": "a\\u0000b"}',
    "NUL after": b"{}\x00",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"campaign_id": "c"}'.encode("utf-16"),
    "duplicate key": b'{"campaign_id": "c", "campaign_id": "c"}',
    "unknown field": b'{"campaign_id": "c", "colour": "red"}',
}
JSON_ROUTES = [
    ("POST", "/send"),
    ("POST", "/send-batch"),
    ("POST", "/events"),
    ("PUT", "/campaigns/c"),
    ("PUT", "/recipients/r"),
    ("PUT", "/recipients/r/suppressions/sms"),
]
JSON_HEADERS = {"content-type": "application/json"}


@pytest.mark.parametrize(("method", "path"), JSON_ROUTES)
@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
def test_broken_bodies(client: httpx.Client, method: str, path: str, body: bytes) -> None:
    if not body and "suppressions" in path:
        pytest.skip("a suppression needs no body")
    answer = client.request(method, path, content=body, headers=JSON_HEADERS)
    assert answer.status_code in (400, 422)
    problem = problem_of(answer, answer.status_code)
    assert len(answer.content) < 10_000
    assert all(error["path"] == "" or error["path"].startswith("/") for error in problem.get("errors", []))
    assert client.get("/campaigns").status_code == 200


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"campaign_id": 5}, "/campaign_id"),
        ({"campaign_id": None}, "/campaign_id"),
        ({"campaign_id": ""}, "/campaign_id"),
        ({"recipients": {}}, "/recipients"),
        ({"recipients": None}, "/recipients"),
        ({"dedup_key": ""}, "/dedup_key"),
        ({"dedup_key": 5}, "/dedup_key"),
        ({"urgency": "very"}, "/urgency"),
        ({"channels": "sms"}, "/channels"),
        ({"channels": ["fax"]}, "/channels"),
        ({"send_at": "tomorrow"}, "/send_at"),
        ({"send_at": 5}, "/send_at"),
        ({"content": []}, "/content"),
        ({"colour": "red"}, "/colour"),
        ({"dry_run": 1}, "/dry_run"),
        ({"explain": 1}, "/explain"),
    ],
)
def test_wrong_types_have_their_path(client: httpx.Client, changes: dict[str, Any], path: str) -> None:
    assert client.put("/campaigns/typed", json={}).status_code == 200
    body = {"campaign_id": "typed", "recipients": [{"id": "r"}]} | changes
    problem = problem_of(client.post("/send-batch", json=body), 400)
    assert [error["path"] for error in problem["errors"]] == [path]


def test_a_missing_field_is_named(client: httpx.Client) -> None:
    for body, path in (({"recipients": []}, "/campaign_id"), ({"campaign_id": "c"}, "/recipients")):
        problem = problem_of(client.post("/send-batch", json=body), 400)
        assert [error["path"] for error in problem["errors"]] == [path]


def test_a_wrong_recipient_of_send_is_a_422(client: httpx.Client) -> None:
    assert client.put("/campaigns/typed", json={}).status_code == 200
    body = {"campaign_id": "typed", "recipient": {"id": "r", "device": "toaster"}}
    problem = problem_of(client.post("/send", json=body), 422)
    assert problem["errors"][0]["path"] == "/recipient/device"


def test_too_many_recipients_are_a_413(client: httpx.Client) -> None:
    assert client.put("/campaigns/many", json={}).status_code == 200
    recipients = b",".join(b'{"id":"m-%d"}' % number for number in range(100_001))
    body = b'{"campaign_id": "many", "recipients": [' + recipients + b"]}"
    problem_of(client.post("/send-batch", content=body, headers=JSON_HEADERS), 413)


@pytest.mark.parametrize("path", ["/send-batch", "/send", "/events"])
def test_a_body_over_the_limit_is_a_413(client: httpx.Client, path: str) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(65):
            yield b" " * MEBIBYTE

    announced = JSON_HEADERS | {"content-length": str(64 * MEBIBYTE + 1)}
    answer = exchange(client, "POST", path, announced, b"")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer
    problem_of(client.post(path, content=chunks(), headers=JSON_HEADERS), 413)
    assert client.get("/campaigns").status_code == 200


def test_a_body_of_just_the_limit_is_read(client: httpx.Client) -> None:
    problem_of(client.post("/send", content=b" " * (64 * MEBIBYTE), headers=JSON_HEADERS), 400)


def exchange(client: httpx.Client, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """What the server says to raw bytes, at least the head of it."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=30) as connection:
        head = [f"{method} /api/v1/outreach{path} HTTP/1.1", "Host: localhost"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        return head_of_answer(connection)


def head_of_answer(connection: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer and (received := connection.recv(65_536)):
        answer += received
    return answer


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ARROW])
def test_other_media_types_are_a_415(client: httpx.Client, media_type: str) -> None:
    for method, path in JSON_ROUTES:
        if (path, media_type) != ("/send-batch", ARROW):
            problem_of(client.request(method, path, content=b"{}", headers={"content-type": media_type}), 415)


def test_json_by_any_of_its_names(client: httpx.Client) -> None:
    for headers in ({}, {"content-type": "application/json; charset=utf-8"}, {"content-type": "Application/JSON"}):
        assert client.put("/campaigns/named", content=b"{}", headers=headers).status_code == 200


def test_what_is_not_built_yet_is_refused_in_words(client: httpx.Client) -> None:
    body = {"campaign_id": "c", "recipient": {"id": "r"}}
    problem = problem_of(client.post("/send?dry_run=true", json=body), 400)
    assert "query" in problem["detail"]


def test_requests_over_the_bound_are_a_429(fronts: Callable[..., Front]) -> None:
    front = fronts(limits__requests_in_flight_max="2")
    with httpx.Client(base_url=front.url + "/api/v1/outreach") as client:
        waiting = [start_of_a_request(front.port) for _ in range(2)]
        try:
            answer = client.get("/campaigns")
            while answer.status_code == 200:  # until the server has read both heads
                answer = client.get("/campaigns")
            problem_of(answer, 429)
            assert int(answer.headers["retry-after"]) >= 1
            assert client.get(front.url + "/health/live").status_code == 200
            assert client.get(front.url + "/metrics").status_code == 200
        finally:
            for connection in waiting:
                connection.close()
        while client.get("/campaigns").status_code == 429:  # until it has seen both go
            pass


def start_of_a_request(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(b"POST /api/v1/outreach/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{")
    return connection


def test_bytes_over_the_bound_are_a_429(fronts: Callable[..., Front]) -> None:
    front = fronts(limits__body_bytes_max="2048", limits__bytes_in_flight_max="2048")
    with httpx.Client(base_url=front.url + "/api/v1/outreach", headers=JSON_HEADERS) as client:
        problem_of(client.post("/send", content=b" " * 2_049), 413)
        with socket.create_connection(("127.0.0.1", front.port), timeout=30) as connection:
            connection.sendall(
                b"POST /api/v1/outreach/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2048\r\n\r\n" + b" " * 1_024
            )
            answer = client.post("/send", content=b" " * 1_025)
            while answer.status_code == 400:  # until the server has read the first half
                answer = client.post("/send", content=b" " * 1_025)
            problem_of(answer, 429)
            problem_of(client.post("/send", content=b"{}"), 400)


def test_a_body_that_does_not_come_is_a_408(fronts: Callable[..., Front]) -> None:
    front = fronts(limits__body_timeout_ms="50")
    with start_of_a_request(front.port) as connection:
        assert head_of_answer(connection).startswith(b"HTTP/1.1 408 ")
