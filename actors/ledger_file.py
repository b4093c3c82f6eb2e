"""The ledger's state file: the directory's identity and secret, and all that must outlive the ledger's process.

What is changed is put here in the same step of the event loop, the book's part by `durable` or by whatever is put
next. So no commit has one without the other, and each is the state as it was at some instant. Whoever answers anything
waits for `durable` before.

A campaign's money is kept bucket by bucket, so that a grant writes the few that it is about. What is as it was on the
disk is not written again: of thousands of minutes that a shard gives back and gets again at once, none.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from actors.durable_map import DurableMap
from actors.ledger_records import (
    BOOK_KINDS,
    CourseRecord,
    Entry,
    PublicationRecord,
    course_entry,
    image_entry,
    learned_entries,
    read_course,
    read_image,
    read_learned,
    read_number,
    read_publication,
)
from actors.state_directory import ledger_path, shards_with_files
from actors.state_file import LOCK_TIMEOUT_S, StateFile
from engine.errors import StateFault
from engine.learning import Learned
from engine.ledger import BudgetLedger

__all__ = ["KIND", "LedgerFile"]

KIND = "ledger"

CLOCK_START = 0
"""Where the manual clock starts: 1970-01-01T00:00:00Z."""

CLOCK, PUBLICATION, SECRET = "clock", "publication", "secret"

encode = msgspec.msgpack.Encoder().encode


class LedgerFile:
    """Made by `open`, for one event loop. Its fields are what was found; after that each belongs to whoever took it."""

    def __init__(self, file: StateFile, entries: DurableMap, shards: int) -> None:
        self._file = file
        self._entries = entries
        self.identity = file.identity
        self.book = BudgetLedger(shards)
        self.now = CLOCK_START
        self.courses: list[CourseRecord] = []
        self.publication = PublicationRecord(0, 0)
        self.reports = [Learned(0, {}) for _ in range(shards)]
        self.secret = b""

    @classmethod
    async def open(
        cls,
        directory: Path,
        shards: int,
        on_failure: Callable[[BaseException], None],
        *,
        create: bool = True,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> LedgerFile:
        """Begins a life in a directory of so many shards; a new one where nothing is there and `create` says so.

        `on_failure` hears once of a commit that failed: it must end the process. Raises `StateFault`.
        """
        path = ledger_path(directory)
        create = create and not shards_with_files(directory)
        content = {"shards": str(shards)}
        file = await StateFile.open(path, KIND, None, content=content, create=create, lock_timeout_s=lock_timeout_s)
        try:
            _check_shards(file, shards)
            ledger_file = await cls._read(file, shards, on_failure)
        except BaseException:
            await file.close()
            raise
        if not ledger_file.secret:  # nothing was ever answered
            ledger_file.secret = secrets.token_bytes(16)
            ledger_file._put([(SECRET, ledger_file.secret)])
        return ledger_file

    @classmethod
    async def _read(cls, file: StateFile, shards: int, on_failure: Callable[[BaseException], None]) -> LedgerFile:
        entries = await DurableMap.load(file, on_failure)
        ledger_file = cls(file, entries, shards)
        try:
            ledger_file._load()
        except BaseException:
            await entries.close()
            raise
        return ledger_file

    @classmethod
    async def read(cls, file: StateFile) -> LedgerFile:
        """What a file has, to be looked at only. Raises `StateFault`."""
        ledger_file = cls(file, await DurableMap.read(file), int(file.content.get("shards", "0")))
        ledger_file._load()
        return ledger_file

    # ---- what is kept -----------------------------------------------------------------------------------

    def put_clock(self, now: int) -> None:
        """Where the manual clock stands."""
        self._put([(CLOCK, encode(now))])

    def put_course(self, record: CourseRecord) -> None:
        """A campaign as it stands, and with it the book as it is now."""
        self._put([course_entry(record)])

    def put_publication(self, number: int, now: int, reports: Sequence[Learned]) -> None:
        """A publication, and what it was made of: the last report of each shard."""
        entries: dict[str, bytes | None] = {
            key: None for key, _ in self._entries.items() if key.startswith("learned ")
        }  # a campaign that a shard does not speak of any more
        for shard, report in enumerate(reports):
            entries.update(learned_entries(shard, report))
        self._put([*entries.items(), (PUBLICATION, encode(PublicationRecord(number, now)))])

    async def durable(self) -> None:
        """Waits until all that was changed before is on the disk. Raises what made a commit fail."""
        self._put([])
        await self._entries.durable()

    async def close(self) -> None:
        """Commits what was changed, and lets go of the file."""
        self._put([])
        try:
            await self._entries.close()
            await self._file.checkpoint()
        finally:
            await self._file.close()

    def _put(self, entries: Sequence[Entry]) -> None:
        """With what was changed in the book."""
        changes = dict(image_entry(image) for image in self.book.take_images())
        changes.update(entries)
        self._entries.update({key: value for key, value in changes.items() if value != self._entries.get(key)})

    # ---- loading ----------------------------------------------------------------------------------------

    def _load(self) -> None:
        images = []
        for key, value in self._entries.items():
            try:
                if key.split(" ", 1)[0] in BOOK_KINDS:
                    images.append(read_image(key, value))
                else:
                    self._load_entry(key, value)
            except (msgspec.DecodeError, zlib.error, ValueError, TypeError) as error:
                raise self._fault(f"entry {key!r}", f"it cannot be read: {error}") from error
        self.book.load(images)

    def _load_entry(self, key: str, value: bytes) -> None:
        match key.split(" ", 1)[0]:
            case "secret":
                self.secret = value
            case "clock":
                self.now = read_number(value)
            case "publication":
                self.publication = read_publication(value)
            case "course":
                self.courses.append(read_course(value))
            case "learned":
                shard, learned = read_learned(key, value)
                counts = self.reports[shard].counts | learned.counts
                self.reports[shard] = Learned(learned.as_of, counts)
            case kind:
                raise ValueError(f"this program knows nothing of the kind {kind!r}")

    def _fault(self, row: str, what: str) -> StateFault:
        return StateFault(str(self._file.path), row, what, "Start the version that wrote it, or put a backup back")


def _check_shards(file: StateFile, shards: int) -> None:
    written = file.content.get("shards")
    if written != str(shards):
        what = f"it is one of {written} shards, and it is opened with {shards}"
        raise StateFault(str(file.path), None, what, f"Start with {written} shards (`--shards {written}`)")
