"""How the replay moves the clock, through every hour in which something is due, and what it hears of what came back."""

import json
from typing import Any

import pytest

from bench import deliveries as deliveries_module
from bench.answers import Outcome, WrongAnswer
from bench.connection import JSON, Connection
from bench.deliveries import Deliveries
from bench.journey import as_utc
from bench.landings import Arrival

NOON = 1_500_048_000
HOUR = 3600
DEAD = 44
QUIET = (1260, 480)


class Product(Connection):
    """Says that it is settled after so many looks, and lands what the test put down for an instant."""

    def __init__(self) -> None:
        self.moves: list[str] = []
        self.looks_until_settled = 3
        self.landing: list[Outcome] = []
        self.refused: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.messages: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self._looks = 0

    def set_clock(self, now: str) -> None:
        self.moves.append(now)
        self._looks = 0

    def request(self, method: str, path: str, body: bytes | None = None, media_type: str = JSON) -> bytes:
        assert (method, path) == ("GET", "/metrics")
        self._looks += 1
        if self._looks < self.looks_until_settled:
            return b"" if self._looks == 1 else b"madan_sara_settled_until_seconds 5.0\n"
        return b"madan_sara_settled_until_seconds 1.6e9\n"

    def post(self, path: str, body: bytes, media_type: str = JSON) -> bytes:
        assert path == "/events"
        events = json.loads(body)["events"]
        self.events += events
        return json.dumps({"results": [{"id": event["id"], "status": "applied"} for event in events]}).encode()

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        return self.messages[path.removeprefix("/messages/")]

    def take(self, now: int) -> tuple[list[Arrival], list[int]]:
        due = [one for one in self.landing if one.at is not None and one.at <= now]
        self.landing = [one for one in self.landing if one not in due]
        refused, self.refused = self.refused, []
        return [Arrival(str(one.message_id), str(one.channel), one.household, one.at or 0, now) for one in due], refused


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries_module, "sleep", lambda seconds: None)


def started(product: Product) -> Deliveries:
    deliveries = Deliveries(product, product.take, lambda household: QUIET)
    deliveries.move_to(NOON)
    return deliveries


def message(message_id: str, at: int, household: int = 1, chain: tuple[str, ...] = ("sms",)) -> Outcome:
    return Outcome(
        household=household, campaign="spring", dedup_key=message_id, now=NOON, status="scheduled", reason=None,
        channel="email", at=at, local_minute=720, cost=2_000, quiet=(0, 0), message_id=message_id, chain=chain,
    )  # fmt: skip


def told(state: str, channel: str = "email", at: int = NOON, chain: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "state": state, "channel": channel, "scheduled_at": as_utc(at), "cost": "0.0079", "fallback_chain": list(chain)
    }  # fmt: skip


def moves_of(*instants: int, to: int, via: int = NOON) -> list[str]:
    """After the start."""
    product = Product()
    deliveries = started(product)
    deliveries.move_to(via)
    for number, at in enumerate(instants):
        deliveries.keep(message(f"m-{number}", at))
    deliveries.move_to(to)
    deliveries.finish()
    return product.moves[1:]


def test_the_clock_stops_at_the_end_of_each_hour_in_which_something_is_due() -> None:
    first, second = NOON + 2 * HOUR - 1, NOON + 4 * HOUR - 1
    due = NOON + HOUR, first, NOON + HOUR + 5, second - 7
    for to, stops in (
        (NOON + 6 * HOUR, [first, second, NOON + 6 * HOUR]),
        (first, [first, second]),
        (NOON + HOUR + 60, [NOON + HOUR + 60, first, second]),
        (NOON, [first, second]),
    ):
        assert moves_of(*due, to=to) == [as_utc(stop) for stop in stops]
    assert moves_of(to=NOON + 9 * HOUR) == [as_utc(NOON + 9 * HOUR)]
    assert moves_of(to=NOON) == []


def test_what_is_due_in_the_last_second_of_an_hour_when_it_is_that_goes_with_the_next() -> None:
    last = NOON + HOUR - 1
    assert moves_of(last, via=last, to=NOON + 9 * HOUR) == [as_utc(at) for at in (last, last + 1, NOON + 9 * HOUR)]


