"""From a body to parts and from answers to JSON: whatever comes in, a fault is named by its path, a recipient is
answered in its place, and nothing but `RequestError` is raised."""

from __future__ import annotations

import json
import time
from collections import Counter
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine._core import ANSWER_LAYOUT, CHANNELS, Request, RequestParser, check_json, message_shard, slot_of
from engine.errors import RequestError
from engine.model import Recipient
from engine.scalars import Identifier, Instant, decode_scalar
from kernels import ZONE_NAMES

SHARDS = 3
NONE = -(2**63)
PARSER = RequestParser(ZONE_NAMES, SHARDS)
RECIPIENT_DECODER = msgspec.json.Decoder(Recipient, dec_hook=decode_scalar)
FIELDS = ["message_id", "recipient_id", "status", "reason", "detail", "channel", "scheduled_at", "scheduled_local"]
FIELDS += ["fallback_chain", "cost", "confidence", "next_eligible_at", "warnings"]


def batch_body(recipients: list[Any], **options: Any) -> bytes:
    return json.dumps({"campaign_id": "spring", "recipients": recipients} | options).encode()


def answer_of(rows: int, left_out: int = 0) -> bytes:
    """What a shard answers that schedules all of its rows by sms, and could not use these channels' addresses."""
    values = {"channel": 1, "reason": 255, "cost": 7_500, "confidence": 10_000, "next_eligible_at": NONE}
    values["left_out"] = left_out
    columns = (np.full(rows, values.get(name, 0), dtype=dtype).tobytes() for name, dtype in ANSWER_LAYOUT)
    return np.uint32(rows).tobytes() + b"".join(columns) + np.uint32(0).tobytes()  # and no explanations


def rows_by_shard(ids: list[str]) -> Counter[int]:
    return Counter(slot_of(id) % SHARDS for id in ids)


def rendered(request: Request, answers: dict[int, bytes | None]) -> dict[str, Any]:
    return msgspec.json.decode(request.replies(answers).render_batch("b-1"))  # type: ignore[no-any-return]


def error_of(body: bytes) -> RequestError:
    with pytest.raises(RequestError) as raised:
        PARSER.parse_batch(body)
    assert raised.value.detail
    assert len(raised.value.detail) < 600
    for path, message in raised.value.errors:
        assert path == "" or path.startswith("/")
        assert 0 < len(message) < 200
    return raised.value


# Recipients, right and wrong ones alike: every field takes what it should or something near it.

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
channels = st.sampled_from([*CHANNELS, "all", "fax", "Email"])
times = st.sampled_from(["00:00", "08:00", "21:00", "23:59", "24:00", "8:00", "08:60", "", "08:00:00", "٠٨:00"])
ids = st.text(min_size=1, max_size=6) | st.sampled_from(["", "é" * 64, "é" * 64 + "a", "a\x7f", "a\x85", "c-1"])
addresses = st.sampled_from(["ana@example.com", "+50937001234", "@ana", "", "a\nb"]) | st.text(max_size=8)


