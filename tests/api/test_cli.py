"""The command line: wrong configuration is one sentence and exit code 2; the server starts, answers and ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic

import httpx
import pytest
from click.testing import CliRunner

from api.cli import main
from api.http_server import bind
from engine.errors import ConfigurationError


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["--config", "/nowhere/at-all.toml"], {}, "--config: takes a readable TOML file"),
        (["--port", "70000"], {}, "port: takes a whole number from 0 to 65535"),
        (["--shards", "-1"], {}, "shards: takes a whole number from 0 to 1024"),
        (["--clock", "sundial"], {}, "clock: takes"),
        (["--host", "0.0.0.0"], {}, "host: takes a loopback address"),
        ([], {"MADAN_SARA_PORT": "eighty"}, "MADAN_SARA_PORT: takes a whole number"),
        ([], {"MADAN_SARA_COLOUR": "red"}, "MADAN_SARA_COLOUR: there is no such key"),
    ],
)
def test_wrong_configuration_stops_the_start(arguments: list[str], environment: dict[str, str], says: str) -> None:
    result = CliRunner().invoke(main, ["serve", *arguments], env=environment)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"madan-sara: {says}")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_wrong_file_names_its_key(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[limits]\nbody_timeout_ms = 0\n")
    result = CliRunner().invoke(main, ["serve", "--config", str(path)])
    assert result.exit_code == 2
    assert result.stderr == "madan-sara: limits.body_timeout_ms: takes a whole number from 1 to 3600000\n"


def test_a_port_in_use_is_named() -> None:
    with bind("127.0.0.1", 0) as taken, pytest.raises(ConfigurationError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1])


def test_every_command_is_listed() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for command in ("serve", "demo", "bench", "bench-page"):
        assert command in result.stdout
    result = CliRunner().invoke(main, ["state", "--help"])
    assert (result.exit_code, "check" in result.stdout, "demo" in result.stdout) == (0, True, False)


def test_a_directory_without_a_state_is_said_to_be_none(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["state", "check", str(tmp_path)])
    assert result.exit_code == 1
    assert "ledger.sqlite: it is missing. Name the directory of a server's state" in result.stderr


def test_the_server_starts_answers_and_ends() -> None:
    command = [sys.executable, "-m", "api.cli", "serve", "--port", "0", "--shards", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            word, url = server.stdout.readline().split()
            assert word == "ready"
            assert httpx.get(f"{url}/health/ready", timeout=30).json() == {"status": "ok"}
            assert httpx.put(f"{url}/api/v1/clock", json={"now": "2030-01-01T00:00:00Z"}).status_code == 404
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as never_ends:
                head = b"POST /api/v1/outreach/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
                never_ends.sendall(head + b"{")
                told = monotonic()
                server.send_signal(signal.SIGTERM)
                assert server.wait(30) == 0
                assert monotonic() - told < 10
                answer = never_ends.recv(4096)
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"content-type: application/problem+json" in answer
                assert b"retry-after: " in answer
        finally:
            server.kill()
