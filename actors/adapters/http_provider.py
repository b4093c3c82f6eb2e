"""HTTP provider: one POST to a provider, and what may come of it.

The rule: a request is written once at most, and after `start` said True. What fails before that is `Later`, since
nothing was written. After it a status line is definite, whatever becomes of the body, and all else is `Unknown`.

Exceptions of aiohttp do not say which of the two it is: a timeout or a reset has the same class on either side. So
`start` is awaited where aiohttp is about to write, with a connection in hand, and that it said True is the border.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version
from types import SimpleNamespace
from typing import NamedTuple, TypeVar

import aiohttp
import msgspec

from actors.adapters.adapter import Accepted, Later, Outcome, Rejected, Start, Unknown

__all__ = [
    "AFTER_S_MAX",
    "BODY_BYTES_MAX",
    "MISADDRESSED",
    "Answer",
    "HttpProvider",
    "Names",
    "meaning",
    "retry_after_s",
]

BODY_BYTES_MAX = 65_536
"""Of an answer; what is beyond is not read."""

AFTER_S_MAX = 86_400.0

PROVIDER_ID_LENGTH_MAX = 255

IDLE_S_MAX = 10.0
"""A request on a connection that the other side gives up at the same time is ambiguous. Load balancers keep idle
connections for a minute or more, so one that idled longer than this is not used again, and that stays rare."""

MISADDRESSED = frozenset({404, 405})
"""Statuses by which a provider says that this is not where it takes messages."""

_LATER = frozenset({408, 429, 500, 503})
_REFUSED = frozenset({401, 403})

Shape = TypeVar("Shape")


class Names(NamedTuple):
    """What details call a provider and its part of the configuration."""

    provider: str
    url: str
    credentials: str


class Answer(NamedTuple):
    """What a provider answered. The body may be cut short; names of headers have no case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def read(self, shape: type[Shape]) -> Shape | None:
        """The body, as JSON of this shape; None where it is none."""
        try:
            return msgspec.json.decode(self.body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


class HttpProvider:
    """Connections to a provider, on the event loop that first asks for one.

    `attempt_timeout_s` bounds an attempt from the search for a connection to the end of the answer; what `start` takes
    does not count. There are no more than `max_concurrent` connections. `socket_factory` is aiohttp's: what it raises
    for an address keeps that one from being reached.
    """

    def __init__(
        self,
        names: Names,
        attempt_timeout_s: float,
        max_concurrent: int,
        *,
        socket_factory: aiohttp.SocketFactoryType | None = None,
    ) -> None:
        self._names = names
        self._attempt_timeout_s = attempt_timeout_s
        self._max_concurrent = max_concurrent
        self._socket_factory = socket_factory
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, start: Start
    ) -> Answer | Later | Unknown | None:
        """The answer, or what its absence means; None where `start` said False. Raises what `start` raises."""
        attempt = _Attempt(start)
        answer: Answer | None = None
        try:
            async with (
                asyncio.timeout(self._attempt_timeout_s) as attempt.limit,
                self._opened().post(
                    url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=attempt
                ) as response,
            ):
                answer = Answer(response.status, response.headers)
                answer = answer._replace(body=await _bounded(response.content))
        except _NotWritten:
            if attempt.fault is not None:
                raise attempt.fault from None
            return Unknown(f"the connection to {self._names.provider} broke off") if attempt.started else None
        except (aiohttp.ClientError, OSError) as error:
            if answer is None:
                return self._unanswered(error, attempt.started)
        return answer

    async def close(self) -> None:
        """Lets go of all connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_headers_sent.append(_before_writing)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._max_concurrent,
                    keepalive_timeout=IDLE_S_MAX,
                    socket_factory=self._socket_factory,
                ),
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": f"madan-sara/{version('madan-sara')}", "Accept": "application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # 64 KiB could become gigabytes
                trust_env=False,
                trace_configs=[tracing],
            )
        return self._session

    def _unanswered(self, error: Exception, written: bool) -> Later | Unknown:
        provider = self._names.provider
        if not written:
            return Later(f"{provider} was not reached: {_why_unreached(error, self._names)}")
        if isinstance(error, TimeoutError):
            return Unknown(f"{provider} did not answer within {self._attempt_timeout_s:g} s")
        if isinstance(error, aiohttp.ClientResponseError):
            return Unknown(f"what {provider} answered is not HTTP")
        return Unknown(f"the connection to {provider} broke off before an answer")


class _NotWritten(Exception):  # noqa: N818
    """Keeps aiohttp from writing."""


class _Attempt:
    """One request: whether it may be written, and whether it was."""

    limit: asyncio.Timeout

    def __init__(self, start: Start) -> None:
        self._start = start
        self._asked = False
        self.started = False
        self.fault: Exception | None = None

    async def begin(self) -> None:
        """Returns where the request may be written. The time limit does not end `start`, which may be writing down
        that the attempt is made."""
        if self._asked:  # aiohttp repeats no POST by itself; should it ever want to, this is where it fails
            raise _NotWritten
        self._asked = True
        clock = asyncio.get_running_loop().time
        left_s = (self.limit.when() or 0) - clock()
        self.limit.reschedule(None)
        try:
            self.started = await self._start()
        except Exception as fault:
            self.fault = fault
            raise _NotWritten from None
        if not self.started:
            raise _NotWritten
        self.limit.reschedule(clock() + left_s)


async def _before_writing(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """Called by aiohttp with a connection in hand, before the first byte. What it raises closes the connection."""
    attempt: _Attempt = context.trace_request_ctx
    await attempt.begin()


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while chunk := await content.read(BODY_BYTES_MAX - len(body)):
        body += chunk
    return bytes(body)


def _why_unreached(error: Exception, names: Names) -> str:
    known: tuple[tuple[type[Exception], str], ...] = (
        (TimeoutError, "the time limit passed"),
        (aiohttp.ClientConnectorDNSError, f"its host name was not found; check {names.url}"),
        (aiohttp.ClientConnectorCertificateError, "its certificate is not trusted"),
        (aiohttp.ClientSSLError, f"TLS failed; check {names.url}"),
        (aiohttp.InvalidURL, f"{names.url} is no URL"),
    )
    for kind, why in known:
        if isinstance(error, kind):
            return why
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number else "no connection"


def meaning(
    answer: Answer,
    names: Names,
    *,
    provider_id: str | None = None,
    rejection: str | None = None,
    fault: str | None = None,
    after_s: float | None = None,
) -> Outcome:
    """What an answer says of the message.

    `rejection` says why a provider rejects, and names nobody. `fault` is the key of the configuration that it complains
    of instead: nobody loses a channel for that, nor for redirects and refused credentials. `after_s` says when it may
    be asked again, where there is no Retry-After.
    """
    status = answer.status
    said = f"{names.provider} answered {status}"
    if 200 <= status < 300:
        return Accepted(_printable(provider_id or ""))
    if 300 <= status < 400:
        return Later(f"{said}: redirects are not followed; check {names.url}")
    if status in _REFUSED:
        return Later(f"{said}: the credentials were refused; check {names.credentials}")
    if status in _LATER:
        named_s = retry_after_s(answer.headers.get("Retry-After"), time.time())
        return Later(f"{said}: {HTTPStatus(status).phrase.lower()}", after_s if named_s is None else named_s)
    if 400 <= status < 500:
        return Later(f"{rejection or said}; check {fault}") if fault else Rejected(rejection or said)
    return Unknown(f"{said}: what lies behind may have taken the message")


def _printable(text: str) -> str | None:
    return "".join(character for character in text if character.isprintable())[:PROVIDER_ID_LENGTH_MAX] or None


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """Seconds from `now_s` (seconds since the epoch), by a Retry-After of either form: from 0 to a day. None where it
    is neither."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), AFTER_S_MAX)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max(when.timestamp() - now_s, 0.0), AFTER_S_MAX)
