"""A duel in which the test keeps books of its own, from what it was answered, and compares them after every command.

Messages and blocked decisions are counted as the system answered them; what became of a message is what it is shown as
now (of a person who was erased, what the model says: nobody is shown it any more). From that follows every number of a
campaign's status, and what each shard and the ledger must know of its money and places.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from engine.budget_manager import Bucket
from engine.local import Engine
from tests.disk import Disk
from tests.dispatch_duel import DispatchDuel
from tests.reference_outcomes import LIVE
from tests.reference_rules import CHANNELS, MINUTE, instant, local_time, micro, money
from tests.reference_views import ENGAGED, STATES, half_up

ORDINAL_OF_EPOCH = 719_163
MINUTE_KIND = 4


class Before(NamedTuple):
    """An attempt that failed and was charged, or was sent and given up, which keeps its place, too."""

    channel: str
    cost: int
    day: int
    minute: int | None
    """Of one that was given up."""

    @property
    def amounts(self) -> dict[Bucket, int]:
        place = 0 if self.minute is None else 1
        return dict(amounts_of(self.channel, self.cost, self.day, place))


def amounts_of(channel: str, cost: int, day: int, place: int) -> tuple[tuple[Bucket, int], ...]:
    return ((0, 0), cost), ((1, CHANNELS.index(channel)), cost), ((2, day), cost), ((3, day), place)


@dataclass
class Made:
    """A message as the decision answered it."""

    of_model: Any
    message_id: str
    campaign_id: str
    shard: int
    channel: str
    cost: int
    hour: int
    day: int
    """The campaign's local day of its instant, since the epoch."""
    minute: int
    """The UTC minute of its instant, since the epoch."""
    before: list[Before] = field(default_factory=list)
    """Attempts before that cost all the same."""

    @property
    def amounts(self) -> tuple[tuple[Bucket, int], ...]:
        return amounts_of(self.channel, self.cost, self.day, 1)


