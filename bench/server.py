"""The product as its user starts it: `madan-sara serve` in a process of its own."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import urlsplit

from bench.processes import descendants, kill

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 15
LOG_LINES_SHOWN = 15


class ServerFailed(Exception):  # noqa: N818
    """The server did not start or did not stop as it promises; the message ends with its last words."""


class Server:
    """Starts on entering, on a free port of the loopback, with embedded defaults; stops on leaving.

    `exit_code` is None until it stopped. What it prints goes to a log file that is shown when it fails and
    deleted otherwise. Settings in the environment of whoever starts the demo do not reach it.
    """

    command = ("-m", "api.cli")
    """To Python, before the arguments of `serve`."""

    def __init__(self, *arguments: str, delivers: bool = False) -> None:
        """What decides is measured without what delivers, unless it is to deliver, too."""
        self.arguments = arguments
        self.delivers = delivers
        self.host = ""
        self.port = 0
        self.exit_code: int | None = None

    def __enter__(self) -> Self:
        assert not self.port, "a server starts once"
        self._folder = tempfile.TemporaryDirectory(prefix="madan-sara-bench-", ignore_cleanup_errors=True)
        self._log = Path(self._folder.name) / "server.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MADAN_SARA_")}
        environment["PYTHONUNBUFFERED"] = "1"
        environment["MADAN_SARA_DELIVERY__ENABLED"] = "true" if self.delivers else "false"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.command, "serve", "--port", "0", *self.arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
            )
        assert self._process.stdout is not None
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_drain, args=(self._process.stdout, lines), daemon=True).start()
        try:
            address = urlsplit(self._wait_until_ready(lines))
        except BaseException:
            self._end()
            self._folder.cleanup()
            raise
        self.host, self.port = address.hostname or "127.0.0.1", address.port or 80
        return self

    def _wait_until_ready(self, lines: queue.Queue[str | None]) -> str:
        said: list[str] = []
        while True:
            try:
                line = lines.get(timeout=START_TIMEOUT_S)
            except queue.Empty:
                raise self._failure(f"was not ready after {START_TIMEOUT_S} s", said) from None
            if line is None:
                self._process.wait()
                raise self._failure(f"ended with {self._process.returncode} before it was ready", said)
            if line.startswith("ready "):
                return line.removeprefix("ready ").strip()
            said.append(line.rstrip())

    def log(self) -> str:
        """What it logged so far."""
        return self._log.read_text(errors="replace")

    def _failure(self, what: str, said: list[str]) -> ServerFailed:
        logged = self.log().splitlines()
        last_words = "\n".join([*said, *logged][-LOG_LINES_SHOWN:])
        return ServerFailed(f"the server {what}:\n{last_words}")

    def stop(self) -> int:
        """SIGTERM, and how the server ended: 0 is a clean end. Raises ServerFailed if it takes too long."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self.exit_code = self._process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self.exit_code = self._process.wait()
                raise self._failure(f"did not end within {STOP_TIMEOUT_S} s of SIGTERM", []) from None
        return self.exit_code

    @property
    def process_id(self) -> int:
        """Of its first process."""
        return self._process.pid

    def kill_all(self) -> None:
        """SIGKILL to it and to all that it started: it ends as if the machine had. Returns when all are gone."""
        kill([self.process_id, *(process for process, _ in descendants(self.process_id))])
        self.exit_code = self._process.wait()

    def _end(self) -> None:
        """SIGTERM first: killed at once, it could not end its own processes."""
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except ServerFailed:
            if error is None:
                raise
        finally:
            self._folder.cleanup()


def _drain(stream: IO[bytes], lines: queue.Queue[str | None]) -> None:
    """Reads to the end, so that the server never waits for a full pipe."""
    with stream:
        for line in stream:
            lines.put(line.decode(errors="replace"))
    lines.put(None)
