"""Bodies over a real server's socket: each request is answered by its own, however it came, and none is copied."""

from __future__ import annotations

import queue
import socket
from collections.abc import Iterator
from typing import Any, BinaryIO

import httpx
import msgspec
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from actors.client import AsyncOutreach
from api.http_protocol import PIECE_BYTES_MIN, HttpProtocol
from tests.api.front import Front

PATIENCE_S = 20
PEOPLE = 100


class Watched:
    """What the server's protocol and its application are given of bodies, in order."""

    def __init__(self) -> None:
        self.pieces: queue.Queue[bytes] = queue.Queue()
        self.kept_in: list[str] = []
        """The class of what a request's body is gathered in, at each piece."""
        self.bodies: list[bytes] = []
        """Of batches, as they are parsed."""


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    noted, on_body, send_batch_body = Watched(), HttpProtocol.on_body, AsyncOutreach.send_batch_body

    def note_piece(protocol: HttpProtocol, piece: bytes) -> None:
        on_body(protocol, piece)
        noted.kept_in.append(type(protocol.cycle.body).__name__)
        noted.pieces.put(piece)

    async def note_body(outreach: AsyncOutreach, body: bytes, *arguments: Any) -> Any:
        noted.bodies.append(body)
        return await send_batch_body(outreach, body, *arguments)

    monkeypatch.setattr(HttpProtocol, "on_body", note_piece)
    monkeypatch.setattr(AsyncOutreach, "send_batch_body", note_body)
    return noted


@pytest.fixture
def connection(default_front: Front, watched: Watched) -> Iterator[socket.socket]:
    """A new one: the parser of each has the methods that there were when it was made."""
    with socket.create_connection(("127.0.0.1", default_front.port), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


@pytest.fixture
def answers(connection: socket.socket) -> Iterator[BinaryIO]:
    with connection.makefile("rb") as answers:
        yield answers


@pytest.fixture(scope="module")
def campaign_id(client: httpx.Client) -> str:
    assert client.put("/campaigns/bodies", json={"urgency": "high"}).status_code == 200
    return "bodies"


def person(recipient_id: str) -> dict[str, Any]:
    return {"id": recipient_id, "contacts": {"email": "ana@example.com"}}


def send_body(campaign_id: str, recipient_id: str) -> bytes:
    return msgspec.json.encode({"campaign_id": campaign_id, "recipient": person(recipient_id)})


def batch_body(campaign_id: str, name: str) -> bytes:
    """Longer than a piece has to be to be kept as it came."""
    people = [person(f"{name}-{number}") for number in range(PEOPLE)]
    body = msgspec.json.encode({"campaign_id": campaign_id, "recipients": people})
    assert len(body) > PIECE_BYTES_MIN
    return body


def request(path: str, body: bytes) -> bytes:
    lines = [f"POST /api/v1/outreach/{path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_answer(answers: BinaryIO) -> Any:
    """The JSON of the next answer, which is a success."""
    assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
    headers = dict(line.lower().split(b": ", 1) for line in iter(answers.readline, b"\r\n"))
    return msgspec.json.decode(answers.read(int(headers[b"content-length"])))


@pytest.mark.parametrize("cut", [1, 60, -1])
def test_a_send_in_two_writes_is_decided_as_one(
    connection: socket.socket, answers: BinaryIO, watched: Watched, campaign_id: str, cut: int
) -> None:
    recipient_id = f"cut at {cut}"
    body = send_body(campaign_id, recipient_id)
    whole = request("send", body)
    head_bytes = len(whole) - len(body)
    end = head_bytes + cut % len(body)
    connection.sendall(whole[:end])
    assert watched.pieces.get(timeout=PATIENCE_S) == body[:cut]
    connection.sendall(whole[end:])
    decision = read_answer(answers)
    assert watched.pieces.get(timeout=PATIENCE_S) == body[cut:]
    assert (decision["recipient_id"], decision["status"]) == (recipient_id, "scheduled")
    assert watched.kept_in == ["Pieces"] * 2


@pytest.mark.parametrize("first_bytes", [1, PIECE_BYTES_MIN - 1, PIECE_BYTES_MIN])
def test_a_batch_in_two_writes_is_decided_as_one(
    connection: socket.socket, answers: BinaryIO, watched: Watched, campaign_id: str, first_bytes: int
) -> None:
    body = batch_body(campaign_id, f"of {first_bytes}")
    whole = request("send-batch", body)
    end = len(whole) - len(body) + first_bytes
    connection.sendall(whole[:end])
    assert watched.pieces.get(timeout=PATIENCE_S) == body[:first_bytes]
    connection.sendall(whole[end:])
    results = read_answer(answers)["results"]
    assert [one["recipient_id"] for one in results] == [f"of {first_bytes}-{number}" for number in range(PEOPLE)]
    assert set(watched.kept_in) == {"Pieces"}
    assert watched.bodies == [body]


def test_requests_in_one_write_get_an_answer_each(
    connection: socket.socket, answers: BinaryIO, watched: Watched, campaign_id: str
) -> None:
    first, second = send_body(campaign_id, "piped-first"), batch_body(campaign_id, "piped")
    third = send_body(campaign_id, "piped-third")
    connection.sendall(request("send", first) + request("send-batch", second) + request("send", third))
    assert read_answer(answers)["recipient_id"] == "piped-first"
    assert [one["recipient_id"] for one in read_answer(answers)["results"]] == [f"piped-{i}" for i in range(PEOPLE)]
    assert read_answer(answers)["recipient_id"] == "piped-third"
    assert set(watched.kept_in) == {"Pieces"}
    assert watched.bodies == [second]


def test_a_body_that_came_at_once_is_parsed_where_it_came(
    connection: socket.socket, answers: BinaryIO, watched: Watched, campaign_id: str
) -> None:
    connection.sendall(request("send-batch", batch_body(campaign_id, "at once")))
    assert read_answer(answers)["counts"]["scheduled"] == PEOPLE
    assert watched.bodies[0] is watched.pieces.get(timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (HttpToolsProtocol.on_headers_complete, "_start_asgi_task"),
        (HttpToolsProtocol.on_response_complete, "_start_asgi_task"),
        (HttpToolsProtocol.on_body, "body"),
        (RequestResponseCycle.receive, "body"),
        (RequestResponseCycle.receive, "more_body"),
        (RequestResponseCycle.send, "response_complete"),
        (HttpToolsProtocol.on_response_complete, "timeout_keep_alive_task"),
    ],
    ids=lambda one: one if isinstance(one, str) else one.__qualname__,
)
def test_uvicorn_has_the_private_parts_that_the_protocol_goes_by(where: Any, name: str) -> None:
    """Without them it would go on with parts of its own, and nobody would be told."""
    message = f"uvicorn {uvicorn.__version__}: {where.__qualname__} has no {name}, which api/http_protocol.py goes by"
    assert name in where.__code__.co_names, message
