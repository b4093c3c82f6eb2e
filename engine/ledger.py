"""The budget ledger's book: who may spend what of a campaign, and what is left. No Ray, no clock, no disk.

Of every bucket with a limit, always

    settled (spent by the shards) + outstanding (held by shards, dead ones included) + free = limit

where only `free` is granted from. A limit that comes down below what is settled leaves nothing free; it never
takes back what is committed. Shards report what they spent as absolute numbers, bucket by bucket, so a report
that arrives twice, or after a later one was lost, does no harm.

The book only counts. Recalling slices from shards that sit on them is the work of `actors.ledger`.

Whoever keeps the book on a disk writes what `take_images` gives out, and later loads all of that again: the book is
then as it was, with the same answers to whatever is asked next.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping

from engine.accounts import Account, Entry, Limits
from engine.budget_manager import Bucket, Grants, Slice
from engine.errors import MadanSaraError, ShardUnavailable, UnknownCampaign
from engine.ledger_images import Amounts, Image, Imbalance, Life, Page, Terms, Touched

__all__ = ["BudgetLedger", "Limits", "Superseded"]

logger = logging.getLogger("madan_sara.ledger")

MINUTE = 4
"""The kind of the buckets that are minutes."""

FULL_MINUTES_MAX = 7 * 1440
"""How many full minutes on either side of one that was asked for an answer tells of, so that they are not asked for in
vain one by one."""

PLENTY = 10_000
"""With plenty left, a grant is up to so many times what was asked for, to save the next calls."""


class Superseded(MadanSaraError):  # noqa: N818
    """The asker is an earlier life of its shard; what it held was given back, and it must not spend."""

    status = 503

    def __init__(self, shard: int, incarnation: int) -> None:
        super().__init__(shard, incarnation)
        self.detail = f"Shard {shard} has a later life than incarnation {incarnation}."


class BudgetLedger:
    """The accounts of all campaigns. `shards` is how many share them; they are numbered from 0."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._incarnations: dict[int, int] = {}
        self._accounts: dict[str, Account] = {}
        self._imbalances: list[str] = []
        self._touched = Touched()

    def __contains__(self, campaign_id: str) -> bool:
        """Whether the campaign has an account."""
        return campaign_id in self._accounts

    def set_limits(self, campaign_id: str, limits: Limits) -> None:
        """Opens the account of a campaign or gives it other limits."""
        account = self._accounts.setdefault(campaign_id, Account(limits))
        self._touched.terms.add(campaign_id)
        account.limits = limits
        account.ceilings = {
            bucket: committed
            for bucket in account.settled.keys() | account.outstanding.keys()
            if (limit := limits.on(bucket)) is not None
            and (committed := account.settled[bucket] + account.outstanding[bucket]) > limit
        }

    def incarnation(self, shard: int) -> int:
        """The number of the shard's life that may spend; 0 before its first."""
        return self._incarnations.get(shard, 0)

    def register(self, shard: int, incarnation: int, spent: Mapping[str, Mapping[Bucket, int]]) -> list[str]:
        """Begins a new life of a shard, which holds nothing and has spent this of each campaign's buckets in all its
        lives: what a bucket that is left out was reported to have spent never came to be.

        Returns the campaigns of which something came free by that.
        """
        if incarnation <= self.incarnation(shard):
            raise Superseded(shard, incarnation)
        for campaign_id in spent:
            self._account(campaign_id)
        self._incarnations[shard] = incarnation
        self._touched.lives.add(shard)
        freed = []
        for campaign_id, account in sorted(self._accounts.items(), key=lambda item: item[0]):
            before = account.entries.pop(shard, Entry())
            entry = self._entry(campaign_id, shard)
            entry.spent, entry.held = before.spent, before.held
            now = spent.get(campaign_id, {})
            came_free = any(
                before.held[bucket] + before.spent[bucket] > now.get(bucket, 0)
                for bucket in before.held.keys() | before.spent.keys()
            )
            self.report(
                shard, incarnation, campaign_id, {bucket: now.get(bucket, 0) for bucket in {*before.spent, *now}}
            )
            if came_free:
                freed.append(campaign_id)
        return freed

    def report(self, shard: int, incarnation: int, campaign_id: str, spent: Mapping[Bucket, int]) -> None:
        """Notes that a shard holds nothing of a campaign any more, and what it spent of each bucket in all its lives.

        A bucket that is left out stands as it was reported before. It overtakes a request of the shard that is not
        answered yet.
        """
        self._check_life(shard, incarnation)
        account = self._account(campaign_id)
        entry = self._entry(campaign_id, shard)
        for bucket in entry.spent.keys() | entry.held.keys() | spent.keys():
            before, held = entry.spent[bucket], entry.held[bucket]
            after = spent.get(bucket, before)
            if account.limits.on(bucket) is not None and after > before + held:
                fault = f"{campaign_id} {bucket}: shard {shard} spent {after - before} and held {held}"
                logger.error("the budget does not balance: %s", fault)
                self._touched.imbalances.add(len(self._imbalances))
                self._imbalances.append(fault)
            account.settled[bucket] += after - before
            account.outstanding[bucket] -= held
            if after != before or held:
                self._touched.amounts.add((campaign_id, shard, bucket))
            if after != before:
                entry.spent[bucket] = after
        entry.held = Counter()
        entry.asking = 0
        self._touched.pages.add((campaign_id, shard))

    def recalled(
        self, shard: int, incarnation: int, sequence: int, campaign_id: str, spent: Mapping[Bucket, int]
    ) -> bool:
        """As `report`, for the answer to a recall of the grant `sequence`. False, and nothing noted, if it is stale:
        the shard died or got another grant since it was asked."""
        if incarnation != self.incarnation(shard):
            return False
        entry = self._entry(campaign_id, shard)
        if sequence != entry.sequence:
            return False
        asking = entry.asking
        self.report(shard, incarnation, campaign_id, spent)
        entry.asking = asking
        return True

    def in_the_way(self, campaign_id: str, shard: int, needs: Mapping[Bucket, int]) -> list[tuple[int, int]]:
        """The other shards that hold some of a bucket of which less is free than needed: (shard, sequence)."""
        account = self._account(campaign_id)
        short = [bucket for bucket, need in needs.items() if self._free(account, bucket) < need]
        return [
            (other, entry.sequence)
            for other, entry in sorted(account.entries.items())
            if other != shard and any(entry.held[bucket] for bucket in short)
        ]

    def holders(self, campaign_id: str) -> list[tuple[int, int]]:
        """Every shard that was ever granted or reported anything of a campaign: (shard, sequence)."""
        return [(shard, entry.sequence) for shard, entry in sorted(self._account(campaign_id).entries.items())]

    def answer(self, shard: int, incarnation: int, sequence: int, campaign_id: str) -> Grants | None:
        """What a request was granted already, if it is the last that was."""
        self._check_life(shard, incarnation)
        entry = self._entry(campaign_id, shard)
        return _answer(self._account(campaign_id), entry) if sequence == entry.sequence else None

    def ask(
        self, shard: int, incarnation: int, sequence: int, campaign_id: str, spent: Mapping[Bucket, int]
    ) -> Grants | None:
        """The first half of `acquire`: takes back all that a shard held of a campaign and notes what it spent.

        A repeated `sequence` changes nothing and returns the answer that the request got already; what it tells of
        full minutes beside those that were asked for is as of now.
        """
        answer = self.answer(shard, incarnation, sequence, campaign_id)
        if answer is not None:
            return answer
        entry = self._entry(campaign_id, shard)
        if sequence < max(entry.sequence, entry.asking):
            raise ShardUnavailable(f"Shard {shard} asked for more since its request {sequence}.")
        entry.kept = {
            bucket: held - spent.get(bucket, entry.spent[bucket]) + entry.spent[bucket]
            for bucket, held in entry.held.items()
            if bucket[0] == MINUTE and held
        }
        self.report(shard, incarnation, campaign_id, spent)
        entry.asking = sequence
        return None

    def grant(
        self, shard: int, incarnation: int, sequence: int, campaign_id: str, needs: Mapping[Bucket, int]
    ) -> Grants:
        """The second half: grants what the shard needs.

        A bucket is marked as the last there is if nothing of it is left then, with the ledger or another shard. It is
        granted less than asked only so; where another shard holds some, nothing is granted and `ShardUnavailable` says
        so. The mark holds until the shard gives its grant back, of a full minute until places may have come back. Of
        minutes it is granted more than it needs: those that it held before and nobody else got, and the word about all
        that are full right before and after one that is.
        """
        self._check_life(shard, incarnation)
        account = self._account(campaign_id)
        entry = self._entry(campaign_id, shard)
        if sequence != entry.asking:
            raise ShardUnavailable(f"Shard {shard} went on without an answer to its request {sequence}.")
        if others := self.in_the_way(campaign_id, shard, needs):
            names = ", ".join(str(other) for other, _ in others)
            raise ShardUnavailable(f"The rest of the budget of {campaign_id!r} is with shard {names}.")
        grants: Grants = {}
        for bucket, need in needs.items():
            free = self._free(account, bucket)
            amount = _size(need, free, self._shards)
            last = amount < need or (amount == free and not account.outstanding[bucket])
            grants[bucket] = Slice(amount, last, account.excess(bucket))
        entry.sequence, entry.granted = sequence, dict(grants)
        for bucket, kept in entry.kept.items():
            if bucket not in grants and (amount := min(kept, account.free(bucket) or 0)) > 0:
                grants[bucket] = Slice(amount, False, 0)
        entry.kept = {}
        for bucket, (amount, _, _) in grants.items():
            entry.held[bucket] = amount
            account.outstanding[bucket] += amount
            self._touched.amounts.add((campaign_id, shard, bucket))
        self._touched.pages.add((campaign_id, shard))
        return _answer(account, entry)

    def acquire(
        self,
        shard: int,
        incarnation: int,
        sequence: int,
        campaign_id: str,
        spent: Mapping[Bucket, int],
        needs: Mapping[Bucket, int],
    ) -> Grants:
        """`ask`, then `grant`: for those who have nobody to recall from in between."""
        answer = self.ask(shard, incarnation, sequence, campaign_id, spent)
        return self.grant(shard, incarnation, sequence, campaign_id, needs) if answer is None else answer

    def spent(self, campaign_id: str) -> dict[Bucket, int]:
        """What counts as spent of each bucket, as far as it was reported."""
        return {bucket: amount for bucket, amount in self._account(campaign_id).settled.items() if amount}

    def elsewhere(self, campaign_id: str, shard: int) -> dict[Bucket, int]:
        """What counts as spent of each bucket, or is held, but not by a shard itself."""
        account = self._account(campaign_id)
        others = Counter(account.settled)
        others.update(account.outstanding)
        if entry := account.entries.get(shard):
            others.subtract(entry.spent)
            others.subtract(entry.held)
        return {bucket: amount for bucket, amount in others.items() if amount}

    def covered(self, campaign_id: str, shard: int) -> dict[Bucket, int]:
        """What a shard may have spent of each bucket with a limit that it ever had anything of: reported and held."""
        account = self._account(campaign_id)
        entry = account.entries.get(shard, Entry())
        buckets = entry.spent.keys() | entry.held.keys()
        limited = (bucket for bucket in buckets if account.limits.on(bucket) is not None)
        return {bucket: entry.spent[bucket] + entry.held[bucket] for bucket in limited}

    def free(self, campaign_id: str, bucket: Bucket) -> int | None:
        """What can be granted of a bucket; None if it has no limit."""
        return self._account(campaign_id).free(bucket)

    def audit(self) -> list[str]:
        """Every way in which the book does not balance; empty if it does."""
        faults = list(self._imbalances)
        for campaign_id, account in self._accounts.items():
            entries = account.entries.values()
            for bucket in account.settled.keys() | account.outstanding.keys():
                settled = sum(entry.spent[bucket] for entry in entries)
                outstanding = sum(entry.held[bucket] for entry in entries)
                faults += _faults(account, campaign_id, bucket, settled, outstanding)
        return faults

    # ---- on a disk --------------------------------------------------------------------------------------

    def take_images(self) -> list[Image]:
        """All that was changed since the last call, as it is now; each replaces the one of the same place before it."""
        touched, self._touched = self._touched, Touched()
        images: list[Image] = [Life(shard, self._incarnations[shard]) for shard in touched.lives]
        for campaign_id in touched.terms:
            account = self._accounts[campaign_id]
            images.append(Terms(campaign_id, account.limits, account.ceilings))
        for campaign_id, shard in touched.pages:
            entry = self._accounts[campaign_id].entries[shard]
            images.append(Page(campaign_id, shard, entry.asking, entry.sequence, entry.granted))
        for campaign_id, shard, bucket in touched.amounts:
            entry = self._accounts[campaign_id].entries[shard]
            images.append(Amounts(campaign_id, shard, bucket, entry.spent[bucket], entry.held[bucket]))
        images += [Imbalance(number, self._imbalances[number]) for number in touched.imbalances]
        return images

    def load(self, images: Iterable[Image]) -> None:
        """Makes an empty book what the last images of all places say, in any order. `Amounts` of nothing may be left
        out."""
        imbalances: dict[int, str] = {}
        for image in images:
            match image:
                case Life(shard, incarnation):
                    self._incarnations[shard] = incarnation
                case Terms(campaign_id, limits, ceilings):
                    account = self._accounts.setdefault(campaign_id, Account(limits))
                    account.limits, account.ceilings = limits, dict(ceilings)
                case Page(campaign_id, shard, asking, sequence, granted):
                    entry = self._loaded_entry(campaign_id, shard)
                    entry.asking, entry.sequence, entry.granted = asking, sequence, granted
                case Amounts(campaign_id, shard, bucket, spent, held):
                    entry = self._loaded_entry(campaign_id, shard)
                    entry.spent[bucket], entry.held[bucket] = spent, held
                    self._accounts[campaign_id].settled[bucket] += spent
                    self._accounts[campaign_id].outstanding[bucket] += held
                case Imbalance(number, text):
                    imbalances[number] = text
        self._imbalances = [text for _, text in sorted(imbalances.items())]

    def _loaded_entry(self, campaign_id: str, shard: int) -> Entry:
        account = self._accounts.setdefault(campaign_id, Account(Limits()))
        return account.entries.setdefault(shard, Entry())

    # ---- inside -----------------------------------------------------------------------------------------

    def _entry(self, campaign_id: str, shard: int) -> Entry:
        entries = self._account(campaign_id).entries
        if shard not in entries:
            entries[shard] = Entry()
            self._touched.pages.add((campaign_id, shard))
        return entries[shard]

    def _account(self, campaign_id: str) -> Account:
        try:
            return self._accounts[campaign_id]
        except KeyError:
            raise UnknownCampaign(campaign_id) from None

    def _free(self, account: Account, bucket: Bucket) -> int:
        free = account.free(bucket)
        if free is None:
            raise ValueError(f"bucket {bucket} has no limit to grant from")
        return free

    def _check_life(self, shard: int, incarnation: int) -> None:
        if incarnation != self.incarnation(shard):
            raise Superseded(shard, incarnation)


