"""Single sends that are decided together fare as one after the other."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from engine._core import Request
from engine.local import Engine

NOON = 1_767_268_800
CAMPAIGNS: list[dict[str, Any]] = [
    {"id": "plain"},
    {"id": "scarce", "budget": {"total": "0.004"}, "costs": {"email": "0.001", "sms": "0.003"}},
    {"id": "slow", "limits": {"per_minute": 1, "daily_messages": 4}, "urgency": "high"},
]

sends = st.fixed_dictionaries(
    {
        "campaign_id": st.sampled_from([campaign["id"] for campaign in CAMPAIGNS]),
        "recipient": st.fixed_dictionaries(
            {"id": st.sampled_from("abcdef"), "contacts": st.sampled_from([{}, {"email": "a@b.co"}, {"sms": "+5093"}])},
            optional={"preferences": st.just({"opt_out": ["sms"]}), "customer_type": st.just("existing")},
        ),
    },
    optional={
        "dedup_key": st.sampled_from(["k", "l"]),
        "urgency": st.just("high"),
        "explain": st.just(True),
        "content": st.just({"text": "hello"}),
    },
)


def engine() -> Engine:
    made = Engine()
    for campaign in CAMPAIGNS:
        made.put_campaign(campaign, campaign["id"])
    return made


@settings(deadline=None)
@given(st.lists(sends, max_size=12))
def test_together_as_one_after_the_other(bodies: list[dict[str, Any]]) -> None:
    crowd, singly = engine(), engine()
    requests = [crowd.router.parse_send(msgspec.json.encode(body)) for body in bodies]
    gathered = Request.together(requests)
    assert sorted(place for _, places in gathered for place in places) == list(range(len(bodies)))
    for request, places in gathered:
        assert places == sorted(places)
        answer = crowd.shards[0].decide(request.part(0, NOON))
        together = request.replies({0: answer}).render_sends()
        assert len(together) == len(places) == request.size
        for place, (decision, tally) in zip(places, together, strict=True):
            alone = singly.send(bodies[place], NOON)
            assert msgspec.json.decode(decision) == alone
            assert tally == [(alone["status"], alone["channel"] or alone["reason"], 1)]
    assert crowd.state_hashes() == singly.state_hashes()
    # Only what is the same but for the recipient is decided together.
    kinds = {msgspec.json.encode({**body, "recipient": None}, order="deterministic") for body in bodies}
    assert len(gathered) == len(kinds)
