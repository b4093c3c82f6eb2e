"""Arrow in and out says what JSON says: the same parts for the shards, the same decisions, the same faults."""

from __future__ import annotations

import json
import random
import struct
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine._core import ANSWER_LAYOUT, CHANNELS, Request, RequestParser, slot_of
from engine.errors import RequestError
from kernels import ZONE_NAMES
from tests.engine.streams import SCHEMA, TEXTS, as_json, decisions_of, schema_with, stream_of, table_of

SHARDS = 3
PARSER = RequestParser(ZONE_NAMES, SHARDS)
OPTIONS = b'{"campaign_id": "spring"}'
NONE = -(2**63)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
channels = st.sampled_from([*CHANNELS, "all", "fax"])
times = st.sampled_from(["00:00", "21:00", "23:59", "24:00", "8:00"])
addresses = st.sampled_from(["ana@example.com", "+50937001234", "@ana", "", "a\nb"]) | text
lists = st.lists(st.none() | channels, max_size=10)
preferences = st.fixed_dictionaries(
    {},
    optional={
        "channels": lists,
        "opt_out": lists,
        "quiet_hours": st.fixed_dictionaries({}, optional={"start": times, "end": times}),
    },
)
recipients = st.fixed_dictionaries(
    {},
    optional={
        "id": text | st.sampled_from(["c-1", "é" * 64, "é" * 65]),
        "customer_type": st.sampled_from(["new", "existing", "old"]),
        "timezone": st.sampled_from(["America/Port-au-Prince", "UTC", "Mars/Olympus", "x" * 100]),
        "device": st.sampled_from(["mobile", "unknown", "toaster"]),
        "contacts": st.dictionaries(st.sampled_from(CHANNELS), addresses, max_size=4),
        "preferences": preferences,
    },
)
schemas = st.builds(schema_with, st.sampled_from(list(TEXTS.values())), st.sampled_from([pa.list_, pa.large_list]))


def in_order(recipient: dict[str, Any]) -> dict[str, Any]:
    """As the contract orders the fields, in which faults of a row are told."""
    ordered = {name: recipient[name] for name in SCHEMA.names if name in recipient}
    if "preferences" in recipient:
        names = ("channels", "opt_out", "quiet_hours")
        ordered["preferences"] = {
            name: recipient["preferences"][name] for name in names if name in recipient["preferences"]
        }
        if "quiet_hours" in ordered["preferences"]:
            hours = ordered["preferences"]["quiet_hours"]
            ordered["preferences"]["quiet_hours"] = {name: hours[name] for name in ("start", "end") if name in hours}
    return ordered


def by_json(batch: list[Any], **options: Any) -> Request:
    return PARSER.parse_batch(json.dumps({"campaign_id": "spring", "recipients": batch} | options).encode())


def answers_to(request: Request, ids: list[str], seed: int) -> dict[int, bytes | None]:
    """What shards might answer: rows of every kind."""
    generator = random.Random(seed)
    answers: dict[int, bytes | None] = {}
    for shard in range(SHARDS):
        rows = sum(slot_of(one) % SHARDS == shard for one in ids)
        draws = {
            "message_id": lambda: generator.choice([0, 1, 2**63]),
            "status": lambda: generator.choice([0, 1, 3]),
            "reason": lambda: generator.randrange(10),
            "channel": lambda: generator.randrange(7),
            "chain": lambda: generator.choice([0, 2, 0x7654321]),
            "scheduled_at": lambda: generator.choice([0, 1_772_341_200]),
            "offset_minutes": lambda: generator.choice([0, -300, 345]),
            "cost": lambda: generator.choice([0, 1, 7_500, 12_500_000, 10**18 - 1]),
            "confidence": lambda: generator.choice([0, 5_080, 9_999, 10_000]),
            "next_eligible_at": lambda: generator.choice([NONE, 1_772_341_200]),
            "left_out": lambda: generator.choice([0, 0, 0b101_0001]),
        }
        columns = [
            np.array([draws[name]() for _ in range(rows)], dtype=dtype).tobytes() for name, dtype in ANSWER_LAYOUT
        ]
        answers[shard] = np.uint32(rows).tobytes() + b"".join(columns) + np.uint32(0).tobytes()
    return answers


