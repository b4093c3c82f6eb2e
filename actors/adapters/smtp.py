"""Mail by SMTP: one server, connections that stay open, one message at a time on each.

The rule: a message is in doubt from the first byte of its content until the server's reply to the last, and at no other
time. A connection is used again only where no reply is outstanding on it. What the server said is told by its codes and
in words of ours, since its own may repeat the address.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from typing import cast

import aiosmtplib

from actors.adapters.adapter import Accepted, Delivery, Later, Outcome, Rejected, Start, Unknown
from actors.adapters.mail import Composer, Mail
from engine.settings import Smtp as SmtpSettings

__all__ = ["Smtp"]

IDLE_S = 60.0
"""A connection that was idle for longer may be dead without a sign, and is not used again."""

PROVIDER_ID_CHARACTERS_MAX = 200

CLOSING = 421
"""By which a server ends a connection, in reply to anything."""

TOO_BIG = 552

OURS = frozenset((503, 530, 534, 535, 538))
"""Replies of the kind that is for good, to a client that should have logged in or used TLS: no fault of the message."""

_ENHANCED_CODE = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")

_REFUSED = {
    "MAIL": "the server takes no mail from smtp.sender",
    "RCPT": "the server takes no mail for the address",
    "DATA": "the server does not take the message",
}


class _Broken(Exception):  # noqa: N818
    """Why an attempt could not go on; nobody refused the message."""


class _Lost(_Broken):
    """The connection has ended, or its replies make no sense any more."""


@dataclass(slots=True)
class _Attempt:
    mail: Mail
    start: Start
    step: str = "waiting for a free connection"
    is_in_doubt: bool = False

    def ended(self, why: str) -> Later | Unknown:
        if self.is_in_doubt:
            return Unknown(f"{why}, after the message was sent: the server may have taken it")
        return Later(why)


class Smtp:
    """Sends by the mail server of the configuration. Lives on one event loop."""

    deduplicates = False

    def __init__(
        self,
        settings: SmtpSettings,
        max_concurrent: int,
        attempt_timeout_s: float,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        """At most `max_concurrent` connections. `tls_context` is whom to trust; None: whom this machine trusts.

        Raises `ConfigurationError` where `settings.sender` is not an address.
        """
        self._settings = settings
        self._composer = Composer(settings.sender)
        self._attempt_timeout_s = attempt_timeout_s
        self._room = asyncio.Semaphore(max_concurrent)
        if tls_context is None and settings.security != "none":
            tls_context = ssl.create_default_context()
        self._tls_context = tls_context
        self._idle: deque[_Connection] = deque()
        """The one used last at the end. With those in use, at most as many as there is room."""
        self._is_closed = False
        self._own_name = ""
        self._naming = asyncio.Lock()

    async def send(self, delivery: Delivery, start: Start) -> Outcome | None:
        """Makes an attempt within its time, counted from here; see `Adapter`."""
        mail = self._composer.compose(delivery, delivery.scheduled_at)
        if not isinstance(mail, Mail):
            return mail
        attempt = _Attempt(mail, start)
        try:
            async with asyncio.timeout(self._attempt_timeout_s) as bound, self._room:
                return await self._send(attempt)
        except TimeoutError:
            if not bound.expired():
                raise
            return attempt.ended(f"not done within {self._attempt_timeout_s:g} s, at {attempt.step}")
        except _Broken as broken:
            return attempt.ended(str(broken))

    async def close(self) -> None:
        """Ends the idle connections, and those in use as soon as they are not."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().leave()
        await asyncio.sleep(0)  # transports let go of their sockets on the loop's next turn

    async def _send(self, attempt: _Attempt) -> Outcome | None:
        connection = self._idle_one()
        try:
            outcome: Outcome | None = None
            if connection is not None:
                try:
                    outcome = await connection.offer(attempt)
                except _Lost:  # while it was idle, most likely; a new one tells
                    connection.leave()
                    connection = None
            if connection is None:
                attempt.step = f"connecting to {self._server}: look at smtp.host, smtp.port and smtp.security"
                connection = await self._connect()
                outcome = await connection.offer(attempt)
            if outcome is not None:
                return outcome
            attempt.step = "the start"
            if not await attempt.start():
                return None
            return await connection.hand_over(attempt)
        finally:
            if connection is not None:
                self._give_back(connection)

    def _idle_one(self) -> _Connection | None:
        oldest = asyncio.get_running_loop().time() - IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since >= oldest:
                return connection
            connection.leave()
        return None

    def _give_back(self, connection: _Connection) -> None:
        if self._is_closed or not connection.is_usable:
            connection.leave()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        while self._idle and self._idle[0].idle_since < connection.idle_since - IDLE_S:
            self._idle.popleft().leave()
        self._idle.append(connection)

    @property
    def _server(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    async def _connect(self) -> _Connection:
        """A connection that takes messages. Raises `_Broken` with what to do about it."""
        client = aiosmtplib.SMTP(
            hostname=self._settings.host,
            port=self._settings.port,
            local_hostname=await self._name(),
            timeout=None,  # the attempt has one
            use_tls=self._settings.security == "tls",
            start_tls=False,
            tls_context=self._tls_context,
        )
        try:
            await self._greet(client)
            return _Connection(client)
        except BaseException as error:
            _abort(client)
            if isinstance(error, aiosmtplib.SMTPException | OSError):
                raise _Broken(f"no connection to {self._server}: {_why(error)}") from None
            raise

    async def _greet(self, client: aiosmtplib.SMTP) -> None:
        await client.connect()
        await client.ehlo()
        if self._settings.security == "starttls":
            if not client.supports_extension("starttls"):
                raise _Broken(f"{self._server} offers no STARTTLS: smtp.security may have to be tls, on another port")
            await client.starttls()
            await client.ehlo()
        if self._settings.username:
            if not client.supported_auth_methods:
                raise _Broken(f"{self._server} offers no login: look at smtp.security, or leave smtp.username empty")
            await client.login(self._settings.username, self._settings.password)

    async def _name(self) -> str:
        """What this machine calls itself before servers; DNS may take its time to say it, and is asked once."""
        async with self._naming:
            if not self._own_name:
                self._own_name = await asyncio.to_thread(_name_of_this_machine)
        return self._own_name


class _Connection:
    """Where the server has greeted us; at most one user at a time."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client
        self._takes_size = client.supports_extension("size")
        self._takes_utf8 = client.supports_extension("smtputf8")
        self._is_in_step = True
        """No reply is outstanding."""
        self._has_transaction = False
        """MAIL was sent, and neither ended nor forgotten."""
        self.idle_since = 0.0
        """By the loop's clock."""

    @property
    def is_usable(self) -> bool:
        return self._is_in_step and self._client.is_connected

    def leave(self) -> None:
        """Ends it, at once; what was not sent yet is not."""
        if self.is_usable and self._client.protocol is not None:
            self._client.protocol.write(b"QUIT\r\n")
        _abort(self._client)

    async def offer(self, attempt: _Attempt) -> Later | Rejected | None:
        """Asks whether the server takes a message; None if it does. Raises `_Lost`."""
        mail = attempt.mail
        if self._has_transaction:
            attempt.step = "RSET"
            if _kind(await self._ask(b"RSET")) != 2:
                raise _Lost("the server does not forget the message before (RSET)")
            self._has_transaction = False
        options = []
        if mail.needs_smtputf8:
            if not self._takes_utf8:
                return Rejected("the address is not ASCII, and the server takes no such addresses (SMTPUTF8)")
            options += [b"BODY=8BITMIME", b"SMTPUTF8"]
        if self._takes_size:
            options.append(b"SIZE=%d" % len(mail.content))
        attempt.step = "MAIL"
        self._has_transaction = True
        reply = await self._ask(b"MAIL", b"FROM:<" + mail.sender + b">", *options)
        if _kind(reply) == 2:
            attempt.step = "RCPT"
            reply = await self._ask(b"RCPT", b"TO:<" + mail.recipient + b">")
        return None if _kind(reply) == 2 else _refusal(attempt.step, reply)

    async def hand_over(self, attempt: _Attempt) -> Accepted | Later | Rejected:
        """Sends the message that the server takes. Raises `_Lost`."""
        attempt.step = "DATA"
        reply = await self._ask(b"DATA")
        if _kind(reply) != 3:
            return _refusal("DATA", reply)
        attempt.step = "the content"
        reply = await self._send_content(attempt)
        kind = _kind(reply)
        if kind not in (2, 4, 5):
            raise _Lost(f"{reply.code} is no reply to a message")
        self._is_in_step = True
        if kind != 2:
            return _refusal("DATA", reply)
        self._has_transaction = False
        return Accepted(_provider_id(reply.message, attempt.mail.recipient.decode()))

    async def _ask(self, *command: bytes) -> aiosmtplib.SMTPResponse:
        self._is_in_step = False
        try:
            reply = await self._client.execute_command(*command, timeout=None)
        except (aiosmtplib.SMTPException, OSError):
            raise _Lost(f"the connection was lost at {command[0].decode('ascii')}") from None
        if reply.code == CLOSING:
            raise _Lost(f"{_codes(reply)} to {command[0].decode('ascii')}: the server ended the connection")
        self._is_in_step = True
        return reply

    async def _send_content(self, attempt: _Attempt) -> aiosmtplib.SMTPResponse:
        self._is_in_step = False
        lines = attempt.mail.content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        try:
            protocol = self._client.protocol
            if protocol is None:
                raise ConnectionError
            protocol.write(lines)  # raises where it writes nothing
            attempt.is_in_doubt = True
            return await protocol.read_response(timeout=None)
        except (aiosmtplib.SMTPException, OSError):
            raise _Lost("the connection was lost") from None


def _abort(client: aiosmtplib.SMTP) -> None:
    transport = client.transport
    if transport is not None:
        cast("asyncio.WriteTransport", transport).abort()
    client.close()


def _kind(reply: aiosmtplib.SMTPResponse) -> int:
    return reply.code // 100


def _refusal(step: str, reply: aiosmtplib.SMTPResponse) -> Later | Rejected:
    """What a reply means by which the server did not take a message."""
    told = f"{_codes(reply)} to {step}: "
    if reply.code in OURS:
        return Later(f"{told}the server wants a login or TLS: look at smtp.username, smtp.password and smtp.security")
    told += _REFUSED[step]
    if _kind(reply) != 5:
        return Later(f"{told} now")
    if step == "MAIL" and reply.code != TOO_BIG:
        return Later(told)
    return Rejected(told)


def _codes(reply: aiosmtplib.SMTPResponse) -> str:
    enhanced = _ENHANCED_CODE.match(reply.message)
    return str(reply.code) if enhanced is None else f"{reply.code} {enhanced[0]}"


def _provider_id(text: str, recipient: str) -> str | None:
    """What the server said when it took it, mostly its id there; None where that is no use, or names somebody."""
    enhanced = _ENHANCED_CODE.match(text)
    text = text if enhanced is None else text[enhanced.end() :].strip()
    is_short = 0 < len(text) <= PROVIDER_ID_CHARACTERS_MAX and text.isascii() and text.isprintable()
    if not is_short or text.lower() == "ok" or recipient.lower() in text.lower():
        return None
    return text


def _why(error: Exception) -> str:
    """Why there is no connection, and what to do about it."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return f"{error.code} to the login: look at smtp.username and smtp.password"
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"the server answered {error.code}; where it is busy, lower delivery.email.max_concurrent"
    cause = error.__cause__ if isinstance(error, aiosmtplib.SMTPConnectError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is refused ({cause.verify_message}): look at smtp.host, and whom this machine trusts"
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed ({cause.reason}): look at whether smtp.security goes with smtp.port"
    if isinstance(cause, aiosmtplib.SMTPException) or not isinstance(cause, OSError):
        return "the server ended it"
    return f"{cause.strerror or type(cause).__name__}: look at smtp.host and smtp.port, and at whether the server runs"


def _name_of_this_machine() -> str:
    """With a domain, else an address (RFC 5321, 4.1.4)."""
    name = socket.getfqdn()
    if "." in name and re.fullmatch(r"[A-Za-z0-9.-]+", name):
        return name
    try:
        return f"[{socket.gethostbyname(socket.gethostname())}]"
    except OSError:
        return "[127.0.0.1]"
