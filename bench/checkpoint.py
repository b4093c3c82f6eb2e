"""What checkpoints cost those who wait meanwhile: the longest answer of a shard that knows a million people and writes
pages of its state with its commits.
"""

from __future__ import annotations

import random
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bench.answers import Decision
from bench.batches import BATCH, CAMPAIGN, FIRST_DAY, dedup_key
from bench.journey import DAY
from bench.latency import latency_ms
from bench.population import batch_body, people, recipient_name, send_body
from bench.result import AnswersWrong, Result

if TYPE_CHECKING:
    from actors.group_commit import GroupCommit
    from actors.turn import Turn
    from engine import Engine

KNOWN = 1_000_000
SENDERS = 4
SENDS = 20_000
WARM_UP = 1_000
SEED = 20_260_101
TARGET_MS = 25.0


class Watched:
    """A core whose pages are counted, and whose groups are timed. In the place of an `Orchestrator`, for a writer."""

    def __init__(self, core: object) -> None:
        self._core = core
        self.pages = 0
        self.bytes = 0
        self.longest_s = 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self._core, name)

    def take_group(self, sequence: int) -> tuple[bytes, list[tuple[int, bytes]], int] | None:
        """With the turn: nobody decides meanwhile."""
        began = perf_counter()
        group: tuple[bytes, list[tuple[int, bytes]], int] | None = self._core.take_group(sequence)  # type: ignore[attr-defined]
        self.longest_s = max(self.longest_s, perf_counter() - began)
        if group is not None:
            self.pages += len(group[1])
            self.bytes += sum(len(page) for _, page in group[1])
        return group


class Waited(NamedTuple):
    """Seconds that each answer of each round took, and all of them together; pages that were written meanwhile, and
    the longest that none could decide because of them."""

    rounds: list[list[float]]
    seconds: float
    pages: int
    page_bytes: int
    longest_hold_s: float


def checkpoint() -> Result:
    """The longest answer of all."""
    waited = wait_beside_pages(KNOWN, (SENDS,))
    (waits,) = waited.rounds
    latency = latency_ms(waits)
    return Result(
        name="checkpoint",
        headline=f"longest answer {latency['max']:.1f} ms (p50 {latency['p50']:.1f}, p99 {latency['p99']:.1f}) while "
        f"{waited.pages:,} pages were written; none kept the others from deciding for more than "
        f"{waited.longest_hold_s * 1000:.1f} ms",
        target=f"{TARGET_MS:.0f} ms",
        reached=latency["max"] <= TARGET_MS,
        method=f"one shard with {KNOWN:,} people in process, its file in the temporary directory; {SENDERS} senders, "
        f"{len(waits):,} single decisions after warm-up, each from asked to durable; every answer checked",
        figures={
            "longest_stall_ms": latency["max"],
            "p50_ms": latency["p50"],
            "p99_ms": latency["p99"],
            "longest_hold_ms": round(waited.longest_hold_s * 1000, 2),
            "pages": waited.pages,
            "page_bytes": waited.page_bytes // waited.pages,
            "sends": len(waits),
            "sends_per_s": round(len(waits) / waited.seconds),
            "known": KNOWN,
        },
    )


def wait_beside_pages(known: int, rounds: Sequence[int], made: Callable[[int, int], bytes] = people) -> Waited:
    """A real shard's core, turn, commits and file, in this process; senders that decide for one known person after
    another, each of whom waits until it is durable: so many a round, everybody once. `made` has the people's JSON, as
    `people` does. Everybody's answer is checked; raises `AnswersWrong`.
    """
    from actors.life import Writer  # noqa: PLC0415 - compiles kernels, so only when asked for
    from actors.turn import Turn  # noqa: PLC0415
    from engine import Engine  # noqa: PLC0415

    engine, turn, writer = Engine(), Turn(), Writer("bench-file")
    core = Watched(engine.shards[0])
    with tempfile.TemporaryDirectory(prefix="madan-sara-bench-") as directory:
        path = Path(directory) / "shard-0.sqlite"
        writer.read(path, "shard 0", secrets.token_bytes(16), True, core)  # type: ignore[arg-type]
        commits = writer.begin(turn, core)  # type: ignore[arg-type]
        try:
            engine.put_campaign({"id": CAMPAIGN, "budget": {"total": "1000000.00"}})
            fill(engine, turn, commits, known, made)
            numbers = random.Random(SEED).sample(range(known), WARM_UP + sum(rounds))
            send(engine, turn, commits, numbers[:WARM_UP])
            core.pages = core.bytes = 0
            core.longest_s = 0.0
            left, waits = iter(numbers[WARM_UP:]), []
            began = perf_counter()
            for sends in rounds:
                waits.append(send(engine, turn, commits, [*islice(left, sends)]))
            seconds = perf_counter() - began
        finally:
            writer.end()
    if not core.pages:
        raise AnswersWrong("no page was written, so there was nothing to wait for")
    return Waited(waits, seconds, core.pages, core.bytes, core.longest_s)


def fill(
    engine: Engine, turn: Turn, commits: GroupCommit, known: int, made: Callable[[int, int], bytes] = people
) -> None:
    """Decides once for everybody."""
    for first in range(0, known, BATCH):
        request = engine.router.parse_batch(batch_body(CAMPAIGN, dedup_key(0), made(first, BATCH)))
        with turn:
            engine.shards[0].decide(request.part(0, FIRST_DAY))
        commits.wait(commits.mark())


def send(engine: Engine, turn: Turn, commits: GroupCommit, numbers: list[int]) -> list[float]:
    """Seconds that each of these people waited for one of the senders, a day later. Raises `AnswersWrong`."""
    shares = [numbers[sender::SENDERS] for sender in range(SENDERS)]

    def work(share: list[int]) -> Iterator[float]:
        for number in share:
            request = engine.router.parse_send(send_body(CAMPAIGN, number))
            part = request.part(0, FIRST_DAY + DAY + 1)
            began = perf_counter()
            with turn:
                decided = engine.shards[0].decide(part)
            commits.wait(commits.mark())
            yield perf_counter() - began
            ((rendered, _),) = request.replies({0: decided}).render_sends()
            answer = msgspec.json.decode(rendered, type=Decision)
            if (answer.recipient_id, answer.status) != (recipient_name(number), "scheduled"):
                raise AnswersWrong(f"{recipient_name(number)} was answered with {answer}")

    with ThreadPoolExecutor(SENDERS) as senders:
        return [wait for waits in senders.map(lambda share: list(work(share)), shares) for wait in waits]