@settings(max_examples=120, deadline=None)
@given(st.lists(recipients, max_size=12), schemas, st.integers(1, 5), st.integers(0, 99))
def test_the_same_recipients_are_the_same_request(batch: list[Any], schema: Any, rows: int, seed: int) -> None:
    plain = by_json([in_order(recipient) for recipient in batch])
    arrow = PARSER.parse_arrow_batch(OPTIONS, stream_of(table_of(batch, schema), rows))
    assert (arrow.size, arrow.shards) == (plain.size, plain.shards)
    for shard in range(SHARDS):
        assert arrow.part(shard, 77) == plain.part(shard, 77)
    results = msgspec.json.decode(plain.replies({}).render_batch("b-1"))["results"]
    ids = [result["recipient_id"] for result in results if result["status"] != "invalid"]
    answers = answers_to(plain, ids, seed)
    told = plain.replies(answers).render_batch("b-1")
    assert arrow.replies(answers).render_batch("b-1") == told
    whole = msgspec.json.decode(told)
    decisions = decisions_of(arrow.replies(answers).render_arrow_batch("b-1"))
    assert as_json(decisions) == whole["results"]
    metadata = decisions.schema.metadata
    assert metadata[b"batch_id"] == b"b-1"
    assert json.loads(metadata[b"counts"]) == whole["counts"]
    assert json.loads(metadata[b"reasons"]) == whole["reasons"]


def test_the_columns_of_decisions() -> None:
    request = PARSER.parse_arrow_batch(OPTIONS, stream_of(table_of([{"id": "c-1"}, {}])))
    table = decisions_of(request.replies({}).render_arrow_batch(None))
    word = pa.dictionary(pa.int8(), pa.string())
    instant = pa.timestamp("s", "UTC")
    error = pa.struct([pa.field("path", pa.string(), False), pa.field("message", pa.string(), False)])
    assert {field.name: field.type for field in table.schema} == {
        "message_id": pa.string(),
        "recipient_id": pa.string(),
        "status": word,
        "reason": word,
        "detail": word,
        "channel": word,
        "scheduled_at": instant,
        "scheduled_local": pa.string(),
        "fallback_chain": pa.list_(pa.field("item", pa.string(), False)),
        "cost": pa.decimal128(18, 6),
        "confidence": pa.float64(),
        "next_eligible_at": instant,
        "warnings": pa.list_(pa.field("item", pa.string(), False)),
        "errors": pa.list_(pa.field("item", error, False)),
    }
    assert table.schema.metadata.keys() == {b"counts", b"reasons"}
    assert table["status"].to_pylist() == ["unavailable", "invalid"]
    assert table["errors"].to_pylist() == [None, [{"path": "/recipients/1/id", "message": "is required"}]]
    explained = PARSER.parse_arrow_batch(b'{"campaign_id": "a", "explain": true}', stream_of(table_of([{"id": "c-1"}])))
    assert decisions_of(explained.replies({}).render_arrow_batch(None)).column_names[-1] == "explanation"


def refusal(stream: bytes, options: bytes = OPTIONS) -> RequestError:
    with pytest.raises(RequestError) as raised:
        PARSER.parse_arrow_batch(options, stream)
    for path, message in raised.value.errors:
        assert path == "" or path.startswith("/")
        assert 0 < len(message) < 200
    return raised.value


ID = pa.array(["c-1", "c-2"])


