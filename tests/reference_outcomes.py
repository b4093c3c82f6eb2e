"""What becomes of messages in the reference model: events, and the next channel after a failed attempt.

The judge's second half; see `tests.reference`.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace as Record

from tests.reference_delivery import was_made
from tests.reference_rules import CHANNELS, MINUTE, broken_rules, first_open, instant, micro

LIVE = ("scheduled", "claimed", "sent", "delivered", "unknown")  # a message in one of these has an instant
POSITIVE = ("delivered", "opened", "clicked", "replied", "converted")  # events that imply delivered
FAILURES, STOPS = ("failed", "bounced"), ("bounced", "complained", "unsubscribed")
EVENT_TYPES = {*POSITIVE, *FAILURES, *STOPS}


def instants_of(person: Record) -> list[tuple[int, str, Record]]:
    """Each instant of a person's messages, with its channel and its message: when it was sent, else when it is
    scheduled. An attempt that was given up was sent, too."""
    live = [m for m in person.messages if m.state in LIVE]
    instants = [(m.at if m.sent_at is None else m.sent_at, m.channel, m) for m in live]
    return instants + [(before.sent_at, before.channel, m) for m in person.messages for before in m.given_up]


class Outcomes:
    """The calls of `tests.reference.Reference` that are about events; the state and the rules are its own."""

    def events(self, body: dict, now: int) -> dict:
        return {"results": [{"id": e.get("id"), "status": self.event(e, now)} for e in body["events"]]}

    def event(self, event: dict, now: int) -> str:
        if not {"id", "type", "message_id"} <= event.keys() or event["type"] not in EVENT_TYPES:
            return "invalid"
        if event.get("channel", CHANNELS[0]) not in CHANNELS:
            return "invalid"
        if event["id"] in self.events_seen:  # Open: only an applied event makes its id seen.
            return "seen"
        message = self.find_message(event["message_id"])
        if message is None:
            return "unknown"
        self.events_seen.add(event["id"])
        if event["type"] not in FAILURES:
            self.hear_of(message, event)
        undecided = message.state in LIVE and message.state != "delivered"
        channel = self.channel_of(message, event)
        earlier = channel != message.channel  # the event is not about the attempt under way
        at = min(instant(event["at"]), now) if "at" in event else now
        if event["type"] in POSITIVE:
            message.happened |= {event["type"], "delivered"}
            self.learning.note(message, event["type"], at)
            if undecided:  # Open: what was cancelled stays cancelled; the event is counted.
                message.state = "delivered"
                self.know(message, "delivered", at)
        if event["type"] in FAILURES and earlier:
            self.fail_earlier(message, channel, event, at)
        elif event["type"] in FAILURES and undecided:  # Open: what was delivered did not fail.
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

    def channel_of(self, message: Record, event: dict) -> str:
        """The channel of the attempt that an event is about."""
        if "channel" in event:
            return event["channel"]
        # Open: without it, bad news of an attempt that failed already, while the next was not reported on, is about
        # that one.
        waits = message.claims and message.state in ("scheduled", "claimed")
        if waits and message.attempts and message.attempts[-1]["state"] == "failed":
            return message.attempts[-1]["channel"]
        # Open: and of one that was sent before it, given up, and is under way again since that one failed.
        if message.claims and message.state == "sent" and len(message.attempts) > 1:
            before = message.attempts[-2]
            if before["state"] == "failed" and before["at"] > message.sent_at:
                return before["channel"]
        return message.channel

    def hear_of(self, message: Record, event: dict) -> None:
        """An attempt arrived, as far as anybody knows. Open: a complaint says so, too."""
        channel = event.get("channel")
        told = [before for before in message.given_up if channel in (None, before.channel)]
        is_earlier = channel not in (None, message.channel)
        if is_earlier and not told and event["type"] in STOPS:
            return  # Open: it says that the channel is stopped, and nothing of the attempts after that one.
        told = told or message.given_up  # Open: nothing else can have arrived
        message.success_by = None
        if message.state in ("scheduled", "claimed") and not was_made(message):
            if told:
                # Open: until the next attempt is made it is news of the one that was given up, or of the last of them.
                self.take_back(message, told[-1])
        elif event["type"] in STOPS and was_made(message):
            message.chain = []  # Open: nothing else is tried.

    def fail_earlier(self, message: Record, channel: str, event: dict, at: int) -> None:
        """Bad news of an attempt before: if it was given up, it is known now that it did not arrive."""
        for before in [one for one in message.given_up if one.channel == channel]:
            message.given_up.remove(before)
            detail = "bounced" if event["type"] == "bounced" else None
            message.attempts[before.place] |= {"at": at, "detail": detail}
            self.book(before, -1)
            if self.settings["delivery"][channel]["charge"] == "attempt":
                self.charge(message, before)

    def fall_back(self, message: Record, now: int, charged: bool) -> None:
        """An attempt failed: the next channel of the chain that passes everything again goes, or the message failed."""
        self.go_on(message, message.chain, now, otherwise="failed", charged=charged)

    def go_on(self, message: Record, channels: list, now: int, otherwise: str, charged: bool = False) -> None:
        """The first of the channels that passes everything goes, and the next ones are left; else it ends."""
        self.release(message, otherwise)
        if charged:
            self.charge(message, message)
        message.claim = message.not_before = message.sent_at = message.success_by = None
        message.again = False
        if not self.try_channels(message, channels, now):
            self.settle(message)

    def try_channels(self, message: Record, channels: list, now: int) -> bool:
        """The first of the channels that passes everything goes, if one does; those before it are left out."""
        campaign, person = self.campaigns[message.campaign], self.people.get(message.person)
        message.chain = channels if person else []  # Open: nobody is left to send it to
        while message.chain:
            channel, *message.chain = message.chain
            t, cost = self.next_time(campaign, person, channel, now), self.costs(campaign, message.segments)[channel]
            # Open: a day without a place left is passed over like a budget.
            if t is None or not self.fits(campaign, channel, t, cost) or not self.has_place(campaign, t):
                continue
            message.tries *= message.channel == channel
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
        counted = [(at, c) for at, c, m in instants_of(person) if not m.transactional]
        broken = broken_rules(counted, t, channel, campaign.caps, self.gaps[channel])
        return self.later(campaign, person, channel, counted, t, now) if broken else t
