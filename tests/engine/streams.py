"""Arrow streams as tests write them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyarrow import ipc

TEXTS: dict[str, Any] = {
    "utf8": pa.string(),
    "large_utf8": pa.large_string(),
    "utf8_view": pa.string_view(),
    "dictionary": pa.dictionary(pa.int16(), pa.string()),
    "large_dictionary": pa.dictionary(pa.uint32(), pa.large_string()),
}


def schema_with(text: Any, texts: Any) -> Any:
    """Every column that recipients may have; `text` for all texts, `texts` makes lists."""
    channels = ["email", "sms", "whatsapp", "instagram", "facebook", "linkedin", "twitter"]
    quiet_hours = pa.struct([("start", text), ("end", text)])
    preferences = pa.struct([("channels", texts(text)), ("opt_out", texts(text)), ("quiet_hours", quiet_hours)])
    columns = [(name, text) for name in ("id", "customer_type", "timezone", "device")]
    contacts = pa.struct([(name, text) for name in channels])
    return pa.schema([*columns, ("contacts", contacts), ("preferences", preferences)])


SCHEMA = schema_with(pa.string(), pa.list_)


def stream_of(table: Any, rows_a_batch: int | None = None, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, rows_a_batch)
    return bytes(sink.getvalue())


def table_of(recipients: list[dict[str, Any]], schema: Any = SCHEMA) -> Any:
    """`recipients` as columns."""
    plain = pa.Table.from_pylist(recipients, schema=SCHEMA).combine_chunks()
    columns = [as_type(column.combine_chunks(), kind) for column, kind in zip(plain.columns, schema.types, strict=True)]
    table = pa.Table.from_arrays(columns, schema=schema)
    table.validate(full=True)
    return table


def as_type(array: Any, kind: Any) -> Any:
    """An array of plain text as one of another kind; pyarrow's own way into nested dictionaries makes broken ones."""
    if pa.types.is_struct(kind):
        children = [as_type(array.field(place), field.type) for place, field in enumerate(kind)]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=array.is_null())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lists = pa.ListArray if pa.types.is_list(kind) else pa.LargeListArray
        offsets = array.offsets if pa.types.is_list(kind) else array.offsets.cast(pa.int64())
        return lists.from_arrays(offsets, as_type(array.values, kind.value_type), type=kind, mask=array.is_null())
    if pa.types.is_dictionary(kind):
        encoded = array.dictionary_encode()
        indices, words = encoded.indices.cast(kind.index_type), encoded.dictionary.cast(kind.value_type)
        return pa.DictionaryArray.from_arrays(indices, words)
    return array.cast(kind)


def decisions_of(stream: bytes) -> Any:
    """The table of an answer, whole and checked."""
    with ipc.open_stream(stream) as reader:
        table = reader.read_all()
    table.validate(full=True)
    return table


def as_json(table: Any) -> list[dict[str, Any]]:
    """The decisions of a table as JSON has them."""

    def amount(value: Any) -> str | None:
        whole, _, fraction = str(value).partition(".")
        return None if value is None else f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"

    def instant(value: Any) -> str | None:
        return None if value is None else value.isoformat().replace("+00:00", "Z")

    rows = table.to_pylist()
    for row in rows:
        row["cost"] = amount(row["cost"])
        row["scheduled_at"] = instant(row["scheduled_at"])
        row["next_eligible_at"] = instant(row["next_eligible_at"])
        if row["errors"] is None:
            del row["errors"]
    return rows  # type: ignore[no-any-return]
