"""A dictionary that outlives its process: text to bytes, kept in a state file.

A commit's row is the entries that changed, as they are now. The keys are spread over a fixed number of parts, and a
part's page is all its entries. A part is dirty since the first row that its page does not have; a commit carries the
pages of at most two dirty parts, the oldest first, so that no commit is long and every page has its turn. Rows that
no part is dirty since are dropped. Pages are written only as fast as rows are, so that they never cost more than the
rows themselves; where a few entries change often, the journal is at most about as long as all pages together.

Loading takes the pages and then all rows in order. A row may be older than the page it falls on: whatever it puts
back, a later row that the page has puts right again, for none is dropped from between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from zlib import crc32

import msgspec

from actors.group_commit import Group, GroupCommit
from actors.state_file import StateFile
from engine.errors import StateFault

__all__ = ["DurableMap"]

PARTS = 64
"""Into how many the keys are spread."""

PAGES_A_COMMIT = 2
PAGE_ADVANCE_BYTES = 64 << 10
"""How many more bytes of pages than of rows may have been written for one more page to be written."""

Changes = dict[str, bytes | None]
"""What each entry is now; None where it was deleted."""


class Page(msgspec.Struct, array_like=True):
    """A part as it was at the commit that wrote it."""

    parts: int
    """Into how many parts the keys were spread: another number would look for them elsewhere."""
    entries: dict[str, bytes]


encode = msgspec.msgpack.Encoder().encode
decode_row = msgspec.msgpack.Decoder(Changes).decode
decode_page = msgspec.msgpack.Decoder(Page).decode


class DurableMap:
    """Made by `load`, for one event loop. What is changed is durable when `durable` returns, and not before.

    What is changed without an await in between is committed together. Measured on 2 busy cores of an AMD EPYC, 32
    coroutines that put 200 bytes and wait: 5,000 to 7,000 changes a second, p50 4 ms, p99 10 to 40 ms.
    """

    def __init__(self, file: StateFile, parts: int) -> None:
        self._file = file
        self._parts: list[dict[str, bytes]] = [{} for _ in range(parts)]
        self._changed: Changes = {}
        self._dirty_since: dict[int, int] = {}
        """By part, the oldest row that its page does not have; in the order of the rows."""
        self._row_bytes = 0
        self._page_bytes = 0
        self._commits: GroupCommit | None = None

    @classmethod
    async def load(
        cls, file: StateFile, on_failure: Callable[[BaseException], None], *, parts: int = PARTS
    ) -> DurableMap:
        """What a file that was just opened has; from now on its changes are committed.

        `on_failure` hears once of a commit that failed: it must end the process. Raises `StateFault`.
        """
        durable_map = await cls.read(file, parts=parts)
        durable_map._commits = GroupCommit(file, durable_map, on_failure)
        durable_map._commits.start()
        return durable_map

    @classmethod
    async def read(cls, file: StateFile, *, parts: int = PARTS) -> DurableMap:
        """What a file has, to be looked at only."""
        durable_map = cls(file, parts)
        page_sequences: dict[int, int] = {}
        async for key, sequence, content in file.pages():
            durable_map._load_page(key, content)
            page_sequences[key] = sequence
        async for sequence, content in file.rows():
            durable_map._load_row(sequence, content, page_sequences)
        return durable_map

    # ---- the dictionary ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __contains__(self, key: str) -> bool:
        return key in self._parts[self._part_of(key)]

    def get(self, key: str) -> bytes | None:
        """The value, or None."""
        return self._parts[self._part_of(key)].get(key)

    def items(self) -> Iterator[tuple[str, bytes]]:
        """All entries, in no order that means anything."""
        for part in self._parts:
            yield from part.items()

    def put(self, key: str, value: bytes) -> None:
        """Sets an entry."""
        self._parts[self._part_of(key)][key] = value
        self._change({key: value})

    def delete(self, key: str) -> None:
        """Removes an entry, if it is there."""
        if self._parts[self._part_of(key)].pop(key, None) is not None:
            self._change({key: None})

    def update(self, changes: Mapping[str, bytes | None]) -> None:
        """Sets many entries at once, and removes those that are None."""
        for key, value in changes.items():
            part = self._parts[self._part_of(key)]
            if value is None:
                part.pop(key, None)
            else:
                part[key] = value
        if changes:
            self._change(changes)

    async def durable(self) -> None:
        """Waits until all that was changed before is on the disk. Raises what made a commit fail."""
        assert self._commits is not None, "a map that was only read is not written"
        await self._commits.durable()

    async def close(self) -> None:
        """Commits what was changed, and no more after that. The file is its owner's to close."""
        assert self._commits is not None, "a map that was only read is not written"
        await self._commits.close()

    def _change(self, changes: Mapping[str, bytes | None]) -> None:
        assert self._commits is not None, "a map that was only read is not written"
        self._changed.update(changes)
        self._commits.mark()

    def _part_of(self, key: str) -> int:
        return crc32(key.encode()) % len(self._parts)

    # ---- commits ----------------------------------------------------------------------------------------

    def take(self, sequence: int) -> Group | None:
        """See `Source`."""
        if not self._changed:
            return None
        row = encode(self._changed)
        for key in self._changed:
            self._dirty_since.setdefault(self._part_of(key), sequence)
        self._changed = {}
        self._row_bytes += len(row)
        pages = self._take_pages()
        return Group(row, pages, min(self._dirty_since.values(), default=sequence + 1))

    def _take_pages(self) -> list[tuple[int, bytes]]:
        pages: list[tuple[int, bytes]] = []
        while (
            self._dirty_since
            and len(pages) < PAGES_A_COMMIT
            and self._page_bytes <= self._row_bytes + PAGE_ADVANCE_BYTES
        ):
            part = next(iter(self._dirty_since))
            del self._dirty_since[part]
            page = encode(Page(len(self._parts), self._parts[part]))
            self._page_bytes += len(page)
            pages.append((part, page))
        return pages

    # ---- loading ----------------------------------------------------------------------------------------

    def _load_page(self, key: int, content: bytes) -> None:
        try:
            page = decode_page(content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._fault(f"page {key}", f"it cannot be read: {error}") from error
        if page.parts != len(self._parts) or key not in range(page.parts):
            what = f"it is one of {page.parts} parts, and this program makes {len(self._parts)}"
            raise self._fault(f"page {key}", what)
        self._parts[key] = page.entries

    def _load_row(self, sequence: int, content: bytes, page_sequences: dict[int, int]) -> None:
        try:
            changes = decode_row(content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._fault(f"journal {sequence}", f"it cannot be read: {error}") from error
        for key, value in changes.items():
            part = self._part_of(key)
            if value is None:
                self._parts[part].pop(key, None)
            else:
                self._parts[part][key] = value
            if sequence > page_sequences.get(part, 0):
                self._dirty_since.setdefault(part, sequence)

    def _fault(self, row: str, what: str) -> StateFault:
        return StateFault(str(self._file.path), row, what, "Start the version that wrote it, or put a backup back")