def maybe(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what it should be, sometimes anything."""
    return st.one_of(value, value, value, value, value, json_values)


quiet_hours = st.fixed_dictionaries({}, optional={"start": maybe(times), "end": maybe(times), "zone": st.just("UTC")})
preferences = st.fixed_dictionaries(
    {},
    optional={
        "channels": maybe(st.lists(maybe(channels), max_size=4)),
        "opt_out": maybe(st.lists(maybe(channels), max_size=4)),
        "quiet_hours": maybe(quiet_hours),
        "quiet": json_values,
    },
)
recipients = st.fixed_dictionaries(
    {},
    optional={
        "id": maybe(ids),
        "customer_type": maybe(st.sampled_from(["new", "existing", "old"])),
        "device": maybe(st.sampled_from(["mobile", "desktop", "tablet", "unknown", "Mobile"])),
        "timezone": maybe(st.sampled_from([ZONE_NAMES[0], "America/Port-au-Prince", "UTC", "Mars/Olympus", "utc"])),
        "contacts": maybe(st.dictionaries(channels, maybe(addresses), max_size=4)),
        "preferences": maybe(preferences),
        "name": json_values,
    },
)
right_recipients = st.fixed_dictionaries(
    {"id": st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)},
    optional={
        "customer_type": st.sampled_from(["new", "existing"]),
        "timezone": st.sampled_from(ZONE_NAMES),
        "contacts": st.dictionaries(st.sampled_from(CHANNELS), addresses, max_size=7),
    },
)


def schema_takes(recipient: Any) -> bool:
    try:
        RECIPIENT_DECODER.decode(json.dumps(recipient))
    except msgspec.ValidationError:
        return False
    return True


@settings(max_examples=800, deadline=None)
@given(st.lists(st.one_of(recipients, recipients, recipients, json_values), max_size=8))
def test_the_parser_and_the_schema_take_the_same_recipients(batch: list[Any]) -> None:
    results = rendered(PARSER.parse_batch(batch_body(batch)), {})["results"]
    assert [result["status"] != "invalid" for result in results] == [schema_takes(recipient) for recipient in batch]
    for index, result in enumerate(results):
        if result["status"] == "invalid":
            assert result["errors"]
            for error in result["errors"]:
                assert error["path"] == f"/recipients/{index}" or error["path"].startswith(f"/recipients/{index}/")
                assert 0 < len(error["message"]) < 200


@settings(max_examples=500, deadline=None)
@given(
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.sampled_from(["Z", "z", "", "+05:45", "-05:00", "+23:59", "-24:00", "+0500", "[UTC]"]),
    st.sampled_from(["", " ", "\n"]),
)
@example("2016-12-31T23:59:60", "Z", "")
@example("2026-03-01t00:00:00", "Z", "")
@example("2026-03-01 00:00:00", "Z", "")
@example("2026-03-01T00:00:00.", "Z", "")
def test_send_at_is_taken_as_instants_are(moment: str, offset: str, after: str) -> None:
    text = moment + offset + after
    try:
        Instant.read(text)
    except ValueError:
        assert [path for path, _ in error_of(batch_body([], send_at=text)).errors] == ["/send_at"]
    else:
        if "0001" < text[:4] < "9999":
            PARSER.parse_batch(batch_body([], send_at=text))


@pytest.mark.parametrize("key", ["k", "k" * 128, "é" * 64, "k" * 129, "é" * 65, "", "k\x7f"])
def test_a_dedup_key_is_taken_as_a_campaigns_is(key: str) -> None:
    """One that no campaign can have would be checked against none, and the OpenAPI document does not admit it."""
    try:
        Identifier.read(key)
    except ValueError:
        assert [path for path, _ in error_of(batch_body([], dedup_key=key)).errors] == ["/dedup_key"]
    else:
        PARSER.parse_batch(batch_body([], dedup_key=key))


def parse_anyhow(body: bytes) -> None:
    """Every way in; nothing but RequestError may come out."""
    refusals = []
    for parse in (PARSER.parse_batch, PARSER.parse_send, partial(PARSER.parse_profile, "c-1"), check_json):
        try:
            parse(body)
        except RequestError as error:
            refusals.append(error)
    for refusal in refusals:
        assert refusal.status in {400, 413, 422}
        assert refusal.errors


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60))
def test_arbitrary_bytes(body: bytes) -> None:
    parse_anyhow(body)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_mutated_bodies(data: st.DataObject) -> None:
    batch = data.draw(st.lists(recipients | right_recipients, min_size=1, max_size=3))
    options = {"urgency": "high", "channels": ["email"], "content": {"a": [1, {"b": "é"}]}, "dedup_key": "k"}
    escape = data.draw(st.booleans())
    whole = {"campaign_id": "spring", "recipients": batch} | options
    body = bytearray(json.dumps(whole, ensure_ascii=escape).encode(errors="replace"))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 12)))
        body[start:end] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"}", b"[", b"]", b",", b"\\", b"\0", b"\xff", b"1e9"])
        )
    parse_anyhow(bytes(body))


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(right_recipients, recipients), max_size=30), st.sets(st.integers(0, SHARDS - 1)))
def test_every_recipient_has_its_result_in_its_place(batch: list[Any], away: set[int]) -> None:
    request = PARSER.parse_batch(batch_body(batch))
    valid = [schema_takes(recipient) for recipient in batch]
    rows = rows_by_shard([recipient["id"] for recipient, takes in zip(batch, valid, strict=True) if takes])
    assert request.size == len(batch)
    assert request.shards == sorted(rows)
    answers = {shard: None if shard in away else answer_of(rows[shard]) for shard in request.shards}
    answer = rendered(request, answers)
    assert len(answer["results"]) == len(batch)
    for recipient, takes, result in zip(batch, valid, answer["results"], strict=True):
        assert list(result) == FIELDS + ([] if takes else ["errors"])
        if takes:
            assert result["recipient_id"] == recipient["id"]
            there = slot_of(recipient["id"]) % SHARDS not in away
            assert result["status"] == ("scheduled" if there else "unavailable")
        else:
            assert result["status"] == "invalid"
            assert result["recipient_id"] in (None, recipient.get("id") if isinstance(recipient, dict) else None)
    statuses = Counter(result["status"] for result in answer["results"])
    unavailable = {"unavailable": statuses["unavailable"]} if statuses["unavailable"] else {}
    assert answer["counts"] == {name: statuses[name] for name in ("scheduled", "blocked", "invalid")} | unavailable
    labels = {"scheduled": "sms"}
    assert request.replies(answers).tally() == [
        (status, labels.get(status, ""), statuses[status])
        for status in ("scheduled", "invalid", "unavailable")
        if statuses[status]
    ]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
@example(answer_of(2)[:-1])
@example(b"\xff\xff\xff\xff")
def test_an_answer_that_is_none_makes_its_recipients_unavailable(answer: bytes) -> None:
    request = PARSER.parse_batch(batch_body([{"id": "c-1"}]))
    (result,) = rendered(request, dict.fromkeys(request.shards, answer))["results"]
    assert result["status"] == "unavailable"
    assert result["recipient_id"] == "c-1"


def broken_recipients() -> list[tuple[str, str]]:
    """Recipients as JSON, each broken in its own way, and the path of the fault below it: a hundred of them."""
    either = [("customer_type", ["old", "New", "", " new"]), ("device", ["phone", "MOBILE", ""])]
    either += [("timezone", ["Mars/Olympus", "america/new_york", "", "+01:00"])]
    wrong_type = [None, 7, 1.5, True, [], {}, ["x"]]
    broken: list[tuple[str, str]] = [(json.dumps(value), "") for value in (None, 7, "c-1", True, [], [{"id": "c-1"}])]
    for name, words in either:
        broken += [(json.dumps({"id": "c-1", name: value}), f"/{name}") for value in [*words, *wrong_type]]
    wrong_ids = ["", "a" * 129, "é" * 65, "a\0", "a\n", "\x1f", "\x7f", "\x9f", *wrong_type]
    broken += [(json.dumps({"id": value}), "/id") for value in wrong_ids]
    broken += [(json.dumps({"device": "mobile"}), "/id"), ('{"id": "a", "id": "a"}', "/id")]
    broken += [(json.dumps({"id": "c-1", "contacts": value}), "/contacts") for value in (None, 7, "x", [])]
    broken += [
        (json.dumps({"id": "c-1", "contacts": {name: value}}), f"/contacts/{name}")
        for name, value in [("fax", "1"), ("", "1"), *((name, None) for name in CHANNELS), ("sms", 50937001234)]
    ]
    for name, values in (("channels", [None, "sms", {}]), ("opt_out", [None, "all", 7]), ("quiet_hours", [None, []])):
        broken += [
            (json.dumps({"id": "c-1", "preferences": {name: value}}), f"/preferences/{name}") for value in values
        ]
    for name in ("channels", "opt_out"):
        broken += [
            (json.dumps({"id": "c-1", "preferences": {name: ["sms", value]}}), f"/preferences/{name}/1")
            for value in ("fax", None, 7, [])
        ]
    for channel in CHANNELS:
        broken.append((f'{{"id": "c-1", "contacts": {{"{channel}": "1", "{channel}": "2"}}}}', f"/contacts/{channel}"))
    for start in ("24:00", "8:00", "08:60", "0800", "", None, 800):
        hours = {"start": start, "end": "08:00"}
        broken.append(
            (json.dumps({"id": "c-1", "preferences": {"quiet_hours": hours}}), "/preferences/quiet_hours/start")
        )
    broken += [
        (json.dumps({"id": "c-1", "preferences": {"quiet_hours": {"start": "21:00"}}}), "/preferences/quiet_hours/end")
    ]
    broken += [(json.dumps({"id": "c-1", name: 1}), path) for name, path in (("name", "/name"), ("a/b~", "/a~1b~0"))]
    return broken[:100]


def test_a_hundred_broken_recipients_are_named_and_the_others_decided() -> None:
    broken = broken_recipients()
    assert len({body for body, _ in broken}) == 100
    ids = [f"c-{number}" for number in range(9_900)]
    bodies = [json.dumps({"id": id}) for id in ids]
    for index, (body, _) in enumerate(broken):
        bodies.insert(index * 100, body)
    request = PARSER.parse_batch(f'{{"campaign_id": "a", "recipients": [{",".join(bodies)}]}}'.encode())
    answers = {shard: answer_of(rows) for shard, rows in rows_by_shard(ids).items()}
    answer = rendered(request, dict(answers))
    assert answer["counts"] == {"scheduled": 9_900, "blocked": 0, "invalid": 100}
    results = answer["results"]
    for index, (body, path) in enumerate(broken):
        result = results[index * 100]
        assert result["status"] == "invalid", body
        assert [error["path"] for error in result["errors"]] == [f"/recipients/{index * 100}{path}"], body
        assert result["errors"][0]["message"]
    assert [result["recipient_id"] for result in results if result["status"] == "scheduled"] == ids


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"campaign_id": "a", "recipients": [{"id": "c-1"', 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b'{"campaign_id": "a", "recipients": [{"id": ' + b"1" * 10_000_000 + b"}]}", 400),
        (b'{"campaign_id": "a", "recipients": [{"id": 0.' + b"1" * 10_000_000 + b"}]}", None),
        (b'{"campaign_id": "a", "recipients": [{"id": "\xff"}]}', 400),
        (b'{"campaign_id": "\xc0\x80", "recipients": []}', 400),
        (b'{"campaign_id": "a\0", "recipients": []}', 400),
        (b'{"campaign_id": "a", "recipients": []}\0', 400),
        (b'{"campaign_id": "a", "recipients": [{"id": "\\ud800"}]}', 400),
        (b'{"campaign_id": "a", "campaign_id": "a", "recipients": []}', 400),
        (b'{"campaign_id": "a", "recipients": [' + b'{"id":"c"},' * 100_000 + b'{"id":"c"}]}', 413),
        (b'{"campaign_id": "a", "recipients": [' + b"7," * 100_000 + b"7]}", 413),
        (b'{"campaign_id": "a", "recipients": [' + b'{"id":"c"},' * 99_999 + b'{"id":"c"}]}', None),
        (b" " * (64 * 1024 * 1024 + 1), 413),
        (
            b'{"campaign_id": "a", "recipients": [{"id": "c", "preferences": {"opt_out": ['
            + b"7," * 4_000_000
            + b"7]}}]}",
            None,
        ),
        (b"{" + b",".join(b'"%d":0' % number for number in range(500_000)) + b"}", 400),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value),
)
def test_what_no_parser_likes_is_refused_soon(body: bytes, status: int | None) -> None:
    started = time.perf_counter()
    if status is None:
        PARSER.parse_batch(body)
    else:
        assert error_of(body).status == status
    assert time.perf_counter() - started < 2


def test_a_single_send_and_a_profile() -> None:
    request = PARSER.parse_send(b'{"campaign_id": "a", "recipient": {"id": "c-1", "contacts": {"whatsapp": "x"}}}')
    assert (request.campaign_id, request.size) == ("a", 1)
    answers = dict.fromkeys(request.shards, answer_of(1, 1 << CHANNELS.index("whatsapp")))
    ((rendered, tally),) = request.replies(answers).render_sends()
    assert tally == [("scheduled", "sms", 1)]
    decision = msgspec.json.decode(rendered)
    assert list(decision) == FIELDS
    assert (decision["cost"], decision["confidence"], decision["scheduled_local"]) == (
        "0.0075",
        1.0,
        "1970-01-01T00:00:00+00:00",
    )
    warnings = ["contacts.whatsapp: not an E.164 phone number such as +50937001234; the channel is left out"]
    assert decision["warnings"] == warnings
    ((rendered, tally),) = request.replies({}).render_sends()
    decision = msgspec.json.decode(rendered)
    assert (decision["status"], decision["warnings"], tally) == ("unavailable", warnings, [("unavailable", "", 1)])
    with pytest.raises(RequestError) as raised:
        PARSER.parse_send(b'{"campaign_id": "a", "recipient": {"id": "c-1", "timezone": null}}')
    assert (raised.value.status, raised.value.errors[0][0]) == (422, "/recipient/timezone")
    profile = PARSER.parse_profile("c-1", b'{"device": "mobile"}')
    assert profile.shards == [slot_of("c-1") % SHARDS]
    with pytest.raises(IndexError):
        profile.part(SHARDS, 0)
    with pytest.raises(RequestError) as raised:
        PARSER.parse_profile("c-1", b'{"id": "c-2"}')
    assert (raised.value.status, raised.value.errors[0][0]) == (422, "/id")


def test_a_message_names_its_shard() -> None:
    assert message_shard("m-0000000000000001", SHARDS) == 0
    assert message_shard("m-ffc0000000000000", 5) == 1023 % 5
    for text in ("", "m-1", "m-000000000000000G", "x"):
        assert message_shard(text, SHARDS) is None


@pytest.mark.parametrize("shards", [0, 1025])
def test_the_number_of_shards_is_bounded(shards: int) -> None:
    with pytest.raises(ValueError, match="1 to 1,024 shards"):
        RequestParser(ZONE_NAMES, shards)
