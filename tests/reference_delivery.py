"""What dispatchers do in the reference model: claims, starts, reports. The judge's third part."""

from __future__ import annotations

import math
from types import SimpleNamespace as Record

from tests.reference_rules import CHANNELS, HOUR

LATE = HOUR


def may_be_out(m: Record) -> bool:
    """Whether a provider has, or may have, the attempt under way."""
    return bool(m.attempts) and m.attempts[-1]["state"] in ("sent", "unknown")


def was_made(m: Record) -> bool:
    """Whether the attempt under way was made, as far as anybody knows."""
    return may_be_out(m) or (m.claim is not None and m.claim.started)


class Deliveries:
    """The calls of `tests.reference.Reference` that are about delivery; the state and the rules are its own."""

    def claim(self, room: dict, now: int, until: int, deduplicates: frozenset) -> list[dict]:
        self.end_claims(now, deduplicates, until=now)
        self.expire(now)
        self.end_silences(now)
        if until <= now:
            return []
        claimed, left = [], dict(room)
        for m in sorted(self.due(now), key=lambda m: (CHANNELS.index(m.channel), self.due_at(m))):
            channel = m.channel
            if left.get(channel, 0) == 0:
                continue
            if not self.reaches(m, now) or self.is_late(m, now):
                self.look_again(m, now)  # Open: where it may go now, it goes with the next claim.
                continue
            m.state, m.claims, m.claim = "claimed", m.claims + 1, Record(until=until, started=False)
            m.repeats = may_be_out(m)
            left[channel] -= 1
            claimed.append(
                {
                    "message_id": m.id,
                    "claim": m.claims,
                    "tries": m.tries,
                    "repeats": m.repeats,
                    "attempt": len(m.attempts) - may_be_out(m),
                    "channel": channel,
                    "recipient_id": m.person,
                    "campaign_id": m.campaign,
                    "address": self.people[m.person].profile["contacts"][channel],
                    "scheduled_at": m.at,
                }
            )
        return claimed

    def due(self, now: int) -> list[Record]:
        due = [m for m in self.messages.values() if self.waits(m) and self.due_at(m) <= now]
        return [m for m in due if self.state(self.campaigns[m.campaign], now) == "active"]

    def oldest_due(self, now: int) -> dict[str, int | None]:
        """Since when the message waits that waits longest, by channel."""
        due = self.due(now)
        return {c: min((self.due_at(m) for m in due if m.channel == c), default=None) for c in CHANNELS}

    def waits(self, m: Record) -> bool:
        return m.state == "scheduled" or (m.state == "unknown" and m.again)

    def due_at(self, m: Record) -> int:
        return m.at if m.not_before is None else max(m.at, m.not_before)

    def is_late(self, m: Record, now: int) -> bool:
        return not may_be_out(m) and (m.not_before is not None or now >= m.at + LATE)

    def abandon_claims(self, now: int, deduplicates: frozenset) -> None:
        """Whoever made them began a new life: all are over."""
        self.end_claims(now, deduplicates, until=math.inf)

    def end_claims(self, now: int, deduplicates: frozenset, until: float) -> None:
        """A claim that is over: what was not started waits again; what was may have been sent."""
        for m in self.messages.values():
            if m.state != "claimed" or m.claim.until > until:
                continue
            if m.claim.started:
                m.state, m.again, m.claim, m.tries = "unknown", m.channel in deduplicates, None, m.tries + 1
                self.know(m, "unknown", now, {"provider_id": None, "detail": "no report came"})
            else:
                self.wait_again(m, now)

    def wait_again(self, m: Record, now: int) -> None:
        """A claim is nothing; but who refused the channel meanwhile gets nothing that waits."""
        m.claim = None
        if may_be_out(m):
            m.state, m.again = "unknown", True
            return
        if m.person is None:  # Open: nobody is left to send it to.
            self.end(m, "expired")
            return
        m.state, person = "scheduled", self.people[m.person]
        self.cancel_waiting(person, self.suppressed(person, now) | self.opted_out(person))

    def expire(self, now: int) -> None:
        for m in self.messages.values():
            if m.state == "scheduled" and self.campaigns[m.campaign].ends_at <= now:
                self.end(m, "expired")

    def end_silences(self, now: int) -> None:
        """What was sent and not heard of in time is given up: the next channel goes, if one passes everything."""
        over = [m for m in self.messages.values() if m.success_by is not None and m.success_by <= now]
        for m in sorted(over, key=lambda m: m.success_by):
            assert m.state == "sent"
            m.success_by = None
            before = Record(place=len(m.attempts) - 1, channel=m.channel, at=m.at, cost=m.cost, zone=m.zone)
            before.sent_at, before.campaign = m.sent_at, m.campaign
            m.state = "failed"  # it has no instant but that one while the next is looked for
            m.given_up.append(before)
            if not self.try_channels(m, m.chain, now):
                m.state, m.chain = "sent", []
                m.given_up.pop()
                continue
            # Open: it keeps its cost, its places and its instant, since a provider took it.
            m.sent_at = None
            m.attempts[before.place] |= {"state": "failed", "at": now, "detail": "no sign of success came in time"}

    def take_back(self, m: Record, before: Record) -> None:
        """An attempt that was given up arrived: it is the one under way, and what waits is dropped."""
        self.release(m, "sent")
        self.restore(m, before)

    def settle(self, m: Record) -> None:
        """Open: what a provider took does not end otherwise: it is sent, by the attempt that was given up last."""
        if m.given_up:
            self.restore(m, m.given_up[-1])

    def restore(self, m: Record, before: Record) -> None:
        m.given_up.remove(before)
        m.state, m.channel, m.at, m.cost, m.zone = "sent", before.channel, before.at, before.cost, before.zone
        m.sent_at, m.chain, m.claim, m.not_before, m.again = before.sent_at, [], None, None, False
        m.attempts.append(m.attempts.pop(before.place) | {"state": "sent", "at": before.sent_at, "detail": None})
        for other in m.given_up:
            other.place -= other.place > before.place

    def reaches(self, m: Record, now: int) -> bool:
        if m.person is None:
            return False
        person, allowed = self.people[m.person], self.campaigns[m.campaign].allowed
        stopped = self.suppressed(person, now) | self.opted_out(person)
        return not stopped & {"all", m.channel} and m.channel in allowed & person.profile.get("contacts", {}).keys()

    def look_again(self, m: Record, now: int) -> None:
        """Suppression, caps, quiet hours and budget again, on its own channel first."""
        if may_be_out(m):
            m.again = False
        else:
            self.go_on(m, [m.channel, *m.chain], now, otherwise="expired")

    def start(self, message_id: str, claim: int, now: int) -> bool:
        m = self.find_message(message_id)
        if m is None or m.state != "claimed" or m.claims != claim or now >= m.claim.until:
            return False
        is_active = self.state(self.campaigns[m.campaign], now) == "active"
        if not is_active or not self.reaches(m, now) or self.is_late(m, now):
            self.wait_again(m, now)
            return False
        m.claim.started = True
        return True

    def report(self, message_id: str, claim: int, said: dict, now: int) -> bool:
        m, outcome = self.messages.get(message_id), said["outcome"]  # Open: of who was erased meanwhile, too
        if m is None or m.claims != claim or not self.counts(m, outcome):
            return False
        charged, note = self.is_charged(m), {"provider_id": said["provider_id"], "detail": said["detail"]}
        m.claim = None
        if outcome == "accepted":
            if m.state == "delivered":  # an event was faster
                m.attempts[-1] |= note
            else:
                m.state = "sent"
                self.know(m, "sent", now, note)
                hours = self.settings["delivery"][m.channel]["success_within_hours"]
                m.success_by = now + max(1, round(hours * HOUR)) if hours and m.chain else None
            m.sent_at, m.again = now, False
        elif outcome == "unknown":
            m.state, m.again = "unknown", False
            self.know(m, "unknown", now, note)
        elif outcome == "later":
            if m.state == "unknown":  # it was not sent: the attempt is still to be made
                m.attempts.pop()
                m.again = False
            m.not_before, m.tries = max(said["later"], now + 1), m.tries + 1
            self.wait_again(m, now)
        else:
            self.know(m, "failed", now, note)
            self.fall_back(m, now, charged)
        return True

    def is_charged(self, m: Record) -> bool:
        """Whether the attempt under way costs if it fails: it was made, on such a channel."""
        return was_made(m) and self.settings["delivery"][m.channel]["charge"] == "attempt"

    def counts(self, m: Record, outcome: str) -> bool:
        """What a claim that is over brings counts where it is definite and nobody claimed the message since."""
        if m.state == "unknown":
            return outcome in ("accepted", "rejected") or (outcome == "later" and not m.repeats)
        if m.state == "delivered":
            return outcome == "accepted" and m.sent_at is None
        return m.state == "claimed" and m.claim is not None

    def know(self, m: Record, state: str, at: int, note: dict | None = None) -> None:
        """What is known of the attempt under way, of which something may have been known before."""
        before = m.attempts.pop() if may_be_out(m) else {}
        note = note or {name: before.get(name) for name in ("provider_id", "detail")}
        m.attempts.append({"channel": m.channel, "state": state, "at": at, **note})
