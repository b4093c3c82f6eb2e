"""The replay against the real engine, in process: every check holds, and every kind of refusal occurs."""

import json
from datetime import datetime
from typing import Any

import pytest

from bench.connection import JSON, Connection
from bench.journey import Journey
from bench.replay import Replay
from bench.summary import run_checks, summary
from engine import Engine


class InProcess(Connection):
    """The engine at the other end of a connection that is none."""

    def __init__(self) -> None:
        self.seconds = 0.001
        self._engine = Engine(shards=2)
        self._now = 0

    def set_clock(self, now: str) -> None:
        self._now = int(datetime.fromisoformat(now).timestamp())

    def put(self, path: str, body: dict[str, Any]) -> None:
        self._engine.put_campaign(body, path.removeprefix("/campaigns/"))

    def post(self, path: str, body: bytes, media_type: str = JSON) -> bytes:
        if path == "/send-batch":
            return self._engine.send_batch_json(body, self._now)
        answer = self._engine.events(body, self._now) if path == "/events" else self._engine.send(body, self._now)
        return json.dumps(answer).encode()

    def get(self, path: str) -> dict[str, Any]:
        name = path.removeprefix("/campaigns/").removesuffix("/status")
        return self._engine.status(name, self._now)


@pytest.fixture(scope="module")
def replay(some_journey: Journey) -> Replay:
    run = Replay(some_journey, InProcess())
    run.run(lambda now, decisions: None)
    return run


def test_every_promise_is_kept(replay: Replay, some_journey: Journey) -> None:
    held = run_checks(replay, some_journey)
    assert {promise: faults[:3] for promise, faults in held.items() if faults} == {}


def test_the_year_shows_what_the_engine_is_for(replay: Replay, some_journey: Journey) -> None:
    figures = summary(replay, some_journey, {})
    reasons = figures["decisions"]["marketing"]["by_reason"]
    assert {"duplicate", "daily_cap", "weekly_cap", "no_viable_channel"} <= set(reasons)
    assert set(figures["decisions"]["marketing"]["by_channel"]) >= {"email", "sms", "whatsapp", "facebook"}
    assert figures["decisions"]["receipts"]["scheduled"] == len(some_journey.baskets)
