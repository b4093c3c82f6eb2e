"""Addresses: whatever is known of a person, what comes is judged as if it came for the first time."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Engine
from engine.form import Form
from tests.engine.streams import stream_of
from tests.reference_rules import CHANNELS, usable

NOW = 1_772_341_200
TEXTS = ("", "ana", "ana@example.com", "+15550100", "ana@example.com\n+15550100", "ana\n", "é@exämple.com")
"""Each is usable on some channels and not on others, or they are each other's beginnings."""

contacts = st.dictionaries(st.sampled_from(CHANNELS), st.sampled_from(TEXTS), max_size=5)


def named(warnings: list[str]) -> set[str]:
    return {warning.split(":")[0].removeprefix("contacts.") for warning in warnings}


def unusable(given: dict[str, str]) -> set[str]:
    return {channel for channel, address in given.items() if not usable(channel, address)}


def ask(given: list[dict[str, str]], **options: Any) -> dict[str, Any]:
    people = [{"id": f"c-{number % 2}", "contacts": theirs} for number, theirs in enumerate(given)]
    return {"campaign_id": "c", "recipients": people} | options


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.lists(contacts, min_size=1, max_size=4)), min_size=1, max_size=6))
def test_each_is_told_what_was_left_out_and_the_rest_is_kept(batches: list[tuple[bool, list[dict[str, str]]]]) -> None:
    engine = Engine(shards=2)
    engine.put_campaign({"id": "c"})
    kept: dict[str, dict[str, str]] = {}
    for is_dry, batch in batches:
        results = engine.send_batch(ask(batch, dry_run=is_dry), NOW)["results"]
        assert [named(result["warnings"]) for result in results] == [unusable(theirs) for theirs in batch]
        if not is_dry:
            kept |= {f"c-{number % 2}": theirs for number, theirs in enumerate(batch)}
    for name, theirs in kept.items():
        view = engine.recipient(name, NOW)
        assert view is not None
        assert view["recipient"].get("contacts", {}) == {c: a for c, a in theirs.items() if usable(c, a)}


@given(st.lists(contacts, min_size=1, max_size=6))
def test_who_is_unavailable_is_told_the_same(batch: list[dict[str, str]]) -> None:
    request = Engine(shards=3).router.parse_batch(msgspec.json.encode(ask(batch)))
    results = msgspec.json.decode(request.replies({}).render_batch("b"))["results"]
    assert {result["status"] for result in results} == {"unavailable"}
    assert [named(result["warnings"]) for result in results] == [unusable(theirs) for theirs in batch]


def test_what_is_too_long_is_not_carried_along() -> None:
    """In Arrow one text may stand for many people, and a body of a megabyte would become parts of a gigabyte."""
    count, long = 1_000, "a" * 1_000_000
    words = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), [long])
    contacts = pa.StructArray.from_arrays([words] * len(CHANNELS), CHANNELS)
    stream = stream_of(pa.table({"id": [f"c-{number}" for number in range(count)], "contacts": contacts}))
    router = Engine(shards=2).router
    in_arrow = router.parse_batch(stream, Form(msgspec.json.encode({"campaign_id": "c"})))
    in_json = router.parse_batch(msgspec.json.encode(ask([dict.fromkeys(CHANNELS, long)])))
    for request in (in_arrow, in_json):
        assert sum(len(request.part(shard, NOW)) for shard in request.shards) < 1_000 + 100 * request.size
        results = msgspec.json.decode(request.replies({}).render_batch("b"))["results"]
        assert all(named(result["warnings"]) == set(CHANNELS) for result in results)


@given(contacts)
def test_a_profile_keeps_what_can_be_used(theirs: dict[str, str]) -> None:
    engine = Engine()
    for _ in range(2):
        engine.put_recipient("c-0", {"contacts": theirs}, NOW)
        view = engine.recipient("c-0", NOW)
        assert view is not None
        assert view["recipient"].get("contacts", {}) == {c: a for c, a in theirs.items() if usable(c, a)}
