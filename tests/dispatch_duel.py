"""A duel that also dispatches: what is due is claimed, started and reported on, by the book and against it."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from engine.delivery import Claimed, Report
from tests.duel import Duel
from tests.reference_rules import CHANNELS, HOUR, MINUTE
from tests.strategies import EVENT_TYPES

EVERYTHING = 10**6
CLAIMED = ("claim", "tries", "repeats", "attempt", "channel", "recipient_id", "campaign_id", "address", "scheduled_at")
LASTS = (1, 30, 10 * MINUTE, 10 * MINUTE, HOUR)
OUTCOMES = ("accepted", "accepted", "accepted", "rejected", "later", "unknown")
WITHIN_HOURS = {"email": 0.5, "sms": 1, "whatsapp": 0, "instagram": 4}
STRICT = {
    "delivery": {
        channel: {
            "charge": "success" if channel == "sms" else "attempt",
            "success_within_hours": WITHIN_HOURS.get(channel, 0.01),
        }
        for channel in CHANNELS
    }
}
"""Most channels charge for failures, and want to hear of success."""
DEDUPLICATES = (frozenset[str](), frozenset({"email", "sms"}))
WAITS = (-1, 0, 30, MINUTE, HOUR, 25 * HOUR)


class DispatchDuel(Duel):
    """The system is in process, with the calls of `engine.Engine`."""

    dispatches = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.claims: deque[tuple[str, int]] = deque(maxlen=60)  # the model's message id, and the number
        self.dispatched: Counter[str] = Counter()

    def step(self, size_max: int) -> None:
        if self.dispatches and self.choices.chance(20):
            self.move_time()
            self.dispatch()
        else:
            super().step(size_max)

    def dispatch(self) -> None:
        kind = self.choices.integer(0, 13)
        given_up = [m for m in self.model.messages.values() if m.given_up]
        if kind == 13:
            self.erase_somebody_reached()
        elif kind == 12:
            self.abandon()
        elif kind > 9:
            self.hear()
        elif kind < 5 or not self.claims:
            self.claim()
        elif kind < 7:
            self.start()
        else:
            self.report()
        if not 9 < kind < 12:
            self.dispatched["settled"] += sum(not m.given_up and m.state == "sent" for m in given_up)
            if any(m.given_up and m.person for m in given_up) and self.choices.chance(40):
                self.hear()

    def erase_somebody_reached(self) -> None:
        """Now and then who is erased is who something is on its way to."""
        held = [m for key in self.claims if (m := self.model.messages[key[0]]).claim and m.person]
        if held and self.choices.chance(50):
            message = self.choices.pick(held)
            self.claims.append((message.id, message.claims))
            self.met.discard(message.person)
            self.same("erased", *self.ask("erase", message.person, self.now))

    def claim(self) -> None:
        """On one shard of a few only: of several, each has all of the room."""
        alone = len(self.system.engine.shards) == 1
        most = self.choices.pick((EVERYTHING, EVERYTHING, 3)) if alone else EVERYTHING
        room = {channel: most for channel in CHANNELS if self.choices.chance(85)}
        until = self.now + self.choices.pick(LASTS)
        deduplicates = self.choices.pick(DEDUPLICATES)
        expected, given = self.ask("claim", room, self.now, until, deduplicates)
        theirs = {claimed.message_id: claimed for claimed in given}
        wanted = [self.theirs[claimed["message_id"]] for claimed in expected]
        self.same("claimed", *((wanted, [*theirs]) if alone else (sorted(wanted), sorted(theirs))))
        for ours in expected:
            claimed: Claimed = theirs[self.theirs[ours["message_id"]]]
            self.same("claim", [ours[name] for name in CLAIMED], [getattr(claimed, name) for name in CLAIMED])
            self.claims.append((ours["message_id"], ours["claim"]))
        self.dispatched["claimed"] += len(expected)
        self.same("oldest due", *self.ask("oldest_due", self.now))
        self.note_moves()
        if expected and self.choices.chance(50):  # at once, as dispatchers do
            self.report([(ours["message_id"], ours["claim"]) for ours in expected])

    def hear(self) -> None:
        """Events on what was claimed once, and is not at its end."""
        states = ("scheduled", "claimed", "sent", "unknown")
        messages = [i for i in self.theirs if (m := self.model.messages[i]).claims and m.state in states]
        if given_up := [i for i in messages if self.model.messages[i].given_up]:
            messages = given_up if self.choices.chance(80) else messages
        before = {i: len(self.model.messages[i].given_up) for i in messages}
        self.take_events(tuple(messages[-100:]), 4, EVENT_TYPES)
        fewer = [m for i, n in before.items() if len((m := self.model.messages[i]).given_up) < n]
        self.dispatched["taken back"] += sum(m.state in ("sent", "delivered") for m in fewer)
        self.dispatched["given up failed"] += sum(m.state in ("scheduled", "claimed", "unknown") for m in fewer)

    def abandon(self) -> None:
        """A dispatcher begins a new life."""
        held = sum(m.state == "claimed" for m in self.model.messages.values())
        self.ask("abandon_claims", self.now, self.choices.pick(DEDUPLICATES))
        self.same("oldest due", *self.ask("oldest_due", self.now))
        self.dispatched["abandoned"] += held

    def start(self) -> None:
        for message_id, claim in self.some_claims():
            theirs = ([(self.theirs[message_id], claim)], self.now)
            expected, given = self.ask("start", message_id, claim, self.now, theirs=theirs)
            self.same("started", [expected], given, (message_id, claim))
            self.dispatched["started"] += expected

    def report(self, claims: list[tuple[str, int]] | None = None) -> None:
        claims = self.some_claims() if claims is None else claims
        for message_id, claim in claims:
            said = {"outcome": self.choices.pick(OUTCOMES), "later": self.now + self.choices.pick(WAITS)}
            said |= {"provider_id": self.choices.pick((None, "p-1")), "detail": self.choices.pick((None, "full"))}
            theirs = ([Report(self.theirs[message_id], claim, **said)], self.now)
            state = self.model.messages[message_id].state
            expected, given = self.ask("report", message_id, claim, said, self.now, theirs=theirs)
            self.same("counted", [expected], given, (message_id, claim, said))
            of_nobody = self.model.messages[message_id].person is None
            self.dispatched[f"reported {said['outcome']} on nobody"] += expected and of_nobody
            self.dispatched[f"reported {said['outcome']}"] += expected
            self.dispatched[f"reported {said['outcome']} when {state}"] += expected
        self.note_moves()

    def some_claims(self) -> list[tuple[str, int]]:
        """Mostly those that hold."""
        held = [key for key in self.claims if self.model.messages[key[0]].state == "claimed"]
        held = held if held and self.choices.chance(80) else [*self.claims]
        return [self.choices.pick(held) for _ in range(self.choices.integer(1, 12))]

    def note_moves(self) -> None:
        """Messages went on to other channels and instants."""
