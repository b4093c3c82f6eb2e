"""Drives a system and the reference model with the same commands and compares every answer.

The system is an adapter with the calls of `tests.reference.Reference`, answering decoded JSON as the contract
shows it and raising `Refused` for an error; `until` of a suppression is an instant or None. Its `state_hashes`
answers anything that is equal only while its state is.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from tests.reference import Reference, Refused
from tests.reference_rules import CHANNELS, DAY, HOUR, WEEK, rfc
from tests.strategies import (
    EVENT_TYPES,
    STARTS,
    STEPS,
    SUCCESSES,
    ZONES,
    Choices,
    make_broken_recipient,
    make_campaign,
    make_contacts,
    make_event,
    make_options,
    make_recipient,
)

DECIDED = ("recipient_id", "status", "reason", "channel", "scheduled_at", "scheduled_local")
DECIDED += ("fallback_chain", "cost", "confidence", "next_eligible_at")
DECISION = {*DECIDED, "message_id", "detail", "warnings", "errors", "explanation"}
SHIFTS = (4 * HOUR, 4 * HOUR, DAY, DAY, DAY, HOUR, 0, WEEK)


class Duel:
    """One system against one model, from an empty state on."""

    scarce = True  # whether campaigns have budgets and a number of places a day
    queues = True  # and of places a minute
    burst = 80  # events of success that may come together

    def __init__(self, system: Any, settings: dict, choices: Choices, *, people: int, campaigns: int) -> None:
        self.system, self.model, self.choices = system, Reference(settings), choices
        self.now = choices.pick(STARTS) + choices.integer(0, 2 * DAY)
        self.people = ["Ana Ñandú 😀", "x" * 128, *(f"r-{i}" for i in range(people - 2))]
        categories = ["marketing", "marketing", "transactional", *["marketing"] * campaigns]
        self.campaigns = {f"c-{i}": (choices.pick(ZONES), categories[i]) for i in range(campaigns)}
        self.theirs: dict[str, str] = {}  # the model's message id to the system's
        self.taken: set[str] = set()  # the system's message ids
        self.met: set[str] = set()
        self.recent: deque[dict] = deque(maxlen=50)  # events that may come again
        self.event_numbers = count()
        self.decisions = 0
        self.differs = False  # once a difference was found the two are no longer compared
        self.tally: Counter[str] = Counter()
        self.log: deque[str] = deque(maxlen=20)

    # ---- asking both --------------------------------------------------------------------------------------

    def ask(self, call: str, *arguments: Any, theirs: tuple | None = None) -> tuple[Any, Any]:
        """What both answer; (None, None) where both refuse with the same status."""
        self.log.append(f"{rfc(self.now)} {call} {str(arguments)[:2000]}")
        expected, given = (
            answer_of(getattr(side, call), inputs)
            for side, inputs in ((self.model, arguments), (self.system, theirs or arguments))
        )
        refusals = [a.status if isinstance(a, Refused) else None for a in (expected, given)]
        self.same("refusal", refusals[0], refusals[1])
        return (None, None) if refusals[0] else (expected, given)

    def same(self, what: str, expected: Any, given: Any, about: Any = "") -> None:
        if expected != given:
            self.differs = True
            log = "\n".join(self.log)
            about = about() if callable(about) else about
            raise AssertionError(
                f"{what}: the model says {expected!r}, the system {given!r}\nabout {about}\nafter\n{log}"
            )

    # ---- commands -----------------------------------------------------------------------------------------

    def put_campaign(self) -> None:
        over = [i for i, c in self.model.campaigns.items() if self.model.state(c, self.now) == "ended"]
        campaign_id = self.choices.pick(over or tuple(self.campaigns))
        zone, category = self.campaigns[campaign_id]
        if self.choices.chance(4):
            zone = self.choices.pick(ZONES)
        if self.choices.chance(2):
            category = "transactional"
        body = make_campaign(self.choices, campaign_id, zone, category, self.now)
        if not self.scarce:
            body.pop("budget", None)
            body.get("limits", {}).pop("daily_messages", None)
        if not self.queues:
            body.get("limits", {}).pop("per_minute", None)
        self.ask("put_campaign", body, self.now)

    def pause_or_resume(self) -> None:
        paused = [i for i, campaign in self.model.campaigns.items() if campaign.paused]
        if paused and self.choices.chance(80):
            self.ask("resume", self.choices.pick(paused))
        else:
            self.ask("pause", self.some_campaign())

    def batch(self, size_max: int) -> None:
        people = [self.someone() for _ in range(self.choices.integer(1, size_max))]
        body = {"campaign_id": self.some_campaign(), "recipients": people}
        body |= make_options(self.choices, self.now)
        if self.choices.chance(5):
            body |= {"explain": True}
        self.decide(self.decide_batch, body)

    def decide(self, ask: Callable[[dict], list[dict]], body: dict) -> None:
        """Now and then a dry run, mostly followed by the same request for real, which must get the same decisions."""
        if not self.choices.chance(7):
            ask(body)
            return
        before = self.system.state_hashes()
        rehearsed = ask(body | {"dry_run": True})
        self.same("state after a dry run", before, self.system.state_hashes())
        if self.choices.chance(75):
            decided = ask(body)
            self.same("decisions of a dry run", *([plain_decision(d) for d in side] for side in (decided, rehearsed)))

    def decide_batch(self, body: dict) -> list[dict]:
        """The system's decisions, compared; none where both refuse."""
        expected, given = self.ask("send_batch", body, self.now)
        if expected is None:
            return []
        people = body["recipients"]
        self.same("number of results", len(people), len(given["results"]))
        if "batch_id" in given:  # a model has none
            self.same("batch id", "dry_run" not in body, given["batch_id"] is not None)
        for ours, other, recipient in zip(expected["results"], given["results"], people, strict=True):
            self.compare_decision(ours, other, body | {"recipients": recipient})
        for name in ("counts", "reasons"):
            self.same(name, expected[name], {k: n for k, n in given[name].items() if n})
        return given["results"]

    def send(self) -> None:
        recipient = self.someone()
        person = self.model.people.get(str(recipient.get("id")))
        instants = [m.at for m in person.messages[-4:]] if person else []
        body = {"campaign_id": self.some_campaign(), "recipient": recipient}
        body |= make_options(self.choices, self.now, instants)
        self.decide(self.decide_send, body)

    def decide_send(self, body: dict) -> list[dict]:
        """As `decide_batch`."""
        expected, given = self.ask("send", body, self.now)
        if expected is None:
            return []
        self.compare_decision(expected, given, body)
        return [given]

    def put_recipient(self) -> None:
        recipient = self.someone()
        recipient_id = recipient.pop("id", None)
        if isinstance(recipient_id, str) and recipient_id in self.people:
            self.ask("put_recipient", recipient_id, recipient, self.now)

    def suppress(self) -> None:
        until = self.choices.pick((None, None, -HOUR, 0, 1, HOUR, DAY, 3 * DAY))
        until = None if until is None else self.now + until
        reason = self.choices.pick((None, "asked by phone"))
        self.ask("suppress", self.somebody(), self.some_stop(), until, reason, self.now)

    def lift(self) -> None:
        held = [(i, c) for i, person in self.model.people.items() for c in person.suppressions]
        held += [(i, c) for i, stops in self.model.traces.items() for c in stops]
        if held:
            self.ask("lift", *self.choices.pick(held))

    def erase(self) -> None:
        recipient_id = self.somebody()
        self.same("erased", *self.ask("erase", recipient_id, self.now))
        self.met.discard(recipient_id)

    def cancel(self) -> None:
        """Mostly one that waits."""
        waiting = [i for i in self.theirs if self.model.messages[i].state == "scheduled"]
        some = waiting if waiting and self.choices.chance(80) else [*self.theirs, "m-1"]
        self.see_message("cancel", self.choices.pick(some[-40:]))

    def events(self) -> None:
        """A few of all types, or many of success, from which there is something to learn."""
        self.take_events(tuple(self.theirs)[-400:], *self.choices.pick(((6, EVENT_TYPES), (self.burst, SUCCESSES))))

    def take_events(self, messages: tuple[str, ...], most: int, types: Sequence[str]) -> None:
        numbers = [next(self.event_numbers) for _ in range(self.choices.integer(1, most))]
        events = [make_event(self.choices, number, messages, self.now, types) for number in numbers]
        if self.recent and self.choices.chance(50):
            events.append(self.choices.pick(self.recent))
        if messages and self.choices.chance(50):  # an id that came before, or comes twice, for another message
            again = self.choices.pick([*self.recent, *events]) | {"message_id": self.choices.pick(messages)}
            events.insert(self.choices.integer(0, len(events)), again)
        for event in events:
            message = self.model.messages.get(event["message_id"])
            if message is not None and "channel" in event and self.choices.chance(70):
                event["channel"] = self.choices.pick([a["channel"] for a in message.attempts] or [message.channel])
        self.recent.extend(events)
        translated = [e | {"message_id": self.theirs.get(e["message_id"], e["message_id"])} for e in events]
        theirs = ({"events": translated}, self.now)
        expected, given = self.ask("events", {"events": events}, self.now, theirs=theirs)
        for ours, other in zip(expected["results"], given["results"], strict=True):
            self.same("event", (ours["id"], ours["status"]), (other["id"], other["status"]), translated)
            self.same("event errors", ours["status"] == "invalid", bool(other.get("errors")))

    def move_time(self) -> None:
        """On by a little or a lot, or to the edge of a span: of a cap, a gap, a lookback, a period.

        Every move publishes what was learned until then.
        """
        to = self.now + self.choices.pick(STEPS)
        if self.theirs and self.choices.chance(40):
            message = self.model.messages[self.choices.pick(tuple(self.theirs)[-200:])]
            edge = message.at + self.choices.pick(SHIFTS) + self.choices.pick((0, -1, 1))
            to = edge if self.now <= edge <= self.now + DAY else to
        elif self.model.campaigns and self.choices.chance(15):
            campaign = self.choices.pick(tuple(self.model.campaigns.values()))
            edge = self.choices.pick((campaign.starts_at, campaign.ends_at)) + self.choices.pick((0, -1))
            to = edge if self.now <= edge <= self.now + DAY else to
        self.now = int(to)
        self.ask("set_clock", self.now)

    def step(self, size_max: int) -> None:
        """One command, drawn by weight; sends are two of three."""
        self.move_time()
        kind = self.choices.integer(0, 99)
        commands = (
            (48, lambda: self.batch(size_max)),
            (62, self.send),
            (70, self.put_campaign),
            (74, self.pause_or_resume),
            (78, self.put_recipient),
            (82, self.suppress),
            (86, self.lift),
            (90, self.cancel),
            (94, self.events),
            (95, self.erase),
            (100, self.read),
        )
        next(command for below, command in commands if kind < below)()

    # ---- who and what -------------------------------------------------------------------------------------

    def somebody(self) -> str:
        return self.choices.pick(self.people)

    def someone(self) -> dict:
        """A recipient: whole when first met, mostly just an id later, broken now and then."""
        recipient_id = self.somebody()
        if self.choices.chance(3):
            return make_broken_recipient(self.choices, recipient_id)
        if recipient_id in self.met:
            return make_recipient(self.choices, recipient_id, self.choices.pick((0, 0, 0, 5, 30)))
        self.met.add(recipient_id)
        contacts = {"contacts": make_contacts(self.choices, recipient_id)}
        return make_recipient(self.choices, recipient_id, 70) | contacts

    def some_campaign(self) -> str:
        """Mostly one that is active."""
        known = [i for i, c in self.model.campaigns.items() if self.model.state(c, self.now) == "active"]
        if not known or self.choices.chance(8):
            known = ["nowhere", *self.model.campaigns] if self.choices.chance(15) else [*self.campaigns]
        return self.choices.pick(known)

    def some_stop(self) -> str:
        return "all" if self.choices.chance(35) else self.choices.pick(CHANNELS)

    # ---- comparing ----------------------------------------------------------------------------------------

    def compare_decision(self, expected: dict, given: dict, about: Any) -> None:
        self.decisions += 1
        self.tally[expected["reason"] or expected["status"]] += 1
        self.same("unknown fields", set(), given.keys() - DECISION, about)
        pairs = ({name: side[name] for name in DECIDED} for side in (expected, given))
        self.same("an explanation", "explanation" in expected, "explanation" in given, about)
        self.same("decision", *pairs, lambda: self.known(expected["recipient_id"], about))
        blocked, invalid = (expected["status"] == status for status in ("blocked", "invalid"))
        self.same("a sentence", True, not blocked or bool(given["detail"]), given)
        self.same("errors", invalid, bool(given.get("errors")), given)
        warnings = given["warnings"] or []
        named = sorted(c for warning in warnings for c in CHANNELS if c in str(warning))
        self.same("warnings", sorted(expected["warnings"]), named, warnings)
        self.same("message id", expected["message_id"] is not None, given["message_id"] is not None)
        if given["message_id"] is not None:
            self.same("a message id used before", False, given["message_id"] in self.taken, given)
            self.taken.add(given["message_id"])
            self.theirs[expected["message_id"]] = given["message_id"]

    def known(self, recipient_id: str | None, about: Any) -> str:
        person = self.model.people.get(recipient_id or "")
        if person is None:
            return str(about)
        messages = [(rfc(m.at), m.channel, m.state, m.key, m.campaign) for m in person.messages]
        return f"{about}\nknown {person.profile} {person.suppressions}\nmessages {messages}"

    def read(self) -> None:
        kind = self.choices.integer(0, 2)
        if kind == 0 and self.theirs:
            self.see_message("message", self.choices.pick(tuple(self.theirs)))
        elif kind == 1:
            self.read_recipient(self.somebody())
        else:
            self.read_status(self.some_campaign())

    def read_all(self) -> None:
        """Everything there is, as a user could read it at the end."""
        for campaign_id in self.model.campaigns:
            self.read_status(campaign_id)
        for recipient_id in self.people:
            self.read_recipient(recipient_id)
        for message_id in self.theirs:
            self.see_message("message", message_id)

    def see_message(self, call: str, message_id: str) -> None:
        """A call that answers a message."""
        theirs = (self.theirs.get(message_id, message_id), self.now)
        expected, given = self.ask(call, message_id, self.now, theirs=theirs)
        self.same("message known", expected is not None, given is not None, message_id)
        if expected is not None:
            self.same("message", self.translated(expected), {name: given[name] for name in expected})

    def translated(self, message: dict) -> dict:
        return message | {"message_id": self.theirs[message["message_id"]]}

    def read_recipient(self, recipient_id: str) -> None:
        expected, given = self.ask("recipient", recipient_id, self.now)
        self.same("recipient known", expected is not None, given is not None, recipient_id)
        if expected is None:
            return
        self.same("profile", plain_profile(expected["recipient"]), plain_profile(given["recipient"]))
        ours, other = [self.translated(m) for m in expected["messages"]], given["messages"]
        self.same("number of messages", len(ours), len(other), recipient_id)
        for message, shown in zip(ours, other, strict=True):
            self.same("message", message, {name: shown[name] for name in message})
        suppressions = (sorted(map(repr_sorted, side["suppressions"])) for side in (expected, given))
        self.same("suppressions", *suppressions, recipient_id)
        for name in ("caps", "next_eligible_at"):
            self.same(name, expected[name], given[name], self.known(recipient_id, ""))

    def read_status(self, campaign_id: str) -> None:
        expected, given = self.ask("status", campaign_id, self.now)
        if expected is None:
            return
        for name in ("campaign_id", "state", "messages", "budget", "pacing"):
            self.same(f"status {name}", expected[name], given[name], campaign_id)
        self.same("status blocked", expected["blocked"], {r: n for r, n in given["blocked"].items() if n})
        for channel, counts in expected["by_channel"].items():
            there = given["by_channel"].get(channel, dict.fromkeys(counts, 0) | {"committed": "0.00"})
            self.same(f"status of {channel}", counts, there, campaign_id)
        for name, value in expected["performance"].items():
            self.same(f"status {name}", value, given["performance"][name], campaign_id)


def answer_of(call: Any, arguments: tuple) -> Any:
    try:
        return call(*arguments)
    except Refused as refusal:
        return refusal


def plain_decision(decision: dict) -> dict:
    """What a dry run and the same request for real share."""
    return {name: value for name, value in decision.items() if name not in ("message_id", "explanation")}


def repr_sorted(table: dict) -> str:
    return repr(sorted(table.items(), key=str))


def plain_profile(profile: dict) -> dict:
    """A profile with its defaults filled in and its sets sorted."""
    preferences = profile.get("preferences") or {}
    opt_out = set(preferences.get("opt_out") or ())
    return {
        "id": profile["id"],
        "customer_type": profile.get("customer_type", "new"),
        "device": profile.get("device", "unknown"),
        "timezone": profile.get("timezone"),
        "contacts": profile.get("contacts") or {},
        "preferred": list(dict.fromkeys(preferences.get("channels") or ())),
        "opt_out": {"all"} if "all" in opt_out else opt_out,
        "quiet_hours": preferences.get("quiet_hours"),
    }
