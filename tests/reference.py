"""A plain, slow model of the ten steps, written from the contract and never from the engine.

It is the judge: where the engine and this page differ, the contract says who is wrong. It takes the decoded
bodies a user would send and answers what a user would get; its message ids are serial numbers and it writes
no `detail`. `settings` is the decoded `engine/defaults.toml`. "Waits" means the state scheduled. What the
contract leaves open is decided in lines marked "Open:". Of templates it knows one, for SMS, which says the `text` of
the content, else Hello.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from functools import partial
from types import SimpleNamespace as Record

from tests import reference_views as views
from tests.reference_delivery import Deliveries
from tests.reference_learning import Learning
from tests.reference_outcomes import Outcomes, instants_of
from tests.reference_rules import (
    CHANNELS,
    HOUR,
    MINUTE,
    Refused,
    broken_rules,
    confidence_of,
    deferred,
    faults,
    first_open,
    instant,
    is_id,
    local_time,
    micro,
    money,
    next_eligible,
    permitted,
    rfc,
    send_time,
    span_of_day,
    spread,
    usable,
)
from tests.reference_segments import segments_of

UNDECIDED: dict = {
    **dict.fromkeys(("message_id", "reason", "channel", "scheduled_at", "scheduled_local")),
    **dict.fromkeys(("fallback_chain", "cost", "confidence", "next_eligible_at")),
}


class Reference(Outcomes, Deliveries):
    """All the state of one system. Every call takes `now`, which never goes back."""

    def __init__(self, settings: dict) -> None:
        self.settings = settings
        self.learning = Learning(settings)
        self.gaps = {c: round(settings["min_gap_hours"][c] * HOUR) for c in CHANNELS}
        self.campaigns: dict[str, Record] = {}
        self.people: dict[str, Record] = {}
        self.traces: dict[str, dict] = {}  # the stops of erased people
        self.messages: dict[str, Record] = {}
        self.events_seen: set[str] = set()

    # ---- campaigns ----------------------------------------------------------------------------------------

    def put_campaign(self, body: dict, now: int) -> None:
        budget, limits, channels = (body.get(k, {}) for k in ("budget", "limits", "channels"))
        old = self.campaigns.get(body["id"])
        new = Record(
            id=body["id"],
            transactional=body.get("category", "marketing") == "transactional",
            urgency=body.get("urgency", "normal"),
            zone=body.get("timezone", "UTC"),
            starts_at=instant(body["starts_at"]) if "starts_at" in body else -math.inf,
            ends_at=instant(body["ends_at"]) if "ends_at" in body else math.inf,
            allowed=set(channels.get("allowed", CHANNELS)),
            tiers=channels.get("priority", {}),
            # Open: a campaign without a budget may get one in any currency.
            currency=budget.get("currency", old.currency if old else None),
            total=micro(budget["total"]) if "total" in budget else math.inf,
            daily=micro(budget["daily"]) if "daily" in budget else math.inf,
            per_channel={c: micro(v) for c, v in budget.get("per_channel", {}).items()},
            costs={c: micro(v) for c, v in (self.settings["costs"] | body.get("costs", {})).items()},
            says_text="sms" in body.get("templates", {}),
            conversion_value=micro(body.get("conversion_value", "0")),
            daily_messages=limits.get("daily_messages", math.inf),
            per_minute=limits.get("per_minute", math.inf),
            caps=(limits.get("daily_cap", 3), limits.get("weekly_cap", 10)),
            lookback=limits.get("lookback_hours", 24) * HOUR,
            window=span_of_day(body.get("send_window")),
            defers=body.get("on_cap") == "defer",
            max_attempts=body.get("max_attempts", 3),
            key=body.get("dedup_key", body["id"]),
            paused=old.paused if old else False,  # Open: a replacement neither pauses nor resumes.
            messages=old.messages if old else [],
            # By "total", channel, ("money" | "places", day), ("minute", UTC minute).
            committed=old.committed if old else Counter(),
            blocked=old.blocked if old else Counter(),
            revenue=old.revenue if old else 0,
        )
        # Open: a campaign "has messages" once it has made one, cancelled or not.
        if old and old.messages:
            same = (old.transactional, old.zone) == (new.transactional, new.zone)
            if not same or old.currency not in (None, new.currency):
                raise Refused(409)
        self.campaigns[new.id] = new

    def campaign(self, campaign_id: str) -> Record:
        if campaign_id not in self.campaigns:
            raise Refused(404)
        return self.campaigns[campaign_id]

    def pause(self, campaign_id: str) -> None:
        self.campaign(campaign_id).paused = True

    def resume(self, campaign_id: str) -> None:
        self.campaign(campaign_id).paused = False

    def state(self, campaign: Record, now: int) -> str:
        # Open: what is over is `ended` even if paused; what is paused is `paused` even before it starts.
        if now >= campaign.ends_at:
            return "ended"
        return "paused" if campaign.paused else "upcoming" if now < campaign.starts_at else "active"

    # ---- people -------------------------------------------------------------------------------------------

    def person(self, recipient_id: str) -> Record:
        if recipient_id not in self.people:
            stops = self.traces.pop(recipient_id, {})
            self.people[recipient_id] = Record(id=recipient_id, profile={}, suppressions=stops, messages=[])
        return self.people[recipient_id]

    def merge(self, recipient: dict) -> tuple[Record, list[str]]:
        """Keeps the fields that are given; answers the person and the channels whose address was dropped."""
        person = self.person(recipient["id"])
        given = {name: value for name, value in recipient.items() if name != "id"}
        contacts = given.get("contacts", {})
        if "contacts" in given:
            given["contacts"] = {c: a for c, a in contacts.items() if usable(c, a)}
        person.profile |= given
        self.cancel_waiting(person, self.opted_out(person))
        return person, [c for c, a in contacts.items() if not usable(c, a)]

    def opted_out(self, person: Record) -> set[str]:
        return set(person.profile.get("preferences", {}).get("opt_out", ()))

    def suppressed(self, person: Record, now: int) -> set[str]:
        """The channels, or "all", with a suppression in force: `until` is the first instant free."""
        return {c for c, s in person.suppressions.items() if s["until"] is None or now < s["until"]}

    def cancel_waiting(self, person: Record, channels: set[str]) -> None:
        for m in person.messages:
            if m.state == "scheduled" and ("all" in channels or m.channel in channels):
                self.end(m, "cancelled")

    def end(self, message: Record, state: str) -> None:
        """Nothing is tried any more: it is over, unless a provider took an attempt that was given up."""
        self.release(message, state)
        self.settle(message)

    def release(self, message: Record, state: str) -> None:
        """It has no instant any more, and what it cost is given back."""
        message.state = state
        self.book(message, -1)

    def put_recipient(self, recipient_id: str, body: dict, now: int) -> None:
        if faults({"id": recipient_id} | body):
            raise Refused(422)
        self.merge({"id": recipient_id} | body)

    def suppress(self, recipient_id: str, channel: str, until: int | None, reason: str | None, now: int):
        person = self.person(recipient_id)
        person.suppressions[channel] = {"until": until, "reason": reason}
        if channel in self.suppressed(person, now):  # Open: one that is already over cancels nothing.
            self.cancel_waiting(person, {channel})

    def lift(self, recipient_id: str, channel: str) -> None:
        if recipient_id in self.people or recipient_id in self.traces:  # Open: it makes the person known again.
            self.person(recipient_id).suppressions.pop(channel, None)

    def erase(self, recipient_id: str, now: int) -> bool:
        person = self.people.pop(recipient_id, None)
        if person is None:
            return False
        self.cancel_waiting(person, {"all"})
        for m in person.messages:
            m.person = None
        # Open: reasons may name people; an opt-out holds as a suppression, which a new profile cannot overwrite.
        stops = {c: person.suppressions[c] | {"reason": None} for c in self.suppressed(person, now)}
        stops |= {c: {"until": None, "reason": "opted out"} for c in self.opted_out(person)}
        if stops:
            self.traces[recipient_id] = stops
        return True

    def find_message(self, message_id: str) -> Record | None:
        found = self.messages.get(message_id)
        return found if found and found.person else None

    # ---- the ten steps ------------------------------------------------------------------------------------

    def send(self, body: dict, now: int) -> dict:
        if body.get("dry_run"):
            return without_id(self.copied().send(body | {"dry_run": False}, now))
        if faults(body["recipient"]):
            raise Refused(422)
        return self.answer(self.campaign(body["campaign_id"]), body["recipient"], body, now)

    def send_batch(self, body: dict, now: int) -> dict:
        if body.get("dry_run"):
            answer = self.copied().send_batch(body | {"dry_run": False}, now)
            return answer | {"results": [without_id(decision) for decision in answer["results"]]}
        campaign = self.campaign(body["campaign_id"])
        results = [self.answer(campaign, recipient, body, now) for recipient in body["recipients"]]
        counts = Counter(r["status"] for r in results)
        reasons = Counter(r["reason"] for r in results if r["status"] == "blocked")
        return {"counts": dict(counts), "reasons": dict(reasons), "results": results}

    def copied(self) -> Reference:
        """The same system again, to be thrown away."""
        return copy.deepcopy(self, {id(self.settings): self.settings})

    def answer(self, campaign: Record, recipient: object, options: dict, now: int) -> dict:
        # What an explanation says is tested by what follows from it; the model only knows that there is one.
        explained = {"explanation": None} if options.get("explain") else {}
        errors = faults(recipient)
        if errors:  # Open: an id that is itself wrong is answered as null.
            named = isinstance(recipient, dict) and is_id(recipient.get("id"))
            known = {"recipient_id": recipient["id"] if named else None, "status": "invalid"}
            return UNDECIDED | explained | known | {"warnings": [], "errors": errors}
        person, dropped = self.merge(recipient)
        decided = self.decide(campaign, person, options, now)
        if "reason" in decided:
            campaign.blocked[decided["reason"]] += 1
        status = "blocked" if "reason" in decided else "scheduled"
        return UNDECIDED | explained | {"recipient_id": person.id, "status": status, "warnings": dropped} | decided

    def decide(self, campaign: Record, person: Record, options: dict, now: int) -> dict:  # noqa: PLR0911
        # 0. Standing
        if self.state(campaign, now) != "active":
            return {"reason": "campaign_inactive"}
        stopped = self.suppressed(person, now) | self.opted_out(person)
        if "all" in stopped:
            return {"reason": "suppressed"}
        # 1. Duplicate
        key = options.get("dedup_key", campaign.key)
        instants = instants_of(person)
        if any(m.key == key and at > now - campaign.lookback for at, _, m in instants):
            return {"reason": "duplicate"}
        # 2. Candidates, their instants (step 6), caps and gaps
        wanted = campaign.allowed & set(options.get("channels", CHANNELS))
        contacts = person.profile.get("contacts", {})
        candidates = [c for c in CHANNELS if c in contacts and c in wanted - stopped]
        if not candidates:
            return {"reason": "no_viable_channel"}
        at = {c: self.time_of(campaign, person, c, options, now) for c in candidates}
        at = {c: t for c, t in at.items() if t is not None}
        if not at:
            return {"reason": "no_send_window"}
        if not campaign.transactional:
            counted = [(t, c) for t, c, m in instants if not m.transactional]
            broken = {c: broken_rules(counted, t, c, campaign.caps, self.gaps[c]) for c, t in at.items()}
            at |= {c: self.later(campaign, person, c, counted, at[c], now) for c in at if broken[c]}
            at = {c: t for c, t in at.items() if t is not None}
            if not at:
                stops = set().union(*broken.values())
                reason = next(r for r in ("daily_cap", "weekly_cap", "channel_gap") if r in stops)
                free = next_eligible(counted, candidates, campaign.caps, self.gaps, now)
                return {"reason": reason, "next_eligible_at": rfc(free)}
        value = {c: self.value(campaign, person, c, options, now) for c in at}
        says = options.get("content", {}).get("text", "Hello")
        return self.choose(campaign, person, key, at, value, segments_of(says) if campaign.says_text else 1)

    def choose(self, campaign: Record, person: Record, key: str, at: dict, value: dict, segments: int) -> dict:
        """Steps 3 to 10 among the viable channels, each with its instant and its value."""
        # 3. Channel: tier, value, cost, and the channel order, which sorting keeps
        tiers, costs = campaign.tiers, self.costs(campaign, segments)
        order = sorted(at, key=lambda c: (tiers.get(c, math.inf), -value[c], costs[c]))
        # 4. Budget
        affordable = [c for c in order if self.fits(campaign, c, at[c], costs[c])]
        if not affordable:
            return {"reason": "over_budget"}
        chosen = affordable[0]
        # 5. Daily limit
        if not self.has_place(campaign, at[chosen]):
            return {"reason": "daily_limit"}
        # 7. to 10. Record, commit, fallback chain, answer
        chain = order[order.index(chosen) + 1 :][: campaign.max_attempts - 1]
        choice = {"key": key, "channel": chosen, "at": at[chosen], "chain": chain, "cost": costs[chosen]}
        message = self.record(campaign, person, segments=segments, **choice)
        others = [value[c] for c in at if c != chosen]
        return {
            "message_id": message.id,
            "channel": chosen,
            "scheduled_at": rfc(message.at),
            "scheduled_local": local_time(message.at, self.zone(campaign, person)).isoformat(),
            "fallback_chain": chain,
            "cost": money(message.cost),
            "confidence": confidence_of(value[chosen] - max(others)) if others else 1,
        }

    def zone(self, campaign: Record, person: Record) -> str:
        return person.profile.get("timezone", campaign.zone)

    def weights(self, campaign: Record, person: Record, channel: str) -> tuple[float, ...]:
        """The channel's 24 hour weights for this person."""
        return self.learning.weights(campaign.id, person.profile.get("customer_type", "new"), channel)

    def place(self, campaign: Record, person: Record, channel: str) -> tuple:
        quiet = person.profile.get("preferences", {}).get("quiet_hours", self.settings["quiet_hours"])
        limits = (campaign.window, None if channel == "email" else span_of_day(quiet))
        limits = (None, None) if campaign.transactional else limits
        return (self.zone(campaign, person), campaign.starts_at, campaign.ends_at, *limits)

    def is_full(self, campaign: Record, t: int) -> bool:
        return campaign.committed["minute", t // MINUTE] >= campaign.per_minute

    def later(self, campaign: Record, person: Record, channel: str, counted: list, refused: int, now: int):
        """When a channel goes whose instant breaks a cap or gap."""
        place = self.place(campaign, person, channel)
        rules = (campaign.caps, self.gaps[channel])
        is_full = partial(self.is_full, campaign)
        return deferred(place, counted, channel, rules, refused, now, is_full) if campaign.defers else None

    def time_of(self, campaign: Record, person: Record, channel: str, options: dict, now: int) -> int | None:
        place, is_full = self.place(campaign, person, channel), partial(self.is_full, campaign)
        if "send_at" in options or campaign.transactional:
            t = max(instant(options["send_at"]), now) if "send_at" in options else now
            if permitted(place, t) and is_full(t):  # Open: what was asked for and does not fit goes on, too.
                return first_open(place, t // MINUTE * MINUTE + MINUTE, now, is_full)
            return t if permitted(place, t) else None
        urgency, seed = options.get("urgency", campaign.urgency), spread(person.id, campaign.id)
        return send_time(place, urgency, self.weights(campaign, person, channel), seed, now, is_full)

    def value(self, campaign: Record, person: Record, channel: str, options: dict, now: int) -> int:
        """Score plus boost in units of 1e-9, so that rounding noise never decides."""
        tables, profile, weights = self.settings, person.profile, self.weights(campaign, person, channel)
        factors = {
            "customer_type": tables["customer_type"][profile.get("customer_type", "new")][channel],
            "engagement": self.learning.smoothed(campaign, person, channel, now),
            "device": tables["device"][profile.get("device", "unknown")][channel],
            "urgency": tables["urgency"][options.get("urgency", campaign.urgency)][channel],
            "time_of_day": weights[local_time(now, self.zone(campaign, person)).hour] / max(weights),
        }
        score = sum(tables["weights"][name] * factor for name, factor in factors.items())
        preferred = list(dict.fromkeys(profile.get("preferences", {}).get("channels", ())))
        n = len(preferred)
        boost = 0.10 * (n - preferred.index(channel)) / n if channel in preferred else 0.0
        return round((score + boost) * 1e9)

    # ---- money and places ---------------------------------------------------------------------------------

    def day(self, campaign: Record, t: int) -> int:
        return local_time(t, campaign.zone).toordinal()

    def costs(self, campaign: Record, segments: int) -> dict:
        """An SMS costs each of its segments."""
        return campaign.costs | {"sms": campaign.costs["sms"] * segments}

    def fits(self, campaign: Record, channel: str, t: int, cost: int) -> bool:
        limits = {"total": campaign.total, channel: campaign.per_channel.get(channel, math.inf)}
        limits["money", self.day(campaign, t)] = campaign.daily
        # Open: what costs nothing always fits, even where a budget was lowered below what is committed.
        return all(cost <= max(0, limits[b] - campaign.committed[b]) for b in limits)

    def has_place(self, campaign: Record, t: int) -> bool:
        return campaign.committed["places", self.day(campaign, t)] < campaign.daily_messages

    def record(self, campaign: Record, person: Record, **choice: object) -> Record:
        message = Record(
            id=f"#{len(self.messages)}",
            person=person.id,
            campaign=campaign.id,
            transactional=campaign.transactional,
            state="scheduled",
            happened=set(),
            attempts=[],
            charges=[],  # of attempts that failed and cost all the same
            success_by=None,
            given_up=[],  # attempts that were sent and not heard of in time
            claims=0,
            tries=0,  # of the attempt under way: put off, or made without a word
            claim=None,
            repeats=False,  # whether it is for an attempt that may have been taken before
            not_before=None,
            again=False,
            sent_at=None,
            zone=self.zone(campaign, person),
            delivered=None,
            engaged=None,
            **choice,
        )
        self.messages[message.id] = message
        person.messages.append(message)
        campaign.messages.append(message)
        self.book(message, +1)
        return message

    def book(self, message: Record, sign: int) -> None:
        campaign = self.campaigns[message.campaign]
        day = self.day(campaign, message.at)
        for bucket in ("total", message.channel, ("money", day)):
            campaign.committed[bucket] += sign * message.cost
        campaign.committed["places", day] += sign
        campaign.committed["minute", message.at // MINUTE] += sign

    def charge(self, message: Record, attempt: Record) -> None:
        """What came back with the place of a failed attempt is committed again, and stays so."""
        campaign = self.campaigns[message.campaign]
        day = self.day(campaign, attempt.at)
        for bucket in ("total", attempt.channel, ("money", day)):
            campaign.committed[bucket] += attempt.cost
        message.charges.append(Record(channel=attempt.channel, day=day, cost=attempt.cost))

    # ---- time and reading -------------------------------------------------------------------------------------

    def set_clock(self, now: int) -> None:
        self.learning.publish(self.campaigns, now)

    def message(self, message_id: str, now: int) -> dict | None:
        return (found := self.find_message(message_id)) and views.message(found)

    def cancel(self, message_id: str, now: int) -> dict | None:
        found = self.find_message(message_id)
        if found is None:
            return None
        if found.state != "scheduled":
            raise Refused(409)
        self.end(found, "cancelled")
        return views.message(found)

    def recipient(self, recipient_id: str, now: int) -> dict | None:
        found = self.people.get(recipient_id)
        return None if found is None else views.recipient(self, found, now)

    def status(self, campaign_id: str, now: int) -> dict:
        return views.status(self, self.campaign(campaign_id), now)


def without_id(decision: dict) -> dict:
    """As a dry run shows it, which makes no message."""
    return decision | {"message_id": None}