def _size(need: int, free: int, shards: int) -> int:
    """A grant: all that is needed if it is there; several times that while it is a small part of what is left."""
    if free <= need:
        return free
    return max(need, min(PLENTY * need, free // (2 * shards)))


def _answer(account: Account, entry: Entry) -> Grants:
    """To the request that was granted last, as long as nothing of the grant came back."""
    grants = dict(entry.granted)
    for bucket, amount in entry.held.items():
        if amount and bucket not in grants:
            grants[bucket] = Slice(amount, False, 0)
    return grants | _full_around(account, grants)


def _full_around(account: Account, grants: Grants) -> Grants:
    """The minutes around the full ones among the grants that nobody has a place in any more."""
    full: Grants = {}
    for kind, asked in [bucket for bucket, slice_ in grants.items() if bucket[0] == MINUTE and not slice_.amount]:
        for step in (-1, 1):
            for distance in range(1, FULL_MINUTES_MAX):
                bucket = (kind, asked + step * distance)
                if bucket in grants or bucket in full or account.outstanding[bucket] or account.free(bucket) != 0:
                    break
                full[bucket] = Slice(0, True, account.excess(bucket))
    return full


def _faults(account: Account, campaign_id: str, bucket: Bucket, settled: int, outstanding: int) -> Iterable[str]:
    where = f"{campaign_id} {bucket}"
    if (account.settled[bucket], account.outstanding[bucket]) != (settled, outstanding):
        yield f"{where}: the running totals differ from the shards' pages"
    if settled < 0 or outstanding < 0:
        yield f"{where}: {settled} settled and {outstanding} outstanding"
    limit = account.limits.on(bucket)
    if limit is not None and settled + outstanding > max(limit, account.ceilings.get(bucket, 0)):
        yield f"{where}: {settled} settled and {outstanding} outstanding of {limit}"
