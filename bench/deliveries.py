"""The clock of the replay, which goes through every hour in which something is due, and what was delivered by then.

The rules: the clock stops in the last second of each hour in which something is due, since what goes an hour late is
looked at again, and moves on when everything that was due has left: so what the next hours decide always stands on the
same past. Mail to a dead mailbox comes back in that second, and its message is followed to where it goes then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from time import monotonic, perf_counter, sleep

import msgspec

from bench.answers import EventAnswer, Message, Outcome, WrongAnswer, micros
from bench.connection import Connection
from bench.contacts import comes_back
from bench.journey import HOUR, ZONE, as_utc
from bench.landings import Arrival

SETTLED = b"madan_sara_settled_until_seconds "
GIVE_UP_S = 60.0
PAUSE_S = 0.02
LEAVE_PER_S = 2_000
"""As many leave at best: asking sooner takes time from what is asked for."""

TAKEN_OVER = ("scheduled", "claimed", "sent")
"""States of a message that has another channel now."""

Take = Callable[[int], tuple[list[Arrival], list[int]]]


class Deliveries:
    """One replay's.

    `attempts` holds everything that was to be sent and was not cancelled, in the order in which the replay heard of it,
    and `standing` what has become of each message: its last attempt, or its end, which has no instant. `onward` has a
    pair for each attempt that came back or was cancelled: itself, and what stands in its place. `arrivals` holds what
    landed, and `refusals` counts by household the mail that was refused. The clock stood `stops` times, in all for
    `seconds`.
    """

    def __init__(self, connection: Connection, take: Take, quiet: Callable[[int], tuple[int, int]]) -> None:
        """`take` gives what has landed since it was called last, and the households whose mail was refused; `quiet`
        the quiet hours of a household that the product was told of, as minutes of the day."""
        self._http = connection
        self._take_landed = take
        self._quiet = quiet
        self._read_events = msgspec.json.Decoder(EventAnswer)
        self._due: Counter[int] = Counter()
        """By the last second of each hour, how much is due in it."""
        self._in_vain: dict[str, Outcome] = {}
        """Mail to dead mailboxes that has not come back yet."""
        self._returned: list[str] = []
        """Messages that came back and were not reported yet."""
        self._known_dead: set[int] = set()
        """Households whose mail was reported to have come back."""
        self.now = 0
        self.attempts: list[Outcome] = []
        self.standing: dict[str, Outcome] = {}
        self.onward: list[tuple[Outcome, Outcome]] = []
        self.arrivals: list[Arrival] = []
        self.refusals: Counter[int] = Counter()
        self.faults: list[str] = []
        self.stops = 0
        self.seconds = 0.0

    def keep(self, outcome: Outcome) -> None:
        """What is to be sent, which the clock will stop for; of other outcomes nothing."""
        message_id, at = outcome.message_id, outcome.at
        if message_id is None or at is None:
            return
        self.attempts.append(outcome)
        self.standing[message_id] = outcome
        self._due[at // HOUR * HOUR + HOUR - 1] += 1
        if comes_back(str(outcome.channel), outcome.household):
            self._in_vain[message_id] = outcome
            if outcome.household in self._known_dead:
                self.faults.append(f"{message_id} is to be mailed to household {outcome.household}, whose mail bounced")

    def move_to(self, at: int) -> None:
        """Moves the clock on, and stops for what is due on the way."""
        while self._due and (stop := self._next_stop()) <= at:
            self._stop(stop)
        if at > self.now:
            self._move(at)

    def finish(self) -> None:
        """Goes on until nothing is due any more."""
        while self._due:
            self._stop(self._next_stop())

    def _next_stop(self) -> int:
        """What became due in a last second goes with the next one."""
        return max(min(self._due), self.now + 1)

    def _move(self, at: int) -> None:
        self._take()  # what is found before the clock moves has not waited for it
        self.now = at
        self._http.set_clock(as_utc(at))

    def _stop(self, at: int) -> None:
        began = perf_counter()
        self._move(at)
        sleep(sum(self._due.pop(hour) for hour in list(self._due) if hour <= at) / LEAVE_PER_S)
        self._wait_until_settled()
        self.seconds += perf_counter() - began
        self.stops += 1
        self._take()
        self._hear_of()

    def _wait_until_settled(self) -> None:
        """Until everything that is due has left. Raises `WrongAnswer` if it takes too long."""
        give_up = monotonic() + GIVE_UP_S
        while True:
            metrics = self._http.request("GET", "/metrics")
            if any(float(line.split()[1]) >= self.now for line in metrics.splitlines() if line.startswith(SETTLED)):
                return
            if monotonic() > give_up:
                raise WrongAnswer(f"what was due at {as_utc(self.now)} had not left after {GIVE_UP_S:.0f} s")
            sleep(PAUSE_S)

    def _take(self) -> None:
        landed, refused = self._take_landed(self.now)
        self.arrivals += landed
        self.refusals.update(refused)
        self._returned += [one.message_id for one in landed if comes_back(one.channel, one.household)]

    def _hear_of(self) -> None:
        """Reports what came back, and follows it; a bounce also stops what still waited for that mailbox."""
        self._report_returned()
        for message_id, outcome in list(self._in_vain.items()):
            is_gone = outcome.at is not None and outcome.at <= self.now
            if is_gone or outcome.household in self._known_dead:
                del self._in_vain[message_id]
                self._follow(message_id, outcome, is_gone)

    def _report_returned(self) -> None:
        """As the retailer's mail provider would. Of mail that was refused the product knows."""
        if not self._returned:
            return
        events = [{"id": f"bounce-{one}", "type": "bounced", "message_id": one} for one in self._returned]
        answer = self._read_events.decode(self._http.post("/events", msgspec.json.encode({"events": events})))
        for event, result in zip(events, answer.results, strict=True):
            if (result.id, result.status) != (event["id"], "applied"):
                self.faults.append(f"event {event['id']} was answered {result.id}: {result.status}")
        self._known_dead |= {self.standing[one].household for one in self._returned if one in self.standing}
        self._returned = []

    def _follow(self, message_id: str, lost: Outcome, is_gone: bool) -> None:
        """Where a message goes that came back or was stopped: it goes on by its chain, or it has ended."""
        if is_gone and not lost.chain:  # then nobody is asked: the statuses are counted in the end
            self._put(lost, self._ended(lost, "failed"))
            return
        message = msgspec.convert(self._http.get(f"/messages/{message_id}"), Message)
        if message.state == ("failed" if is_gone else "cancelled"):
            self._put(lost, self._ended(lost, message.state))
            if not is_gone:
                self.attempts.remove(lost)
        elif is_gone and message.state in TAKEN_OVER and message.channel in lost.chain:
            self._put(lost, self._next(lost, message))
        else:
            self.faults.append(f"{message_id} is {message.state} on {message.channel} after its mail came back")

    def _put(self, lost: Outcome, after: Outcome) -> None:
        message_id = str(lost.message_id)
        self.onward.append((lost, after))
        del self.standing[message_id]  # what stands is in the order in which it was heard of
        self.standing[message_id] = after
        self.keep(after)

    def _ended(self, lost: Outcome, state: str) -> Outcome:
        return lost._replace(now=self.now, status=state, at=None)

    def _next(self, lost: Outcome, message: Message) -> Outcome:
        local = datetime.fromtimestamp(message.scheduled_at.timestamp(), ZONE)
        return lost._replace(
            now=self.now,
            channel=message.channel,
            at=int(message.scheduled_at.timestamp()),
            local_minute=local.hour * 60 + local.minute,
            cost=micros(message.cost),
            quiet=self._quiet(lost.household),
            chain=tuple(message.fallback_chain),
        )
