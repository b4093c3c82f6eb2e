"""One shard: an actor around the orchestrator, which decides for the recipients of some slots.

Calls work one after the other, and wait for their commits (`actors.life`) beside each other. The ledger's own calls
may only recall slices and exchange what is learned, and must get through while another waits for the ledger. A fair
lock, the turn, keeps them apart: recalls and publications happen between two parts, or while a decision waits for
money. A part that waits is decided by what was published when it began.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import ray

from actors.answers import wait_for_answer
from actors.ledger import LEDGER_NAME
from actors.ledger_link import LedgerLink
from actors.life import MESSAGES_INCARNATION, Life, Writer
from actors.line import open_line, place_of
from actors.line_frames import decided
from actors.shard_calls import CoreCalls
from actors.shard_link import NAMESPACE, shard_name
from actors.standing import (
    ClaimedPart,
    Demand,
    Introduction,
    Part,
    Publication,
    Registration,
    Report,
    Standing,
)
from actors.state_directory import shard_path
from actors.timeouts import Timeouts
from actors.turn import Turn
from engine.budget_manager import Bucket, Grants
from engine.errors import MadanSaraError, ShardUnavailable, StateFault
from engine.learning import Learned
from engine.orchestrator import ClaimedAnswer, Orchestrator
from engine.rehearsal import Taken
from engine.settings import Settings
from kernels import warm_up

__all__ = ["Shard"]

RESTART_PAUSE_S = 1.0
"""Between two tries to begin a life, or to tell the ledger something, after one failed."""

FAULT_PAUSE_S = 10.0
"""The same where the file cannot be used: somebody must do something about it, and reading it takes long."""

SUPERSEDED_EXIT_STATUS = 3

Q = TypeVar("Q", Part, ClaimedPart)
A = TypeVar("A")

logger = logging.getLogger("madan_sara.shard")


class Shard(CoreCalls):
    """The Ray actor. A life after a crash begins with all that was answered."""

    def __init__(self, index: int, settings: Settings) -> None:
        """Never raises: Ray would keep the actor dead for good. A fault is answered as `ShardUnavailable`."""
        self._index = index
        self._settings = settings
        self._timeouts = Timeouts.of(settings)
        self._one = Turn()
        """Of the callers, while they work or wait for the ledger."""
        self._turn = Turn()
        """Of whoever looks at the core."""
        self._life: Life | None = None
        self._fault = "it did not start yet"
        self._state_fault: StateFault | None = None
        """The same, where it is the file's."""
        self._has_ended = False
        self._ledger: Any = None
        self._writer = Writer(f"shard-{index}-file")
        self._freed: set[str] = set()
        """Campaigns to which money came back, and the ledger does not know yet."""
        self._reports_later = False
        """Whether it will be told of them without another call."""
        self._give_backs = 0
        """The commit that has the last of it."""
        self._publication: Publication | None = None
        """The latest that this process heard of, in whatever life."""
        self._line = open_line(shard_name(index), partial(decided, self.decide))
        self._begin()

    def line(self) -> tuple[str, str] | None:
        """Where its line is; None if it has none."""
        return place_of(self._line)

    # ---- deciding, on the main thread -------------------------------------------------------------------

    def decide(self, parts: list[Part]) -> list[bytes | MadanSaraError]:
        """Decides parts in order; an error stands for a part of which nothing was decided."""
        return self._decide_each(parts, lambda core, part: core.decide(part[1]))

    def decide_claimed(self, parts: list[ClaimedPart]) -> list[ClaimedAnswer | MadanSaraError]:
        """As `decide`, each once for its claim; see `Orchestrator`."""
        return self._decide_each(parts, lambda core, part: core.decide_claimed(part.columns, part.claim))

    def rehearse(self, part: Part, taken: Taken) -> tuple[bytes, Taken] | MadanSaraError:
        """Decides a part of a dry run, which changes nothing; see `Orchestrator.rehearse`."""
        return self._decide_each([part], lambda core, part: core.rehearse(part[1], taken))[0]

    def _decide_each(self, parts: Sequence[Q], work: Callable[[Orchestrator, Q], A]) -> list[A | MadanSaraError]:
        with self._serving() as life, life.link.one_wait_each():
            return [self._outcome(life, part, work) for part in parts]

    def _outcome(self, life: Life, part: Q, work: Callable[[Orchestrator, Q], A]) -> A | MadanSaraError:
        """Between two parts others may have the turn."""
        try:
            with self._turn:
                self._get_ready(life, part[0])
                return work(life.core, part)
        except MadanSaraError as error:
            return error
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the core is no Exception; it must not fail other parts
            logger.exception("shard %d could not decide a part of %r", self._index, part[0])
            return MadanSaraError(f"A fault of the server: {type(error).__name__}.")

    def _get_ready(self, life: Life, campaign_id: str) -> None:
        if campaign_id in life.frozen:
            raise ShardUnavailable(f"The campaign {campaign_id!r} is being changed.")
        if not life.core.knows(campaign_id):
            self._put(life, self._standing_of(campaign_id))

    def ping(self) -> int:
        """The number of this life. Raises the `StateFault` of its file."""
        try:
            with self._alive() as life:
                return life.incarnation
        except ShardUnavailable as unavailable:
            raise self._state_fault or unavailable from None

    # ---- what the ledger says ---------------------------------------------------------------------------

    def put_campaign(self, standing: Standing) -> Report:
        """See `ShardLink`, as are the next three."""
        with self._alive() as life:
            self._put(life, standing)
            return self._report(life, standing.campaign.id)

    def freeze(self, campaign_id: str) -> Report:
        with self._alive() as life:
            life.frozen.add(campaign_id)
            return self._report(life, campaign_id)

    def thaw(self, campaign_id: str) -> None:
        with self._alive() as life:
            life.frozen.discard(campaign_id)

    @ray.method(concurrency_group="ledger")
    def release(self, campaign_id: str, sequence: int, reopens: bool) -> Report:
        """On the ledger's thread, as are the next two."""
        life = self._require_life()
        life.link.wait_until_granted(campaign_id, sequence, self._timeouts.release)
        with self._turn:
            report = self._report(life, campaign_id, reopens)
        self._wait_for_give_backs()
        return report

    @ray.method(concurrency_group="ledger")
    def learned(self, now: int) -> Learned:
        life = self._require_life()
        with self._turn:
            return life.core.learned(now)

    @ray.method(concurrency_group="ledger")
    def publish(self, publication: Publication) -> None:
        with self._turn:
            self._hear(publication, self._life)

    @ray.method(concurrency_group="ledger")
    def end(self) -> None:
        """Writes the rest down and lets go of the file: the process is about to end."""
        with self._one:
            self._life, self._fault, self._has_ended = None, "it has ended", True
            self._state_fault = None
            if self._line is not None:
                self._line.close()
            self._writer.end()

    # ---- inside -----------------------------------------------------------------------------------------

    @contextmanager
    def _alive(self) -> Iterator[Life]:
        """The life, with the turn, for one call; afterwards all that it did is durable."""
        with self._serving() as life, self._turn:
            yield life

    @contextmanager
    def _serving(self) -> Iterator[Life]:
        """The same, where the call takes the turn itself. Afterwards the ledger hears of money that came back, too."""
        with ExitStack() as afterwards, self._one:
            life = self._require_life()
            try:
                yield life
            finally:  # an error tells of what is known, too
                with self._turn:
                    self._note_give_backs(life)
                    afterwards.callback(life.commits.wait, life.commits.mark())
        if self._freed:
            self._report_freed()

    def _require_life(self) -> Life:
        life = self._life
        if life is None:
            raise ShardUnavailable(f"Shard {self._index}: {self._fault}.")
        return life

    def _begin(self) -> None:
        """Tries until a life has begun. By itself, whether anybody calls or not: what the last life held is nobody's
        until then, and who waits for that calls another shard."""
        with self._one:
            if self._has_ended:
                return
            self._state_fault = None
            try:
                self._ledger = ray.get_actor(LEDGER_NAME, NAMESPACE)
                self._begin_life()
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # a panic of the core is no Exception
                self._fault = f"cannot start: {error}"
                self._state_fault = error if isinstance(error, StateFault) else None
                level = logging.CRITICAL if self._state_fault else logging.ERROR
                logger.log(level, "shard %d %s", self._index, self._fault)
                _call_later(FAULT_PAUSE_S if self._state_fault else RESTART_PAUSE_S, self._begin)
                self._writer.give_up()

    def _begin_life(self) -> None:
        """Reads the file, and registers with what was spent by it."""
        introduction: Introduction = self._ask_ledger("introduce", self._timeouts.answer, self._index)
        incarnation = introduction.lives + 1
        link = LedgerLink(
            self._index, self._turn, self._acquire, self._elsewhere, self._wait_for_give_backs, _end_superseded_life
        )
        core = Orchestrator(MESSAGES_INCARNATION, self._settings, link, introduction.secret)
        path = shard_path(Path(self._settings.state_dir), self._index)
        kind = f"shard {self._index}"
        with ThreadPoolExecutor(1) as beside:  # each takes half a second, the first where nothing was preloaded
            warmed = beside.submit(warm_up)
            self._writer.read(path, kind, introduction.identity, introduction.lives == 0, core)
            warmed.result()
        commits = self._writer.begin(self._turn, core)
        spent = core.release_all()
        registration: Registration = self._ask_ledger(
            "register", self._timeouts.answer, self._index, incarnation, spent
        )
        link.incarnation = incarnation
        life = Life(incarnation, core, link, commits)
        self._give_backs = 0
        with self._turn:
            for standing in registration.standings:
                self._put(life, standing)
            self._hear(registration.publication, life)
            self._life = life
            recipients, _ = core.sizes()
        logger.info("shard %d begins life %d with %d recipients", self._index, life.incarnation, recipients)

    def _put(self, life: Life, standing: Standing) -> None:
        """Between two decisions; gives all slices back. An older version than the one at hand changes nothing."""
        campaign_id = standing.campaign.id
        if standing.version > life.link.versions.get(campaign_id, 0):
            life.core.release(campaign_id)
            life.core.put_campaign(standing.campaign, standing.paused)
            life.link.versions[campaign_id] = standing.version
            life.frozen.discard(campaign_id)

    def _hear(self, publication: Publication, life: Life | None) -> None:
        """Keeps the later of two publications, and has the life decide by it. With the turn."""
        if self._publication is None or publication.number > self._publication.number:
            self._publication = publication
        if life is not None:
            life.core.publish(self._publication.figures)

    def _report(self, life: Life, campaign_id: str, reopens: bool = True) -> Report:
        spent = life.core.release(campaign_id, reopens)
        messages = sum(life.core.tally(campaign_id)["messages"]) if life.core.knows(campaign_id) else 0
        return Report(life.incarnation, spent, messages, life.link.next_word())

    def _acquire(self, demand: Demand) -> Grants:
        grants: Grants = self._ask_ledger("acquire", self._timeouts.acquire, demand)
        return grants

    def _elsewhere(self, campaign_id: str) -> dict[Bucket, int]:
        spent: dict[Bucket, int] = self._ask_ledger("elsewhere", self._timeouts.release, campaign_id, self._index)
        return spent

    def _standing_of(self, campaign_id: str) -> Standing:
        standing: Standing = self._ask_ledger("get_campaign", self._timeouts.acquire, campaign_id)
        return standing

    def _note_give_backs(self, life: Life) -> None:
        """With the turn: money that came back since the last call is durable with the next commit."""
        if freed := life.core.take_freed():
            self._freed.update(freed)
            self._give_backs = life.commits.mark()

    def _wait_for_give_backs(self) -> None:
        """Before the ledger hears what was spent, without the turn: what came back and is granted elsewhere must not be
        spent here after a crash. What was spent need not be durable, as it counts against what was granted."""
        life = self._require_life()
        with self._turn:
            self._note_give_backs(life)
        life.commits.wait(self._give_backs)

    def _report_freed(self) -> None:
        """Others may have been told that there is no more. If the ledger does not answer, it is told later: the caller
        must not wait in vain for what was done, and another may never come."""
        with self._turn:
            freed, self._freed = sorted(self._freed), set()
        try:
            while freed and not self._has_ended:
                self._ask_ledger("reopen", self._timeouts.acquire, freed[-1])
                freed.pop()
        except Exception as error:
            logger.warning("shard %d could not tell of money that came back: %s", self._index, error)
            with self._turn:
                self._freed.update(freed)
                is_first, self._reports_later = not self._reports_later, True
            if is_first:
                _call_later(RESTART_PAUSE_S, self._report_freed_again)

    def _report_freed_again(self) -> None:
        with self._turn:
            self._reports_later = False
        self._report_freed()

    def _ask_ledger(self, method: str, timeout_s: float, *arguments: object) -> Any:
        return wait_for_answer(getattr(self._ledger, method).remote(*arguments), LEDGER_NAME, timeout_s)


def _call_later(pause_s: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(pause_s, call)
    timer.daemon = True  # the process may end meanwhile
    timer.start()


def _end_superseded_life() -> None:
    """A later life of this shard spends already: this one must not answer anything any more."""
    logger.critical("another life of this shard was registered; this process ends")
    os._exit(SUPERSEDED_EXIT_STATUS)