def test_the_clock_waits_for_what_is_due_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    product = Product()
    deliveries = started(product)
    deliveries.keep(message("m-1", NOON + 5))
    product.landing = [message("m-1", NOON + 5)]
    deliveries.move_to(NOON + HOUR)
    assert deliveries.arrivals == [Arrival("m-1", "email", 1, NOON + 5, NOON + HOUR - 1)]
    assert deliveries.stops == 1
    monkeypatch.setattr(deliveries_module, "GIVE_UP_S", -1.0)
    product.looks_until_settled = 1_000_000
    deliveries.keep(message("m-2", NOON + HOUR + 5))
    with pytest.raises(WrongAnswer, match="had not left"):
        deliveries.move_to(NOON + 2 * HOUR)


def test_what_lands_before_the_clock_moves_is_found_before() -> None:
    product = Product()
    deliveries = started(product)
    product.landing = [message("m-1", NOON)]
    deliveries.keep(message("m-1", NOON))
    deliveries.move_to(NOON + HOUR)
    assert [one.found_at for one in deliveries.arrivals] == [NOON]


def test_a_dead_mailbox_bounces_and_its_messages_go_on_fail_or_are_cancelled() -> None:
    product = Product()
    deliveries = started(product)
    lost, last, waiting = (message(f"m-{number}", NOON + number, DEAD) for number in range(1, 4))
    last, waiting = last._replace(chain=()), waiting._replace(at=NOON + 5 * HOUR)
    for one in (lost, last, waiting, message("m-4", NOON + 7)):
        deliveries.keep(one)
    product.landing = [lost, last, message("m-4", NOON + 7)]
    onward = NOON + 3 * HOUR
    product.messages = {"m-1": told("scheduled", "sms", onward, ("facebook",)), "m-3": told("cancelled")}
    deliveries.move_to(NOON + 2 * HOUR)
    assert [(one["type"], one["message_id"]) for one in product.events] == [("bounced", "m-1"), ("bounced", "m-2")]
    assert product.asked == ["/messages/m-1", "/messages/m-3"], "who has no chain left can only have failed"
    heard = NOON + HOUR - 1
    by_text = lost._replace(
        now=heard, channel="sms", at=onward, local_minute=15 * 60, cost=7_900, quiet=QUIET, chain=("facebook",)
    )
    assert list(deliveries.standing.values()) == [
        message("m-4", NOON + 7),
        by_text,
        last._replace(now=heard, status="failed", at=None),
        waiting._replace(now=heard, status="cancelled", at=None),
    ]
    assert [before for before, _ in deliveries.onward] == [lost, last, waiting]
    assert deliveries.attempts == [lost, last, message("m-4", NOON + 7), by_text]
    deliveries.finish()
    assert product.moves[2:] == [as_utc(at) for at in (NOON + 2 * HOUR, onward + HOUR - 1, NOON + 6 * HOUR - 1)]
    assert deliveries.faults == []
    deliveries.keep(message("m-5", NOON + 9 * HOUR, DEAD))
    assert len(deliveries.faults) == 1, "nobody writes to a mailbox that is known to be dead"


def test_mail_that_is_refused_is_followed_and_reported_to_nobody() -> None:
    product = Product()
    deliveries = started(product)
    deliveries.keep(message("m-1", NOON + 5, DEAD))
    deliveries.keep(message("m-2", NOON + 2 * HOUR, DEAD))
    product.messages, product.refused = {"m-1": told("failed")}, [DEAD]
    deliveries.move_to(NOON + HOUR)
    assert product.events == []
    assert deliveries.refusals == {DEAD: 1}
    assert [(one.message_id, one.status) for one in deliveries.standing.values()] == [
        ("m-2", "scheduled"),
        ("m-1", "failed"),
    ]
    assert deliveries.faults == []


@pytest.mark.parametrize(
    "answer", [told("sent"), told("sent", "facebook"), told("cancelled"), told("unknown", "sms")],
    ids=["goes nowhere", "goes where its chain does not", "ends otherwise", "is not known"],
)  # fmt: skip
def test_what_does_neither_go_on_nor_fail_is_a_fault(answer: dict[str, Any]) -> None:
    product = Product()
    deliveries = started(product)
    deliveries.keep(message("m-1", NOON + 5, DEAD))
    product.messages = {"m-1": answer}
    deliveries.finish()
    assert len(deliveries.faults) == 1


def test_an_event_that_is_not_taken_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    product = Product()
    deliveries = started(product)
    deliveries.keep(message("m-1", NOON + 5, DEAD, chain=()))
    product.landing = list(deliveries.attempts)
    unknown = json.dumps({"results": [{"id": "bounce-m-1", "status": "unknown"}]}).encode()
    monkeypatch.setattr(product, "post", lambda *_: unknown)
    deliveries.finish()
    assert deliveries.faults == ["event bounce-m-1 was answered bounce-m-1: unknown"]
