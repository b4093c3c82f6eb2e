"""The largest amounts, and texts that pretend to be something else."""

from __future__ import annotations

import json

import pytest

from engine import Engine
from engine.errors import RequestError

NOW = 1_772_463_600  # 2026-03-02T15:00:00Z
DEAREST = "999999999999.99"


def people(count: int) -> list[dict[str, object]]:
    return [{"id": f"c-{i}", "contacts": {"email": "a@example.com"}} for i in range(count)]


@pytest.mark.parametrize("budget", [None, {"total": "1.00"}, {"daily": DEAREST}, {"per_channel": {"email": DEAREST}}])
def test_costs_beyond_what_an_int64_adds_up_are_over_budget(budget: dict[str, object] | None) -> None:
    engine = Engine()
    engine.put_campaign({"id": "c", "urgency": "high", "costs": {"email": DEAREST}, "budget": budget})
    counts = engine.send_batch({"campaign_id": "c", "recipients": people(100)}, NOW)["counts"]
    assert sum(counts.values()) == 100
    status = engine.status("c", NOW)
    assert status["messages"]["scheduled"] == counts["scheduled"]
    assert engine.send({"campaign_id": "c", "recipient": people(101)[-1]}, NOW)["reason"] == "over_budget"


def test_revenue_adds_up_beyond_an_int64() -> None:
    engine = Engine()
    engine.put_campaign({"id": "c", "urgency": "high"})
    sent = engine.send_batch({"campaign_id": "c", "recipients": people(20)}, NOW)["results"]
    events = [
        {"id": f"e-{i}", "type": "converted", "message_id": one["message_id"], "value": DEAREST}
        for i, one in enumerate(sent)
    ]
    engine.events({"events": events}, NOW)
    assert engine.status("c", NOW)["performance"]["revenue"] == "19999999999999.80"


@pytest.mark.parametrize("place", ["$.costs[...]", "key` in `$.costs", "$[5].x[...]", "$.id.x", "$.limits[...]"])
@pytest.mark.parametrize("also", [{}, {"costs": {}}, {"costs": {"email": "1"}}, {"limits": {}}])
def test_a_field_named_like_a_place_is_a_400(place: str, also: dict[str, object]) -> None:
    body = json.dumps({"id": "c", **also, f"a` - at `{place}": 1}).encode()
    with pytest.raises(RequestError) as refused:
        Engine().put_campaign(body)
    assert refused.value.status == 400
    event = {"id": "1", "type": "opened", "message_id": "x", f"a` - at `{place}": 1}
    assert Engine().events({"events": [event]}, NOW)["results"][0]["status"] == "invalid"
