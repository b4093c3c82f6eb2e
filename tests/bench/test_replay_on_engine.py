"""The replay against the real engine, in process, which delivers: every check holds, and every kind of refusal and of
failure occurs."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from bench.connection import JSON, Connection
from bench.contacts import comes_back, household_number
from bench.journey import Journey
from bench.landings import Arrival
from bench.replay import Replay
from bench.summary import run_checks, summary
from engine import Engine
from engine._core import CHANNELS

ROOM = dict.fromkeys(CHANNELS, 10_000)
CLAIM_S = 60


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


class Delivering(InProcess):
    """With a dispatcher that sends whatever is due when the clock moves. With `refuses` the mailboxes that are dead
    refuse their mail."""

    def __init__(self, refuses: bool) -> None:
        super().__init__()
        self.refuses = refuses
        self._landed: list[Arrival] = []
        self._refused: list[int] = []

    def set_clock(self, now: str) -> None:
        super().set_clock(now)
        while claimed := self._engine.claim(ROOM, self._now, self._now + CLAIM_S, frozenset()):
            assert all(self._engine.start([claim.key for claim in claimed], self._now))
            reports = []
            for claim in claimed:
                household = household_number(claim.recipient_id)
                if self.refuses and comes_back(claim.channel, household):
                    self._refused.append(household)
                    reports.append(claim.report("rejected", detail="no such mailbox"))
                else:
                    found = Arrival(claim.message_id, claim.channel, household, claim.scheduled_at, self._now)
                    self._landed.append(found)
                    reports.append(claim.report("accepted"))
            assert all(self._engine.report(reports, self._now))

    def take(self, now: int) -> tuple[list[Arrival], list[int]]:
        taken = self._landed, self._refused
        self._landed, self._refused = [], []
        return taken

    def request(self, method: str, path: str, body: bytes | None = None, media_type: str = JSON) -> bytes:
        assert (method, path) == ("GET", "/metrics")
        return f"madan_sara_settled_until_seconds {self._now}".encode()

    def get(self, path: str) -> dict[str, Any]:
        if not path.startswith("/messages/"):
            return super().get(path)
        message = self._engine.message(path.removeprefix("/messages/"))
        assert message is not None
        return message


@pytest.fixture(scope="module", params=["bounces", "refusals"])
def replay(request: pytest.FixtureRequest, some_journey: Journey, played: Callable[[Replay], Replay]) -> Replay:
    product = Delivering(refuses=request.param == "refusals")
    return played(Replay(some_journey, product, product.take))


def test_every_promise_is_kept(replay: Replay, some_journey: Journey) -> None:
    held = run_checks(replay, some_journey)
    assert {promise: faults[:3] for promise, faults in held.items() if faults} == {}


def test_the_year_shows_what_the_engine_is_for(replay: Replay, some_journey: Journey) -> None:
    figures = summary(replay, some_journey, {})
    reasons = figures["decisions"]["marketing"]["by_reason"]
    assert {"duplicate", "daily_cap", "weekly_cap", "no_viable_channel"} <= set(reasons)
    assert set(figures["decisions"]["marketing"]["by_channel"]) >= {"email", "sms", "whatsapp", "facebook"}
    assert figures["decisions"]["receipts"]["total"] == len(some_journey.baskets)


def test_what_was_mailed_in_vain_goes_another_way_or_fails(replay: Replay, some_journey: Journey) -> None:
    delivery = summary(replay, some_journey, {})["delivery"]
    mail = delivery["by_channel"]["email"]
    assert mail["came_back"] == mail["failed"] + sum(mail["fell_back_to"].values())
    assert mail["failed"] > 0
    assert sum(mail["fell_back_to"].values()) > 0
    decided = sum(outcome.at is not None for outcome in replay.outcomes)
    arrived = sum(row["arrived"] for row in delivery["by_channel"].values())
    assert decided == arrived + sum(row["failed"] + row["cancelled"] for row in delivery["by_channel"].values())
