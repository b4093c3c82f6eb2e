"""The forms of a batch: how the same people are asked about in JSON and in Arrow, and how their answers are read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from bench.answers import BatchAnswer, Decision
from bench.population import batch_body, people, recipient
from engine.form import Form

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

__all__ = ["ARROW", "JSON", "Ask", "BatchForm", "people_table", "shape_of"]

CHANNELS = ("email", "sms", "whatsapp", "instagram", "facebook")


class Ask(NamedTuple):
    """A POST: its path under the prefix, its body, and the media type of both body and answer."""

    path: str
    body: bytes
    media_type: str


class BatchForm(Protocol):
    """One of the two."""

    def people(self, first: int, size: int) -> bytes:
        """The people `first` to `first + size - 1`, encoded once for all asks."""

    def ask(self, campaign_id: str, dedup_key: str, people: bytes) -> Ask:
        """A `/send-batch` request for them."""

    def read(self, answer: bytes) -> BatchAnswer:
        """Its answer."""


class JsonForm:
    """See `BatchForm`."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(BatchAnswer)

    def people(self, first: int, size: int) -> bytes:
        return people(first, size)

    def ask(self, campaign_id: str, dedup_key: str, people: bytes) -> Ask:
        return Ask("/send-batch", batch_body(campaign_id, dedup_key, people), "application/json")

    def read(self, answer: bytes) -> BatchAnswer:
        return self._decoder.decode(answer)


class ArrowForm:
    """See `BatchForm`. pyarrow writes plain texts, as it has them from a Parquet file, and reads the answers."""

    def people(self, first: int, size: int) -> bytes:
        from actors.tables import stream_of  # noqa: PLC0415 - imports Ray, so only when asked for

        return stream_of(people_table(first, size))

    def ask(self, campaign_id: str, dedup_key: str, people: bytes) -> Ask:
        options = urlencode({"campaign_id": campaign_id, "dedup_key": dedup_key})
        return Ask(f"/send-batch?{options}", people, "application/vnd.apache.arrow.stream")

    def read(self, answer: bytes) -> BatchAnswer:
        from actors.tables import table_of  # noqa: PLC0415

        table = table_of(answer)
        table.validate(full=True)
        counts, reasons = (msgspec.json.decode(table.schema.metadata[name]) for name in (b"counts", b"reasons"))
        columns = [_texts(table, name) for name in Decision.__struct_fields__]
        decisions = zip(*columns, strict=True)
        return msgspec.convert(
            {
                "counts": counts,
                "reasons": reasons,
                "results": [dict(zip(Decision.__struct_fields__, row, strict=True)) for row in decisions],
            },
            BatchAnswer,
        )


def shape_of(form: BatchForm, ask: Ask) -> Form:
    """How the front end reads it, for those who ask the engine in process."""
    if form is JSON:
        return Form()
    return Form(msgspec.json.encode(dict(parse_qsl(urlsplit(ask.path).query))), arrow_answer=True)


def people_table(first: int, size: int) -> pyarrow.Table:
    """The people `first` to `first + size - 1`, a row each, with the columns that the product takes."""
    rows = [recipient(number) for number in range(first, first + size)]
    return _pyarrow().Table.from_pylist(rows, schema=_schema())


def _texts(table: pyarrow.Table, name: str) -> Sequence[Any]:
    """A column as JSON would have it, but for instants."""
    values: Sequence[Any] = table[name].to_pylist()
    return [None if value is None else str(value) for value in values] if name == "cost" else values


@cache
def _schema() -> pyarrow.Schema:
    arrow = _pyarrow()
    text = arrow.string()
    quiet_hours = arrow.struct([("start", text), ("end", text)])
    preferences = [("channels", arrow.list_(text)), ("opt_out", arrow.list_(text)), ("quiet_hours", quiet_hours)]
    return arrow.schema(
        [
            *((name, text) for name in ("id", "customer_type", "timezone", "device")),
            ("contacts", arrow.struct([(channel, text) for channel in CHANNELS])),
            ("preferences", arrow.struct(preferences)),
        ]
    )


def _pyarrow() -> Any:
    import pyarrow  # noqa: PLC0415 - of an extra

    return pyarrow


JSON = JsonForm()
ARROW = ArrowForm()