class AuditedDuel(DispatchDuel):
    """A duel with an `Engine` in process (`system.engine`)."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.engine: Engine = self.system.engine
        self.made: dict[str, Made] = {}  # by the system's message id
        self.live: list[Made] = []
        self.spent: dict[tuple[str, int], Counter[Bucket]] = defaultdict(Counter)  # by campaign and shard
        self.blocked: dict[str, Counter[str]] = defaultdict(Counter)
        self.happened: dict[str, set[str]] = defaultdict(set)
        self.revenue: Counter[str] = Counter()
        self.disks = [Disk(self.engine, shard) for shard in range(len(self.engine.shards))]

    def step(self, size_max: int) -> None:
        super().step(size_max)
        self.audit()
        self.write_down()

    # ---- what is written down -----------------------------------------------------------------------------

    def write_down(self) -> None:
        """What every shard writes down is what it knows; now and then one goes on from there, as after a crash."""
        for disk in self.disks:
            disk.write()
            if self.choices.chance(4):
                live, read = self.engine.shards[disk.shard].state_hash(), disk.read().state_hash()
                self.same("state that was written down", live, read, (disk.shard, disk.written.sequence))
            if self.choices.chance(16):
                disk.crash()

    # ---- what was answered --------------------------------------------------------------------------------

    def compare_decision(self, expected: dict, given: dict, about: Any) -> None:
        super().compare_decision(expected, given, about)
        if about.get("dry_run"):
            return
        campaign_id = about["campaign_id"]
        if given["status"] == "blocked":
            self.blocked[campaign_id][given["reason"]] += 1
        elif given["status"] == "scheduled":
            at, zone = instant(given["scheduled_at"]), self.model.campaigns[campaign_id].zone
            made = Made(
                self.model.messages[expected["message_id"]],
                given["message_id"],
                campaign_id,
                self.engine.router.shard_of_recipient(given["recipient_id"]),
                given["channel"],
                micro(given["cost"]),
                int(given["scheduled_local"][11:13]),
                local_time(at, zone).toordinal() - ORDINAL_OF_EPOCH,
                at // MINUTE,
            )
            self.made[made.message_id] = made
            self.live.append(made)
            self.spent[campaign_id, made.shard].update(dict(made.amounts))

    def ask(self, call: str, *arguments: Any, theirs: tuple | None = None) -> tuple[Any, Any]:
        expected, given = super().ask(call, *arguments, theirs=theirs)
        if call == "events" and given is not None and theirs is not None:
            for event, answer in zip(theirs[0]["events"], given["results"], strict=True):
                if answer["status"] == "applied":
                    self.note_event(event)
        return expected, given

    def note_event(self, event: dict) -> None:
        self.note_move(self.made[event["message_id"]])
        if event["type"] in ("bounced", "failed", "complained", "unsubscribed"):
            return
        self.happened[event["message_id"]] |= {event["type"], "delivered"}
        if event["type"] == "converted":
            campaign_id = self.made[event["message_id"]].campaign_id
            worth = self.model.campaigns[campaign_id].conversion_value
            self.revenue[campaign_id] += micro(event["value"]) if "value" in event else worth

    def note_move(self, made: Made) -> None:
        """A message that failed went on to another channel at another instant, and may have failed there, too."""
        self.note_before(made)
        shown, own = self.engine.message(made.message_id), made.of_model
        channel, at, cost = own.channel, own.at, own.cost
        if shown is not None:
            channel, at, cost = shown["channel"], instant(shown["scheduled_at"]), micro(shown["cost"])
        if (channel, at // MINUTE) == (made.channel, made.minute):
            return
        spent = self.spent[made.campaign_id, made.shard]
        spent.subtract(dict(made.amounts))
        zone = self.model.campaigns[made.campaign_id].zone
        made.channel, made.cost, made.minute = channel, cost, at // MINUTE
        made.hour = local_time(at, made.of_model.zone).hour
        made.day = local_time(at, zone).toordinal() - ORDINAL_OF_EPOCH
        spent.update(dict(made.amounts))

    def note_before(self, made: Made) -> None:
        spent = self.spent[made.campaign_id, made.shard]
        for before in made.before:
            spent.subtract(before.amounts)
        zone = self.model.campaigns[made.campaign_id].zone
        made.before = [Before(c.channel, c.cost, c.day - ORDINAL_OF_EPOCH, None) for c in made.of_model.charges]
        for one in made.of_model.given_up:
            day = local_time(one.at, zone).toordinal() - ORDINAL_OF_EPOCH
            made.before.append(Before(one.channel, one.cost, day, one.at // MINUTE))
        for before in made.before:
            spent.update(before.amounts)

    def note_moves(self) -> None:
        for made in self.live:
            self.note_move(made)

    # ---- money --------------------------------------------------------------------------------------------

    def audit(self) -> None:
        """What shards and ledger know of money and places, against what the messages cost that hold some."""
        self.same("audit of the ledger", [], self.engine.ledger.audit())
        for made in self.live:
            if made.before:  # whatever ends its next attempt has it sent by one that was given up
                self.note_move(made)
        ended = [made for made in self.live if made.of_model.state not in LIVE]
        if ended:
            self.live = [made for made in self.live if made.of_model.state in LIVE]
            for made in ended:
                self.spent[made.campaign_id, made.shard].subtract(dict(made.amounts))
        for campaign_id in self.model.campaigns:
            for shard in range(len(self.engine.shards)):
                self.audit_shard(campaign_id, shard)
        if self.choices.chance(4):
            self.settle()

    def audit_shard(self, campaign_id: str, shard: int) -> None:
        """What the shard counts is what its messages cost; and no more than it was granted, where there is a limit."""
        spent = self.spent[campaign_id, shard]
        tally = self.engine.shards[shard].tally(campaign_id)
        counted: Counter[Bucket] = Counter()
        for channel, of_channel in enumerate(tally["channels"]):
            counted[0, 0] += of_channel["committed"]
            counted[1, channel] = of_channel["committed"]
        for day, (amount, places) in tally["days"].items():
            counted[2, day], counted[3, day] = amount, places
        self.same("a shard's count", without_zeros(spent), without_zeros(counted), (campaign_id, shard))
        account = self.engine.ledger._accounts[campaign_id]
        page = account.entries.get(shard)
        for bucket, amount in spent.items():
            if page is not None and account.limits.on(bucket) is not None:
                granted = page.spent[bucket] + page.held[bucket]
                self.same("within its slice", True, amount <= granted, (campaign_id, shard, bucket, amount, granted))

    def settle(self) -> None:
        """Has every shard give back what it holds: then settled + free is the limit, and settled the recount."""
        for campaign_id in self.model.campaigns:
            for shard in range(len(self.engine.shards)):
                self.engine.recall(shard, campaign_id)
            spent: Counter[Bucket] = Counter()
            for shard in range(len(self.engine.shards)):
                spent.update(self.spent[campaign_id, shard])
            settled = self.engine.ledger.spent(campaign_id)
            minutes = {bucket: settled.pop(bucket) for bucket in list(settled) if bucket[0] == MINUTE_KIND}
            self.same("what the ledger settled", without_zeros(spent), settled, campaign_id)
            if self.engine.ledger._accounts[campaign_id].limits.per_minute is not None:
                theirs = [made.minute for made in self.live if made.campaign_id == campaign_id]
                all_made = [made for made in self.made.values() if made.campaign_id == campaign_id]
                theirs += [b.minute for made in all_made for b in made.before if b.minute is not None]
                self.same("minutes", dict(Counter((MINUTE_KIND, minute) for minute in theirs)), minutes, campaign_id)
            limits = self.engine.ledger._accounts[campaign_id].limits
            for bucket, amount in spent.items():
                limit, free = limits.on(bucket), self.engine.ledger.free(campaign_id, bucket)
                wanted = None if limit is None else max(0, limit - amount)
                self.same("free of a limit", wanted, free, (campaign_id, bucket))
        self.same("audit of the ledger", [], self.engine.ledger.audit())

    # ---- status -------------------------------------------------------------------------------------------

    def read_status(self, campaign_id: str) -> None:
        super().read_status(campaign_id)
        if campaign_id not in self.model.campaigns:
            return
        status = self.engine.status(campaign_id, self.now)
        for name, value in self.recount(campaign_id).items():
            self.same(f"recounted {name}", value, status_value(status, name), campaign_id)

    def state_of(self, made: Made) -> str:
        shown = self.engine.message(made.message_id)
        return made.of_model.state if shown is None else shown["state"]

    def recount(self, campaign_id: str) -> dict[str, Any]:
        """Every number of a status that follows from the campaign's messages and answers, by its path."""
        campaign = self.model.campaigns[campaign_id]
        all_made = [(made, self.state_of(made)) for made in self.made.values() if made.campaign_id == campaign_id]
        live = [made for made, state in all_made if state in LIVE]
        states = Counter(state for _, state in all_made)
        happened = [(made, self.happened[made.message_id]) for made, _ in all_made]
        before = [one for made, _ in all_made for one in made.before]
        cost_before = sum(one.cost for one in before)
        committed = sum(made.cost for made in live) + cost_before
        spent = sum(made.cost for made, state in all_made if state in ("sent", "delivered")) + cost_before
        today = local_time(self.now, campaign.zone).toordinal() - ORDINAL_OF_EPOCH
        counts = {kind: sum(kind in kinds for _, kinds in happened) for kind in ("delivered", "opened", "clicked")}
        counts["converted"] = sum("converted" in kinds for _, kinds in happened)
        delivered, revenue = counts["delivered"], self.revenue[campaign_id]
        numbers: dict[str, Any] = {f"messages/{state}": states[state] for state in STATES}
        numbers |= {f"blocked/{reason}": count for reason, count in self.blocked[campaign_id].items()}
        numbers |= {
            "budget/committed": money(committed),
            "budget/spent": money(spent),
            "budget/today/committed": money(
                sum(made.cost for made in live if made.day == today)
                + sum(one.cost for one in before if one.day == today)
            ),
            "pacing/actual": money(committed),
            **{f"performance/{kind}": count for kind, count in counts.items()},
            "performance/open_rate": ratio(counts["opened"], delivered),
            "performance/click_rate": ratio(counts["clicked"], delivered),
            "performance/conversion_rate": ratio(counts["converted"], delivered),
            "performance/cost_per_message": each(committed, len(live)),
            "performance/cost_per_conversion": each(spent, counts["converted"]),
            "performance/revenue": money(revenue),
            "performance/roi": ratio(revenue - spent, spent),
            "send_times/by_local_hour": [sum(made.hour == hour for made in live) for hour in range(24)],
        }
        for channel in CHANNELS:
            there = [made for made in live if made.channel == channel]
            there_committed = sum(made.cost for made in there)
            there_committed += sum(one.cost for one in before if one.channel == channel)
            kinds = [kinds for made, kinds in happened if made.channel == channel]
            numbers |= {
                f"by_channel/{channel}/messages": len(there),
                f"by_channel/{channel}/committed": money(there_committed),
                f"by_channel/{channel}/delivered": sum("delivered" in some for some in kinds),
                f"by_channel/{channel}/engaged": sum(bool(some & ENGAGED) for some in kinds),
                f"by_channel/{channel}/converted": sum("converted" in some for some in kinds),
            }
            if channel in campaign.per_channel:
                numbers[f"budget/per_channel/{channel}/committed"] = money(there_committed)
                left = max(0, campaign.per_channel[channel] - there_committed)
                numbers[f"budget/per_channel/{channel}/remaining"] = money(left)
        return numbers

    def read_all(self) -> None:
        super().read_all()
        self.settle()
        for campaign_id in self.model.campaigns:
            blocked = self.engine.status(campaign_id, self.now)["blocked"]
            self.same("all that was blocked", self.blocked[campaign_id].total(), sum(blocked.values()), campaign_id)


def without_zeros(amounts: Counter[Bucket]) -> dict[Bucket, int]:
    return {bucket: amount for bucket, amount in amounts.items() if amount}


def status_value(status: dict, path: str) -> Any:
    value: Any = status
    for name in path.split("/"):
        value = value[name]
    return value


def ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def each(amount: int, count: int) -> str | None:
    return money(half_up(Fraction(amount, count))) if count else None
