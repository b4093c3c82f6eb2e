"""What becomes of messages in the reference model: events, and the next channel after a failed attempt.

The judge's second half; see `tests.reference`.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace as Record

from tests.reference_delivery import was_made
from tests.reference_rules import MINUTE, broken_rules, first_open, instant, micro

LIVE = ("scheduled", "claimed", "sent", "delivered", "unknown")  # a message in one of these has an instant
POSITIVE = ("delivered", "opened", "clicked", "replied", "converted")  # events that imply delivered
FAILURES, STOPS = ("failed", "bounced"), ("bounced", "complained", "unsubscribed")
EVENT_TYPES = {*POSITIVE, *FAILURES, *STOPS}


def instant_of(message: Record) -> int:
    """When it was sent, else when it is scheduled."""
    return message.at if message.sent_at is None else message.sent_at


class Outcomes:
    """The calls of `tests.reference.Reference` that are about events; the state and the rules are its own."""

    def events(self, body: dict, now: int) -> dict:
        return {"results": [{"id": e.get("id"), "status": self.event(e, now)} for e in body["events"]]}

    def event(self, event: dict, now: int) -> str:
        if not {"id", "type", "message_id"} <= event.keys() or event["type"] not in EVENT_TYPES:
            return "invalid"
        if event["id"] in self.events_seen:  # Open: only an applied event makes its id seen.
            return "seen"
        message = self.find_message(event["message_id"])
        if message is None:
            return "unknown"
        self.events_seen.add(event["id"])
        if event["type"] not in FAILURES:
            self.hear_of(message)
        undecided = message.state in LIVE and message.state != "delivered"
        # Open: bad news of an attempt that failed already, while the next was not reported on, is about that one.
        earlier = message.claims and message.state in ("scheduled", "claimed") and message.attempts
        earlier = earlier and message.attempts[-1]["state"] == "failed"
        channel = message.attempts[-1]["channel"] if earlier else message.channel
        at = min(instant(event["at"]), now) if "at" in event else now
        if event["type"] in POSITIVE:
            message.happened |= {event["type"], "delivered"}
            self.learning.note(message, event["type"], at)
            if undecided:  # Open: what was cancelled stays cancelled; the event is counted.
                message.state = "delivered"
                self.know(message, "delivered", at)
        if event["type"] in FAILURES and undecided and not earlier:  # Open: what was delivered did not fail.
            charged = self.is_charged(message)
            self.know(message, "failed", at)
            if event["type"] == "bounced":
                message.attempts[-1]["detail"] = "bounced"
            self.fall_back(message, now, charged)
        if event["type"] in STOPS:
            self.suppress(message.person, channel, None, event["type"], now)
        if event["type"] == "converted":
            campaign = self.campaigns[message.campaign]
            campaign.revenue += micro(event["value"]) if "value" in event else campaign.conversion_value
        return "applied"

    def hear_of(self, message: Record) -> None:
        """It arrived, as far as anybody knows. Open: a complaint says so, too."""
        message.success_by = None
        # Open: until the next attempt is made it is news of the one that was given up last.
        if message.state in ("scheduled", "claimed") and message.given_up and not was_made(message):
            self.take_back(message)

    def fall_back(self, message: Record, now: int, charged: bool) -> None:
        """An attempt failed: the next channel of the chain that passes everything again goes, or the message failed."""
        self.go_on(message, message.chain, now, otherwise="failed", charged=charged)

    def go_on(self, message: Record, channels: list, now: int, otherwise: str, charged: bool = False) -> None:
        """The first of the channels that passes everything goes, and the next ones are left; else it ends."""
        self.end(message, otherwise)
        if charged:
            self.charge(message)
        message.claim = message.not_before = message.sent_at = message.success_by = None
        message.again = False
        self.try_channels(message, channels, now)

    def try_channels(self, message: Record, channels: list, now: int) -> bool:
        """The first of the channels that passes everything goes, if one does; those before it are left out."""
        campaign, person = self.campaigns[message.campaign], self.people[message.person]
        message.chain = channels
        while message.chain:
            channel, *message.chain = message.chain
            t, cost = self.next_time(campaign, person, channel, now), self.costs(campaign, message.segments)[channel]
            # Open: a day without a place left is passed over like a budget.
            if t is None or not self.fits(campaign, channel, t, cost) or not self.has_place(campaign, t):
                continue
            message.state, message.channel, message.at, message.cost = "scheduled", channel, t, cost
            message.zone = self.zone(campaign, person)
            self.book(message, +1)
            return True
        return False

    def next_time(self, campaign: Record, person: Record, channel: str, now: int) -> int | None:
        """When the next attempt goes on a channel; None where suppression, caps, gap or permissions do not let it."""
        stopped = self.suppressed(person, now) | self.opted_out(person)
        if stopped & {"all", channel} or channel not in campaign.allowed & person.profile.get("contacts", {}).keys():
            return None
        begun = now >= campaign.starts_at
        start = now // MINUTE * MINUTE if begun else -(-campaign.starts_at // MINUTE) * MINUTE
        t = first_open(self.place(campaign, person, channel), start, now, partial(self.is_full, campaign))
        if t is None or campaign.transactional:
            return t
        live = [m for m in person.messages if m.state in LIVE and not m.transactional]
        counted = [(instant_of(m), m.channel) for m in live]
        broken = broken_rules(counted, t, channel, campaign.caps, self.gaps[channel])
        return self.later(campaign, person, channel, counted, t, now) if broken else t