@pytest.mark.parametrize(
    ("columns", "path"),
    [
        ({"id": pa.array([1, 2])}, "/schema/id"),
        ({"id": pa.array([b"a", b"b"])}, "/schema/id"),
        ({"id": pa.array([["a"], ["b"]])}, "/schema/id"),
        ({"id": pa.array([1, 2]).dictionary_encode()}, "/schema/id"),
        ({"id": pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array(["a"], pa.string_view()))}, "/schema/id"),
        ({"id": pa.RunEndEncodedArray.from_arrays([2], ["a"])}, "/schema/id"),
        ({"device": ID}, "/schema/id"),
        ({"id": ID, "colour": ID}, "/schema/colour"),
        ({"id": ID, "a/b": ID}, "/schema/a~1b"),
        ({"id": ID, "contacts": ID}, "/schema/contacts"),
        ({"id": ID, "contacts": pa.array([{"fax": "1"}, None])}, "/schema/contacts/fax"),
        ({"id": ID, "contacts": pa.array([{"sms": 1}, None])}, "/schema/contacts/sms"),
        ({"id": ID, "preferences": pa.array([{"quiet": "1"}, None])}, "/schema/preferences/quiet"),
        ({"id": ID, "preferences": pa.array([{"channels": "sms"}, None])}, "/schema/preferences/channels"),
        ({"id": ID, "preferences": pa.array([{"opt_out": [1]}, None])}, "/schema/preferences/opt_out"),
        (
            {"id": ID, "preferences": pa.array([{"quiet_hours": {"start": 8}}, None])},
            "/schema/preferences/quiet_hours/start",
        ),
    ],
)
def test_wrong_columns_are_named(columns: dict[str, Any], path: str) -> None:
    error = refusal(stream_of(pa.table(columns)))
    assert (error.status, [where for where, _ in error.errors]) == (400, [path])


def test_a_column_twice_is_refused() -> None:
    table = pa.Table.from_arrays([ID, ID], names=["id", "id"])
    assert refusal(stream_of(table)).errors == [("/schema/id", "is given twice")]


def test_columns_without_a_type_are_left_out() -> None:
    people = [{"id": "c-1", "device": None, "contacts": {}, "preferences": {"channels": [], "opt_out": None}}]
    table = pa.Table.from_pylist(people)
    assert pa.null() in [table.schema.field("device").type, table.schema.field("preferences").type.field(0).type]
    arrow = PARSER.parse_arrow_batch(OPTIONS, stream_of(table))
    plain = by_json([{"id": "c-1", "contacts": {}, "preferences": {"channels": []}}])
    assert [arrow.part(shard, 0) for shard in range(SHARDS)] == [plain.part(shard, 0) for shard in range(SHARDS)]


def test_options_are_those_of_json() -> None:
    stream = stream_of(table_of([{"id": "c-1"}]))
    options = {"campaign_id": "spring", "urgency": "high", "channels": ["sms"], "content": {"a": 1}, "dry_run": True}
    arrow = PARSER.parse_arrow_batch(json.dumps(options).encode(), stream)
    plain = by_json([{"id": "c-1"}], **options)
    assert [arrow.part(shard, 0) for shard in range(SHARDS)] == [plain.part(shard, 0) for shard in range(SHARDS)]
    assert arrow.dry_run
    for wrong, path in [
        (b"{}", "/campaign_id"),
        (b'{"campaign_id": "a", "recipients": []}', "/recipients"),
        (b'{"campaign_id": "a", "colour": 1}', "/colour"),
        (b'{"campaign_id": "a", "campaign_id": "a"}', "/campaign_id"),
    ]:
        assert [where for where, _ in refusal(stream, wrong).errors] == [path]
    people = stream_of(table_of([{"id": "c-1"}] * 1_001))
    assert refusal(people, b'{"campaign_id": "a", "explain": true}').errors[0][0] == "/explain"


def test_what_is_too_much_is_a_413() -> None:
    ids = pa.array(["c-1"] * 100_001).dictionary_encode()
    error = refusal(stream_of(pa.table({"id": ids}), 30_000))
    assert (error.status, error.errors) == (413, [("/recipients", "takes up to 100,000 recipients")])
    assert PARSER.parse_arrow_batch(OPTIONS, stream_of(pa.table({"id": ids[1:]}))).size == 100_000
    assert refusal(bytes(64 * 1024 * 1024 + 1)).status == 413


