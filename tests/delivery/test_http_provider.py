"""HTTP provider: what is written when, and what becomes of a request at each point where it can fail."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.adapters.adapter import Accepted, Later, Rejected, Unknown
from actors.adapters.http_provider import (
    AFTER_S_MAX,
    BODY_BYTES_MAX,
    IDLE_S_MAX,
    Answer,
    HttpProvider,
    Names,
    meaning,
    retry_after_s,
)
from tests.delivery.provider_server import OK, Speak, line, resets, says, self_signed, then_ends

NAMES = Names("Acme", "acme.url", "acme.key")
PATIENCE_S = 30.0
SOON_S = 0.25
"""A time limit that a test waits for."""
SILENT = f"Acme did not answer within {SOON_S} s"
BROKEN = "the connection to Acme broke off before an answer"


class Starts:
    """A `start` that counts."""

    def __init__(self, says: bool = True) -> None:
        self.says = says
        self.calls = 0

    async def __call__(self) -> bool:
        self.calls += 1
        return self.says


async def never() -> bool:
    raise AssertionError("start was asked")


@pytest.fixture
async def provider() -> AsyncIterator[HttpProvider]:
    made = HttpProvider(NAMES, PATIENCE_S, 4)
    yield made
    await made.close()


async def post(provider: HttpProvider, url: str, start: Callable[[], Awaitable[bool]]) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        return await provider.post(url, {"X-Own": "1"}, b"body", start)


# ---- before the request is written: Later, and `start` was not asked ------------------------------------


async def refused_url() -> str:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://127.0.0.1:{port}/"


async def test_refused_connection_is_later(provider: HttpProvider) -> None:
    assert await post(provider, await refused_url(), never) == Later("Acme was not reached: connection refused")


async def test_unknown_host_is_later(provider: HttpProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    async def finds_nothing(*_: Any, **__: Any) -> Any:
        raise OSError("no such host")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", finds_nothing)
    outcome = await post(provider, "http://provider.invalid/", never)
    assert outcome == Later("Acme was not reached: its host name was not found; check acme.url")


@pytest.mark.parametrize("url", ["http://", "http://[::1/", "http://127.0.0.1:99999/"])
async def test_url_that_is_none_is_later(provider: HttpProvider, url: str) -> None:
    outcome = await post(provider, url, never)
    assert isinstance(outcome, Later)
    assert "acme.url" in outcome.detail


async def test_server_without_tls_is_later(provider: HttpProvider) -> None:
    async def greets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        writer.close()

    server = await asyncio.start_server(greets, "127.0.0.1", 0)
    outcome = await post(provider, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", never)
    assert outcome == Later("Acme was not reached: TLS failed; check acme.url")
    server.close()


async def test_certificate_that_nobody_signed_is_later(provider: HttpProvider, tmp_path: Path) -> None:
    async with line(says(OK), self_signed(tmp_path)) as secret:
        outcome = await post(provider, secret.url, never)
        assert outcome == Later("Acme was not reached: its certificate is not trusted")
        assert secret.requests == 0


async def test_handshake_that_does_not_end_is_later() -> None:
    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hangs, "127.0.0.1", 0)
    provider = HttpProvider(NAMES, SOON_S, 1)
    outcome = await post(provider, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", never)
    assert outcome == Later("Acme was not reached: the time limit passed")
    await provider.close()
    server.close()


async def test_waiting_for_a_connection_counts_and_is_later() -> None:
    provider = HttpProvider(NAMES, SOON_S, 1)

    async def long() -> bool:
        return await post(provider, silent.url, never) == Later("Acme was not reached: the time limit passed")

    async with line(says(b"")) as silent:
        assert await post(provider, silent.url, long) == Unknown(SILENT)
        assert silent.requests == 1
    await provider.close()


# ---- `start` ----------------------------------------------------------------------------------------------


async def test_nothing_is_written_where_start_says_no(provider: HttpProvider) -> None:
    async with line(says(OK)) as server:
        start = Starts(says=False)
        assert await post(provider, server.url, start) is None
        await server.ended.wait()
        assert (start.calls, server.connections, server.bytes_read) == (1, 1, 0)
        assert isinstance(await post(provider, server.url, Starts()), Answer)


@pytest.mark.parametrize("fault", [ConnectionResetError(), TimeoutError(), aiohttp.ClientError(), KeyError()])
async def test_what_start_raises_comes_out_and_nothing_is_written(provider: HttpProvider, fault: Exception) -> None:
    async def fails() -> bool:
        raise fault

    async with line(says(OK)) as server:
        with pytest.raises(type(fault)) as raised:
            await post(provider, server.url, fails)
        assert raised.value is fault
        await server.ended.wait()
        assert server.bytes_read == 0


async def test_time_of_start_does_not_count() -> None:
    limit_s = 0.5
    provider, passed = HttpProvider(NAMES, limit_s, 1), asyncio.Event()

    async def slow() -> bool:
        asyncio.get_running_loop().call_later(limit_s, passed.set)
        return await passed.wait()

    async with line(says(OK)) as server:
        answer = await post(provider, server.url, slow)
        assert isinstance(answer, Answer)
    await provider.close()


# ---- after it may have been written: Unknown, and never a second time -------------------------------------


@pytest.mark.parametrize(
    ("speak", "detail"),
    [
        (then_ends(b""), BROKEN),
        (resets, BROKEN),
        (then_ends(b"HTTP/1.1 200 OK\r\nContent-Le"), BROKEN),
        (then_ends(b"SSH-2.0-OpenSSH_9.9\r\n"), "what Acme answered is not HTTP"),
        (says(b""), SILENT),
        (says(b"HTTP/1.1 200 OK\r\n"), SILENT),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n"), SILENT),
    ],
)
@pytest.mark.parametrize("is_reused", [False, True])
async def test_request_without_an_answer_is_unknown_and_goes_out_once(
    speak: Speak, detail: str, is_reused: bool
) -> None:
    async def first_well(writer: asyncio.StreamWriter) -> None:
        await (says(OK) if is_reused and server.requests == 1 else speak)(writer)

    provider = HttpProvider(NAMES, SOON_S if detail == SILENT else PATIENCE_S, 1)
    async with line(first_well) as server:
        if is_reused:
            assert isinstance(await post(provider, server.url, Starts()), Answer)
        start = Starts()
        assert await post(provider, server.url, start) == Unknown(detail)
        assert (start.calls, server.connections, server.requests) == (1, 1, 1 + is_reused)
    await provider.close()


async def test_library_that_would_repeat_a_post_is_kept_from_it(
    provider: HttpProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiohttp.client, "IDEMPOTENT_METHODS", frozenset({"POST"}))
    async with line(then_ends(b"")) as server:
        start = Starts()
        assert await post(provider, server.url, start) == Unknown("the connection to Acme broke off")
        assert (start.calls, server.connections, server.requests) == (1, 2, 1)


# ---- answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "speak",
    [
        then_ends(b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n{"),
        says(b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n{"),
        then_ends(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"),
    ],
)
async def test_status_is_an_answer_whatever_becomes_of_the_body(speak: Speak) -> None:
    provider = HttpProvider(NAMES, SOON_S * 2, 1)
    async with line(speak) as server:
        answer = await post(provider, server.url, Starts())
        assert (answer.status, answer.body) == (202, b"")
    await provider.close()


async def test_redirects_are_not_followed(provider: HttpProvider) -> None:
    async with line(says(b"HTTP/1.1 307 Go\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")) as server:
        answer = await post(provider, server.url, Starts())
        assert (answer.status, server.requests) == (307, 1)


async def test_bodies_are_bounded_and_not_unpacked(provider: HttpProvider) -> None:
    long = bytes(range(256)) * 4096
    packed = gzip.compress(bytes(10_000_000))
    heads = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"

    async def speak(writer: asyncio.StreamWriter) -> None:
        is_first = server.requests == 1
        writer.write(
            heads[0] % len(long) + long if is_first else heads[1] + b"Content-Length: %d\r\n\r\n" % len(packed)
        )
        writer.write(b"" if is_first else packed)

    async with line(speak) as server:
        assert (await post(provider, server.url, Starts())).body == long[:BODY_BYTES_MAX]
        assert (await post(provider, server.url, Starts())).body == packed[:BODY_BYTES_MAX]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"1": 1}', b"\xff", b'{"a": "\xff"}', b'{"a": ' + b"[" * 60_000])
def test_body_of_another_shape_is_none(body: bytes) -> None:
    assert Answer(200, {}, body).read(dict[str, list[Any] | str]) is None


# ---- connections ------------------------------------------------------------------------------------------


async def test_connection_is_used_again_unless_it_idled(
    provider: HttpProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line(says(OK)) as server:
        for _ in range(3):
            await post(provider, server.url, Starts())
        assert server.connections == 1
        clock = aiohttp.connector.monotonic
        monkeypatch.setattr(aiohttp.connector, "monotonic", lambda: clock() + IDLE_S_MAX)
        await post(provider, server.url, Starts())
        assert (server.connections, server.requests) == (2, 4)


async def test_cancelled_attempt_leaves_room_for_the_next() -> None:
    async def hangs_once(writer: asyncio.StreamWriter) -> None:
        writer.write(OK if server.requests > 1 else b"")

    provider = HttpProvider(NAMES, PATIENCE_S, 1)
    async with line(hangs_once) as server:
        attempt = asyncio.create_task(post(provider, server.url, Starts()))
        await server.heard.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        assert isinstance(await post(provider, server.url, Starts()), Answer)
        assert server.connections == 2
    await provider.close()


async def test_environment_names_no_proxy(provider: HttpProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, await refused_url())
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with line(says(OK)) as server:
        assert isinstance(await post(provider, server.url, Starts()), Answer)


# ---- meanings ---------------------------------------------------------------------------------------------

LATER = {401, 403, 408, 429, 500, 503} | set(range(300, 400))


def test_every_status_has_its_meaning() -> None:
    for status in (*range(100, 600), 600, 999):
        outcome = meaning(Answer(status, {"Retry-After": "7"}), NAMES, provider_id="p")
        if 200 <= status < 300:
            assert outcome == Accepted("p")
            continue
        assert not isinstance(outcome, Accepted)
        assert f"Acme answered {status}" in outcome.detail
        if status in LATER:
            assert isinstance(outcome, Later)
            assert outcome.after_s == (7 if status in {408, 429, 500, 503} else None)
        else:
            assert isinstance(outcome, Rejected if 400 <= status < 500 else Unknown)


def test_faults_of_the_configuration_say_where() -> None:
    assert meaning(Answer(301, {}), NAMES) == Later("Acme answered 301: redirects are not followed; check acme.url")
    for status in (401, 403):
        detail = f"Acme answered {status}: the credentials were refused; check acme.key"
        assert meaning(Answer(status, {}), NAMES, fault="acme.url") == Later(detail)
    assert meaning(Answer(404, {}), NAMES, fault="acme.url") == Later("Acme answered 404; check acme.url")
    assert meaning(Answer(400, {}), NAMES, rejection="no", fault="acme.from") == Later("no; check acme.from")


def test_retry_after_comes_before_the_providers_own_way() -> None:
    assert meaning(Answer(429, {}), NAMES, after_s=5) == Later("Acme answered 429: too many requests", 5)
    assert meaning(Answer(429, {"Retry-After": "0"}), NAMES, after_s=5) == Later(
        "Acme answered 429: too many requests", 0
    )


def test_provider_id_is_printable_and_short() -> None:
    assert meaning(Answer(200, {}), NAMES, provider_id="a\x00b\udcff" + "c" * 999) == Accepted("ab" + "c" * 253)
    assert meaning(Answer(200, {}), NAMES, provider_id="\n") == Accepted(None)


NOW_S = 1_772_442_000.0


def http_date(after_s: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW_S + after_s, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("value", "after_s"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 120 ", 120),
        ("86401", AFTER_S_MAX),
        ("9" * 5000, AFTER_S_MAX),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("٣", None),
        ("soon", None),
        (http_date(90), 90),
        (http_date(-90), 0),
        (http_date(AFTER_S_MAX * 2), AFTER_S_MAX),
        ("Monday, 02-Mar-26 09:01:00 GMT", 60),
        ("Mon Mar  2 09:01:00 2026", 60),
        ("Mon, 30 Feb 2026 09:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", AFTER_S_MAX),
    ],
)
def test_retry_after_of_either_form(value: str | None, after_s: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        assert retry_after_s(value, NOW_S) == after_s
    time.tzset()


@given(st.text() | st.from_regex(re.compile(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ [+-]?\w+", re.ASCII)))
@example("Mon, 2 Mar 1 00:00:00 +2400")
def test_retry_after_is_never_more_than_a_day(value: str) -> None:
    after_s = retry_after_s(value, NOW_S)
    assert after_s is None or 0 <= after_s <= AFTER_S_MAX
