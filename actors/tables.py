"""Tables of data jobs: to the Arrow stream that a batch is, and back. Only here pyarrow is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

__all__ = ["ArrowTable", "stream_of", "table_of"]


@runtime_checkable
class ArrowTable(Protocol):
    """Whatever hands out Arrow data: a table of pyarrow, a data frame of polars, a relation of duckdb."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """See the Arrow PyCapsule interface."""


def stream_of(table: ArrowTable) -> bytes:
    """The IPC stream of a table, in one piece, however the table is cut: a key is bound to these bytes."""
    arrow = _pyarrow()
    with arrow.RecordBatchReader.from_stream(table) as reader:
        sink = arrow.BufferOutputStream()
        with arrow.ipc.new_stream(sink, reader.schema) as writer:
            writer.write_table(reader.read_all().combine_chunks())
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def table_of(stream: bytes) -> pyarrow.Table:
    """The table of an IPC stream."""
    with _pyarrow().ipc.open_stream(stream) as reader:
        return reader.read_all()


def _pyarrow() -> Any:
    try:
        import pyarrow.ipc  # type: ignore[import-untyped]  # noqa: PLC0415 - not everybody has it
    except ImportError:
        raise ModuleNotFoundError("Tables need pyarrow: install madan-sara[arrow].", name="pyarrow") from None
    return pyarrow