def overlapping_views(rows: int, text: bytes) -> Any:
    """As many views of one text."""
    view = struct.pack("<i4sii", len(text), text[:4], 0, 0)
    buffers = [None, pa.py_buffer(view * rows), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string_view(), rows, buffers)


def test_views_may_not_show_more_than_a_body_may_have() -> None:
    """Each would be looked at whole: a few megabytes could ask for hours."""
    text = b"c" * (1 << 20)
    assert "views" in refusal(stream_of(pa.table({"id": overlapping_views(65, text)}))).detail
    contacts = pa.StructArray.from_arrays([overlapping_views(65, text)], ["email"])
    assert "views" in refusal(stream_of(pa.table({"id": ["c-1"] * 65, "contacts": contacts}))).detail
    assert PARSER.parse_arrow_batch(OPTIONS, stream_of(pa.table({"id": overlapping_views(64, text)}))).size == 64


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_buffers_are_refused_in_words(compression: str) -> None:
    error = refusal(stream_of(table_of([{"id": "c-1"}] * 100), compression=compression))
    assert "without compression" in error.detail


def test_deltas_of_dictionaries_are_refused_in_words() -> None:
    sink = pa.BufferOutputStream()
    tables = [pa.table({"id": pa.array(ids).dictionary_encode()}) for ids in (["a"], ["a", "b"])]
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    with pa.ipc.new_stream(sink, tables[0].schema, options=options) as writer:
        for table in tables:
            writer.write_table(table)
    assert "deltas" in refusal(bytes(sink.getvalue())).detail


def example_streams() -> list[bytes]:
    contacts = {"email": "ana@example.com", "sms": "+50937001234"}
    hours = {"start": "21:00", "end": "08:00"}
    wishes = {"channels": ["sms", "email"], "opt_out": ["all"], "quiet_hours": hours}
    people = [{"id": f"c-{n}", "timezone": "UTC", "contacts": contacts, "preferences": wishes} for n in range(4)]
    people += [{"id": "c-9"}, {"device": "toaster"}]
    return [stream_of(table_of(people, schema_with(kind, pa.list_)), 3) for kind in TEXTS.values()]


EXAMPLES = example_streams()


@pytest.mark.parametrize("stream", EXAMPLES, ids=TEXTS)
def test_a_stream_that_was_cut_is_refused(stream: bytes) -> None:
    for length in range(0, len(stream), 4):
        assert refusal(stream[:length]).status == 400
    assert refusal(stream + b"\0").status == 400


def test_the_end_of_a_stream_must_be_there() -> None:
    assert "ends early" in refusal(EXAMPLES[0][:-8]).detail


@pytest.mark.parametrize("stream", EXAMPLES, ids=TEXTS)
def test_a_damaged_stream_is_read_or_refused(stream: bytes) -> None:
    """Every byte, each time with other damage; nothing but `RequestError` comes out."""
    generator = random.Random(len(stream))
    for place in range(len(stream)):
        damaged = bytearray(stream)
        damaged[place] ^= generator.randrange(1, 256)
        read_anyhow(bytes(damaged))


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_mutated_stream_is_read_or_refused(data: st.DataObject) -> None:
    stream = bytearray(data.draw(st.sampled_from(EXAMPLES)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(stream) // 4 - 1)) * 4
        number = st.sampled_from([0, 1, 7, 255, 2**31 - 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
        stream[place : place + 4] = data.draw(number).to_bytes(4, "little")
    read_anyhow(bytes(stream))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused(stream: bytes) -> None:
    assert refusal(stream).status == 400


def read_anyhow(stream: bytes) -> None:
    with suppress(RequestError):
        request = PARSER.parse_arrow_batch(OPTIONS, stream)
        decisions_of(request.replies({}).render_arrow_batch("b-1"))
