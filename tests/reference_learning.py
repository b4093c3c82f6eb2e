"""What the reference model learns from events, and what of it all decide by: rates and hour weights.

Written from the contract, section 4, steps 3 and 6. Nothing is kept but when each message was first delivered and
first engaged, on which channel and at which local hour; every count is a sum of powers of two over all messages.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.reference_rules import DAY, local_time

ENGAGED = {"opened", "clicked", "replied", "converted"}
ALL = None  # instead of a campaign's id: over all campaigns


class Learning:
    """`publish` fixes what is decided by until the next time; a person's own counts are always those of `now`."""

    def __init__(self, settings: dict) -> None:
        self.engagement, self.best_hours = settings["engagement"], settings["best_hours"]
        self.half_life = self.engagement["half_life_days"] * DAY
        self.publish({}, 0)

    def note(self, message: Any, kind: str, at: int) -> None:
        """An event of success: its message counts once as delivered and once as engaged.

        Open: the first event that is heard of counts, with its own `at`; the hour is that of the message's instant.
        """
        mark = (at, message.channel, self.hour(message))
        message.delivered = message.delivered or mark
        if kind in ENGAGED:
            message.engaged = message.engaged or mark

    def hour(self, message: Any) -> int:
        return local_time(message.at, message.zone).hour

    def weigh(self, t: int, now: int) -> float:
        return 2.0 ** -((now - t) / self.half_life)

    def publish(self, campaigns: dict, now: int) -> None:
        """Sums over all messages, by campaign or ALL, channel, local hour, and what is counted."""
        self.sums: Counter = Counter()
        self.known_weights: dict[tuple, tuple[float, ...]] = {}
        for campaign in campaigns.values():
            for message in campaign.messages:
                for what, mark in (("delivered", message.delivered), ("engaged", message.engaged)):
                    if mark:
                        t, channel, hour = mark
                        self.sums[campaign.id, channel, hour, what] += self.weigh(t, now)
        for (_, *place), weight in list(self.sums.items()):
            self.sums[ALL, *place] += weight

    def of_channel(self, level: str | None, channel: str, what: str) -> float:
        return sum(self.sums[level, channel, hour, what] for hour in range(24))

    def rate(self, campaign_id: str, channel: str) -> float:
        """The published rate. Open: in [0, 1], since an engagement may be younger than its delivery."""
        for level in (campaign_id, ALL):
            delivered = self.of_channel(level, channel, "delivered")
            if delivered > 0:
                return min(self.of_channel(level, channel, "engaged") / delivered, 1.0)
        return float(self.engagement["rate"][channel])

    def smoothed(self, campaign: Any, person: Any, channel: str, now: int) -> float:
        """The engagement factor of a person on a channel."""
        marks = [(m.delivered, m.engaged) for m in person.messages]
        delivered, engaged = (
            sum(self.weigh(mark[0], now) for mark in some if mark and mark[1] == channel)
            for some in ([d for d, _ in marks], [e for _, e in marks])
        )
        k = self.engagement["prior_deliveries"]
        return min((k * self.rate(campaign.id, channel) + engaged) / (k + delivered), 1.0)

    def weights(self, campaign_id: str, customer_type: str, channel: str) -> tuple[float, ...]:
        """The 24 published hour weights: best practice, corrected by all campaigns, and then by this one.

        Open: to nine decimals, as scores, so that rounding noise does not choose between equal hours.
        """
        place = (campaign_id, customer_type, channel)
        if place not in self.known_weights:
            best = self.best_hours[customer_type][channel]
            table, elsewhere = self.engagement["rate"][channel], self.best_hours["weight_elsewhere"]
            means = [table * (1.0 if hour in best else elsewhere) for hour in range(24)]
            k = self.best_hours["prior_deliveries"]
            for level in (ALL, campaign_id):
                answered = [self.sums[level, channel, hour, "engaged"] for hour in range(24)]
                arrived = [self.sums[level, channel, hour, "delivered"] for hour in range(24)]
                means = [(k * m + e) / (k + d) for m, e, d in zip(means, answered, arrived, strict=True)]
            self.known_weights[place] = tuple(round(mean, 9) for mean in means)
        return self.known_weights[place]
