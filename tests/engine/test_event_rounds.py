"""Event ids over several shards: taken once, in order, and safe to repeat wherever it broke off."""

from __future__ import annotations

from typing import Any

import pytest

from engine import Engine
from engine.event import Event
from engine.event_rounds import Round, take_events
from engine.scalars import Identifier

NOW = 1_800_000_000
SHARDS = 4


@pytest.fixture
def engine() -> Engine:
    engine = Engine(shards=SHARDS)
    engine.put_campaign({"id": "c", "urgency": "high", "conversion_value": "5"})
    return engine


def message_on(engine: Engine, shard: int, number: int = 0) -> str:
    """A message of a new person on a shard."""
    ids = (f"r-{shard}-{number}-{index}" for index in range(1000))
    recipient_id = next(one for one in ids if engine.router.shard_of_recipient(one) == shard)
    recipient = {"id": recipient_id, "contacts": {"email": "ana@example.com"}}
    return str(engine.send({"campaign_id": "c", "recipient": recipient}, NOW)["message_id"])


def person_of(engine: Engine, message_id: str) -> str:
    message = engine.message(message_id)
    assert message is not None
    return str(message["recipient_id"])


def converted(event_id: str, message_id: str) -> dict[str, Any]:
    return {"id": event_id, "type": "converted", "message_id": message_id}


def statuses(engine: Engine, *events: dict[str, Any]) -> list[str]:
    return [result["status"] for result in engine.events({"events": list(events)}, NOW)["results"]]


def answers_to(engine: Engine, step: Round) -> dict[int, list[Any]]:
    return {
        shard: getattr(engine.shards[shard], step.method)(rows, *step.arguments) for shard, rows in step.rows.items()
    }


def revenue(engine: Engine) -> str:
    return str(engine.status("c", NOW)["performance"]["revenue"])


def test_an_id_is_taken_once_over_all_shards(engine: Engine) -> None:
    messages = [message_on(engine, shard) for shard in range(SHARDS)]
    assert statuses(engine, *(converted("e", one) for one in messages)) == ["applied", "seen", "seen", "seen"]
    for one in messages:
        assert statuses(engine, converted("e", one)) == ["seen"]
    assert revenue(engine) == "5.00"


def test_the_first_that_can_be_applied_has_the_id(engine: Engine) -> None:
    first, second = message_on(engine, 2), message_on(engine, 1)
    gone = message_on(engine, 3)
    engine.erase(person_of(engine, gone), NOW)
    wrong = {"id": "e", "type": "glimpsed", "message_id": second}
    events = (converted("e", "nonsense"), converted("e", gone), wrong, converted("e", first), converted("e", second))
    assert statuses(engine, *events) == ["unknown", "unknown", "invalid", "applied", "seen"]
    # What came before is said even of what is not there.
    assert statuses(engine, *events) == ["seen", "seen", "invalid", "seen", "seen"]
    engine.erase(person_of(engine, first), NOW)
    assert statuses(engine, *events) == ["seen", "seen", "invalid", "seen", "seen"]


@pytest.mark.parametrize("rounds", range(1, 4))
def test_wherever_it_breaks_off_repeating_applies_once(engine: Engine, rounds: int) -> None:
    """`rounds` are carried out, and their last answer is lost."""
    pairs = [(f"e-{shard}-{to}", message_on(engine, to, shard)) for shard in range(SHARDS) for to in range(SHARDS)]
    events = [Event(id=Identifier(i), type="converted", message_id=Identifier(m)) for i, m in pairs]
    steps = take_events(engine.router, events, NOW)
    step = next(steps)
    for number in range(1, rounds + 1):
        answers = answers_to(engine, step)
        if number < rounds:
            step = steps.send(answers)
    bodies = [converted(*pair) for pair in pairs]
    other = message_on(engine, 0, 99)
    if rounds > 1:
        # Another message does not get an id that is bound, be it applied or not.
        assert statuses(engine, converted("e-1-1", other)) == ["seen"]
    expected = "seen" if rounds == 3 else "applied"
    assert set(statuses(engine, *bodies)) == {expected}
    assert set(statuses(engine, *bodies)) == {"seen"}
    assert revenue(engine) == "80.00"


def test_an_id_is_free_again_if_its_message_went_before_it_was_applied(engine: Engine) -> None:
    first, second = message_on(engine, 1), message_on(engine, 2)
    steps = take_events(engine.router, [Event(id=Identifier("e"), type="converted", message_id=Identifier(first))], NOW)
    methods = []

    def carry_out(step: Round) -> dict[int, list[Any]]:
        methods.append(step.method)
        if step.method == "apply_events":
            engine.erase(person_of(engine, first), NOW)
        return answers_to(engine, step)

    step = next(steps)
    for _ in range(3):
        step = steps.send(carry_out(step))
    with pytest.raises(StopIteration) as done:
        steps.send(carry_out(step))
    assert done.value.value == ["unknown"]
    assert methods == ["has_messages", "bind_events", "apply_events", "unbind_events"]
    assert statuses(engine, converted("e", second)) == ["applied"]
