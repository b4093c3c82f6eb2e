"""A mail server that takes everything and remembers what came: aiosmtpd, in a process of its own.

    python -m bench.mail_sink

Prints its port. A line on its input is answered with one line of JSON: what has come since the last one.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any, Self

MESSAGE_ID = b"message-id:"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came: the id and the address of each message, and from the first to the last the seconds."""

    messages: list[tuple[str, str]]
    seconds: float

    @property
    def per_second(self) -> float:
        """How many a second."""
        return len(self.messages) / self.seconds if self.seconds else 0.0


class MailSink:
    """The process, from entering to leaving. It ends with its input, too, so that no fault leaves it behind."""

    module = "bench.mail_sink"

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", self.module]
        # A group of its own: an interrupt at the terminal is for whoever started it, who then ends it.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
        )
        try:
            self.port = int(self._line())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        self._process.communicate()

    def count(self) -> int:
        """How many have come since they were last taken."""
        return int(self.ask("count"))

    def take(self) -> Arrivals:
        """All that has come since the last call."""
        taken = self.take_all()
        return Arrivals([(message, address) for message, address in taken["messages"]], taken["seconds"])

    def take_all(self) -> dict[str, Any]:
        """The same, and all else that its handler keeps."""
        taken: dict[str, Any] = json.loads(self.ask("take"))
        return taken

    def ask(self, what: str) -> str:
        """A line, and the answer to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise OSError("the mail sink ended; is aiosmtpd installed?")
        return line


class Handler:
    """What aiosmtpd calls, and what it keeps until it is taken."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.first = self.last = 0.0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.last = monotonic()
        self.first = self.first or self.last
        self.messages.append((header(envelope.content, MESSAGE_ID), envelope.rcpt_tos[0]))
        return "250 OK"

    def answer(self, line: str) -> object:
        """What is asked for by a line."""
        return len(self.messages) if line == "count" else self.take()

    def take(self) -> dict[str, Any]:
        """All that came since the last time."""
        taken: dict[str, Any] = {"messages": self.messages, "seconds": self.last - self.first}
        self.messages, self.first, self.last = [], 0.0, 0.0
        return taken


def header(content: bytes, name: bytes) -> str:
    """The header that a line begins with so, in lower case and with its colon; empty where there is none."""
    head, _, _ = content.partition(b"\r\n\r\n")
    found = [line for line in head.split(b"\r\n") if line.lower().startswith(name)]
    return found[0][len(name) :].strip().decode() if found else ""


async def serve(handler: Handler) -> None:
    """Takes mail until there is no more input."""
    from aiosmtpd.smtp import SMTP  # noqa: PLC0415 - only with the bench extra

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname="localhost"), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(handler.answer(line.strip())), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(Handler()))
