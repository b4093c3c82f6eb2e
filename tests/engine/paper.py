"""Paper on which a book is written image by image, and from which it is read again."""

from __future__ import annotations

import copy
from typing import Any

from engine.budget_manager import Bucket
from engine.ledger import BudgetLedger
from engine.ledger_images import Amounts, Image, Imbalance, Life, Page, Terms

__all__ = ["Paper", "content"]


class Paper:
    """The last image of each piece. Of a bucket of which nothing is spent or held, none."""

    def __init__(self) -> None:
        self.images: dict[object, Image] = {}

    def write(self, book: BudgetLedger) -> int:
        """All that changed since the last time; how many images that were."""
        images = book.take_images()
        for image in images:
            self.images[place_of(image)] = image
            if isinstance(image, Amounts) and not (image.spent or image.held):
                del self.images[place_of(image)]
        return len(images)

    def read(self, shards: int) -> BudgetLedger:
        """A book from it."""
        book = BudgetLedger(shards)
        book.load(reversed(self.images.values()))
        return book


def place_of(image: Image) -> object:
    match image:
        case Life(shard, _):
            return "life", shard
        case Terms(campaign_id, _, _):
            return "terms", campaign_id
        case Page(campaign_id, shard, _, _, _):
            return "page", campaign_id, shard
        case Amounts(campaign_id, shard, bucket, _, _):
            return "amounts", campaign_id, shard, bucket
        case Imbalance(number, _):
            return "imbalance", number


def content(book: BudgetLedger) -> dict[str, Any]:
    """All that a book knows, without what is nothing."""
    accounts = {
        campaign_id: {
            "limits": account.limits,
            "ceilings": account.ceilings,
            "settled": some(account.settled),
            "outstanding": some(account.outstanding),
            "entries": {
                shard: (some(entry.spent), some(entry.held), entry.asking, entry.sequence, entry.granted)
                for shard, entry in account.entries.items()
            },
        }
        for campaign_id, account in book._accounts.items()
    }
    return copy.deepcopy({"lives": book._incarnations, "accounts": accounts, "imbalances": book._imbalances})


def some(amounts: dict[Bucket, int]) -> dict[Bucket, int]:
    return {bucket: amount for bucket, amount in amounts.items() if amount}
