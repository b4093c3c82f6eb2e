"""A mail server for tests, aiosmtpd on the running loop, which refuses, hangs up and stalls when told to; and attempts.

    async with served() as (sink, smtp):
        sink.act("RCPT", "550 5.1.1 nobody here")
        await smtp.send(delivery(), Starts())

Its steps, in order: `connect` (instead of the greeting), `MAIL`, `RCPT`, `DATA` (instead of 354), `content` (in the
middle of it) and `reply` (to the content).
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any, NamedTuple, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from actors.adapters.adapter import Accepted, Content, Delivery, Later, Outcome, Rejected, Unknown
from actors.adapters.smtp import Smtp
from engine.settings import Smtp as SmtpSettings

DROP = "drop"
STALL = "stall"

ALWAYS = 1_000_000_000

SENDER = "Ana's shop <news@example.com>"
ADDRESS = "ana.secret@example.org"
CONTENT = Content("Hello", "Hello Ana", "<p>Hello Ana</p>")
PATIENCE_S = 30.0
TAKEN = Accepted("Ok: queued as 4F2A")


class Arrived(NamedTuple):
    """A message that the server took."""

    sender: str
    recipient: str
    content: bytes

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.content, EmailMessage, policy=email.policy.default)


class Sink:
    """What the server was told to do, and what it saw."""

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        tls_at_once: bool = False,
        smtputf8: bool = False,
        size_max: int | None = 33_554_432,
        passwords: dict[str, str] | None = None,
    ) -> None:
        """`tls` for STARTTLS, or from the first byte. With `passwords` by user nobody sends without a login."""
        self._tls_at_once = tls if tls_at_once else None
        self._options: dict[str, Any] = {
            "tls_context": None if tls_at_once else tls,
            "require_starttls": tls is not None and not tls_at_once,
            "enable_SMTPUTF8": smtputf8,
            "data_size_limit": size_max,
            "auth_required": passwords is not None,
            "auth_require_tls": tls is not None and not tls_at_once,
            "auth_exclude_mechanism": ["LOGIN"] if passwords is not None else ["LOGIN", "PLAIN"],
            "authenticator": self._authenticate,
        }
        self._passwords = passwords or {}
        self._acts: dict[str, tuple[str, int]] = {}
        self._server: asyncio.Server
        self.connections: set[_Connection] = set()
        self._gone = asyncio.Event()
        self.connections_made = 0
        self.connections_most = 0
        self.messages: list[Arrived] = []
        self.commands: list[str] = []
        """With what follows them, over all connections."""
        self.stalled = asyncio.Event()
        """Set when a connection was stalled."""
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self, self._options), "127.0.0.1", self.port, ssl=self._tls_at_once
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.hang_up()
        await self._server.wait_closed()

    async def hang_up(self, reply: str | None = None) -> None:
        """Ends all connections, after a last word on each; returns when they have ended."""
        for connection in list(self.connections):
            if reply is not None:
                await connection.push(reply)
            connection.hang_up(at_once=reply is None)
        await self.all_gone()

    async def all_gone(self, left: int = 0) -> None:
        """Returns when there are no connections but so many."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.connections) > left:
                self._gone.clear()
                await self._gone.wait()

    def forget(self, connection: _Connection) -> None:
        """Called when a connection has ended."""
        self.connections.discard(connection)
        self._gone.set()

    def act(self, step: str, what: str, times: int = ALWAYS) -> None:
        """At a step: a reply instead of the usual one (and the connection ends after 421), `DROP` or `STALL`."""
        self._acts[step] = what, times

    def relent(self) -> None:
        """As if nothing had been told."""
        self._acts.clear()
        self.stalled.clear()

    def next_act(self, step: str) -> str | None:
        what, times = self._acts.get(step, ("", 0))
        if times <= 0:
            return None
        self._acts[step] = what, times - 1
        return what

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        is_right = isinstance(data, LoginPassword) and (
            self._passwords.get(data.login.decode()) == data.password.decode()
        )
        return AuthResult(success=is_right, handled=False)

    async def handle_DATA(self, server: _Connection, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Called by aiosmtpd when content is complete."""
        reply = self.next_act("reply") or "250 2.0.0 Ok: queued as 4F2A"
        is_taken = reply in (DROP, STALL) or reply.startswith("2")
        if is_taken:
            content = envelope.original_content
            assert envelope.mail_from is not None
            assert content is not None
            self.messages += [Arrived(envelope.mail_from, recipient, content) for recipient in envelope.rcpt_tos]
        return await server.follow(reply)


class _Connection(SMTP):
    def __init__(self, sink: Sink, options: dict[str, Any]) -> None:
        super().__init__(sink, hostname="sink.example", loop=asyncio.get_running_loop(), **options)
        self._sink = sink
        self._has_greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self not in self._sink.connections:  # else it has gone over to TLS
            self._sink.connections.add(self)
            self._sink.connections_made += 1
            self._sink.connections_most = max(self._sink.connections_most, len(self._sink.connections))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._sink.forget(self)

    def eof_received(self) -> bool:
        super().eof_received()
        return False  # the client has gone, and so does the server, whatever it waits for

    def hang_up(self, *, at_once: bool) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            if at_once:
                self.transport.abort()
            else:
                self.transport.close()

    async def push(self, status: Any) -> None:
        if not self._has_greeted:
            self._has_greeted = True
            act = self._sink.next_act("connect")
            if act is not None:
                await super().push(await self.follow(act))
                self.hang_up(at_once=False)
                return
        await super().push(status)
        if isinstance(status, str) and status.startswith("421"):
            self.hang_up(at_once=False)

    async def follow(self, act: str) -> str:
        """The reply, unless there is to be none."""
        if act == DROP:
            self.hang_up(at_once=True)
        elif act == STALL:
            self._sink.stalled.set()
        else:
            return act
        return await asyncio.get_running_loop().create_future()  # cancelled when the connection ends

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        if not await self._acts("EHLO", hostname):
            await super().smtp_EHLO(hostname)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        if not await self._acts("MAIL", arg):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        if not await self._acts("RCPT", arg):
            await super().smtp_RCPT(arg)

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802
        if not await self._acts("RSET", arg):
            await super().smtp_RSET(arg)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802
        if not await self._acts("QUIT", arg):
            await super().smtp_QUIT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if await self._acts("DATA", arg):
            return
        act = self._sink.next_act("content")
        if act is None:
            await super().smtp_DATA(arg)
            return
        await self.push("354 go ahead")
        await self._reader.readuntil(b"\r\n")
        await self.follow(act)

    async def _acts(self, step: str, arg: str | None) -> bool:
        self._sink.commands.append(f"{step} {arg}" if arg else step)
        act = self._sink.next_act(step)
        if act is None:
            return False
        await self.push(await self.follow(act))
        return True


class Starts:
    """Counts its calls."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.calls = 0

    async def __call__(self) -> bool:
        self.calls += 1
        return self.answer


def delivery(message: str = "m-1", address: str = ADDRESS, content: Content = CONTENT) -> Delivery:
    return Delivery(
        message_id=message,
        attempt=0,
        channel="email",
        recipient_id="c-1",
        campaign_id="spring",
        address=address,
        content=content,
        data=None,
        scheduled_at=1_772_442_000,
        unsubscribe_url=None,
    )


def settings_of(sink: Sink, **changes: Any) -> SmtpSettings:
    values = {"security": "none", "username": "", "password": "", "sender": SENDER} | changes
    return SmtpSettings(host="127.0.0.1", port=sink.port, **values)


@asynccontextmanager
async def served(
    options: dict[str, Any] | None = None,
    max_concurrent: int = 1,
    timeout_s: float = PATIENCE_S,
    trust: ssl.SSLContext | None = None,
    **changes: Any,
) -> AsyncIterator[tuple[Sink, Smtp]]:
    """A server with these options, and the adapter with these settings; all connections have ended afterwards."""
    async with Sink(**options or {}) as sink:
        smtp = Smtp(settings_of(sink, **changes), max_concurrent, timeout_s, trust)
        try:
            yield sink, smtp
        finally:
            sink.relent()
            await smtp.close()
            await sink.all_gone()


def told(outcome: Outcome | None) -> str:
    """The detail, which names nobody."""
    assert isinstance(outcome, Later | Rejected | Unknown)
    assert "secret" not in outcome.detail
    assert "\n" not in outcome.detail
    return outcome.detail
