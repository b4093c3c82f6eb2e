"""Providers on loopback: one that takes what its own OpenAPI file allows and answers with what the file shows, and a
bare line that breaks HTTP wherever a test wants.

The rule of the first: what the file does not list, no request may have; objects with named properties take no others.
Each request that breaks it is a fault, and `provider_server` fails the test for it at the end.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import jsonschema
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SPECS = Path(__file__).parents[3] / "shared" / "specs"

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Speak = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""What a `Line` says to a whole request."""

_KEPT = (
    *("type", "enum", "format", "pattern", "required", "additionalProperties"),
    *("minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "maxProperties"),
)


class Operation:
    """What an OpenAPI file says of POST on one path."""

    def __init__(self, file: str, template: str) -> None:
        """`file` is a path below the folder of specifications; the test is skipped where it is absent."""
        path = SPECS / file
        if not path.exists():
            pytest.skip(f"{path} is not here")
        self._document = json.loads(path.read_bytes())
        self._template = template
        self._post = self._document["paths"][template]["post"]

    def faults(self, path: str, content_type: str, body: bytes) -> list[str]:
        """What is wrong with a request."""
        match = re.fullmatch(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self._template)), path)
        if match is None:
            return [f"{path} is not {self._template}"]
        types = self._resolved(self._post["requestBody"])["content"]
        if content_type not in types:
            return [f"{content_type} is none of {list(types)}"]
        faults = []
        for parameter in map(self._resolved, self._post["parameters"]):
            if parameter["in"] == "path":
                faults += self._unlike(match[parameter["name"]], parameter["schema"], closed=True)
        fields = fields_of(content_type, body)
        faults += self._unlike(fields, types[content_type]["schema"], closed=True)
        for group in self._post.get("x-twilio", {}).get("conditional", ()):
            names = {"".join(word.capitalize() for word in name.split("_")) for name in group}
            if not names & fields.keys():
                faults.append(f"none of {names}")
        return faults

    def example(self, status: int) -> Any:
        """The first body that the file shows for a status; None where it shows none. It must be as the file says."""
        contents = self._resolved(self._post["responses"][str(status)]).get("content")
        if contents is None:
            return None
        (content,) = contents.values()
        example = next(iter(content["examples"].values()))["value"]
        assert self._unlike(example, content["schema"], closed=False) == []
        return example

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in self._post["responses"]]

    def _unlike(self, value: Any, schema: Mapping[str, Any], closed: bool) -> list[str]:
        validator = jsonschema.Draft202012Validator(
            self._schema(schema, closed), format_checker=jsonschema.FormatChecker()
        )
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def _schema(self, node: Mapping[str, Any], closed: bool) -> dict[str, Any]:
        node = self._resolved(node)
        schema = {key: node[key] for key in _KEPT if key in node}
        if "properties" in node:
            schema["properties"] = {name: self._schema(child, closed) for name, child in node["properties"].items()}
            if closed:
                schema.setdefault("additionalProperties", False)
        if "items" in node:
            schema["items"] = self._schema(node["items"], closed)
        return {"anyOf": [schema, {"type": "null"}]} if node.get("nullable") else schema

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            steps = node["$ref"].removeprefix("#/").split("/")
            node = self._document
            for step in steps:
                node = node[step]
        return node


def fields_of(content_type: str, body: bytes) -> dict[str, Any]:
    """What a body holds. Raises `ValueError` where a field of a form stands twice."""
    if content_type != "application/x-www-form-urlencoded":
        return dict(json.loads(body))
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a field stands twice")
    return dict(pairs)


class Answered(NamedTuple):
    """An answer to give: `body` is JSON, or bytes as they are."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}


class Seen(NamedTuple):
    """A request that came."""

    fields: dict[str, Any]
    headers: Mapping[str, str]


class ProviderServer:
    """Gives the answers in `planned` in turn, then `usual`."""

    def __init__(self, operation: Operation, authorization: str, usual: Answered) -> None:
        self.operation = operation
        self.usual = usual
        self.planned: deque[Answered] = deque()
        self.seen: list[Seen] = []
        self.faults: list[str] = []
        self.barrier: asyncio.Barrier | None = None
        """Requests are answered by so many at a time."""
        self.connections: set[Any] = set()
        self.url = ""
        self._authorization = authorization

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        body = await request.read()
        self.faults += self._faults(request, body)
        self.seen.append(Seen(fields_of(request.content_type, body), request.headers))
        self.connections.add(request.transport and request.transport.get_extra_info("peername"))
        if self.barrier is not None:
            await self.barrier.wait()
        status, answer, headers = self.planned.popleft() if self.planned else self.usual
        raw = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
        return web.Response(status=status, body=raw, headers={"Content-Type": "application/json", **headers})

    def _faults(self, request: web.Request, body: bytes) -> list[str]:
        faults = [] if request.method == "POST" else [f"{request.method} is not POST"]
        if request.query_string:
            faults.append("it has a query")
        if request.headers.get("Authorization") != self._authorization:
            faults.append("not the right credentials")
        if not re.fullmatch(r"madan-sara/\d+\.\d+\.\d+", request.headers["User-Agent"]):
            faults.append("it does not say who asks")
        return faults + self.operation.faults(request.path, request.content_type, body)


@asynccontextmanager
async def provider_server(operation: Operation, authorization: str, usual: Answered) -> AsyncIterator[ProviderServer]:
    """A server that runs; at the end all requests must have been as the provider's file says."""
    server = ProviderServer(operation, authorization, usual)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
        assert server.faults == []
    finally:
        await runner.cleanup()


class Line:
    """A server that takes requests apart, and says to each what the test wants."""

    def __init__(self, speak: Speak) -> None:
        self._speak = speak
        self.connections = 0
        self.bytes_read = 0
        self.requests = 0
        self.ended = asyncio.Event()
        """A connection has ended."""
        self.heard = asyncio.Event()
        """A whole request has come."""
        self.url = ""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bytes_read += len(head) + len(await reader.readexactly(length))
                self.requests += 1
                self.heard.set()
                await self._speak(writer)
                await writer.drain()
        except asyncio.IncompleteReadError as error:
            self.bytes_read += len(error.partial)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.ended.set()
            self._tasks.discard(task)
            writer.close()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def line(speak: Speak, tls: ssl.SSLContext | None = None) -> AsyncIterator[Line]:
    """A `Line` that runs."""
    made = Line(speak)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield made
    finally:
        server.close()
        await made.stop()


def says(data: bytes) -> Speak:
    """Writes, and waits for the next request."""

    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return speak


def then_ends(data: bytes) -> Speak:
    """Writes, and ends the connection."""

    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        raise ConnectionError

    return speak


async def resets(writer: asyncio.StreamWriter) -> None:
    """Ends the connection at once."""
    writer.transport.abort()
    raise ConnectionError


def self_signed(folder: Path) -> ssl.SSLContext:
    """TLS with a certificate that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    ).sign(key, hashes.SHA256())
    path = folder / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
