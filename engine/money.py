"""Money: a decimal string outside, an int64 of micro-units inside, never a float.

A budget, a cost or a value is below 10^12 units of its currency, that is 10^18 micro-units; nine of the
largest fit an int64 (below 9.22 x 10^18), and the Rust core checks every addition it makes.
"""

from __future__ import annotations

import re

__all__ = ["AMOUNT_MAX", "AMOUNT_PATTERN", "AMOUNT_TAKES", "MICRO", "format_amount", "parse_amount"]

MICRO = 1_000_000
"""Micro-units in one unit of currency."""

AMOUNT_MAX = 10**18 - 1
"""In micro-units."""

AMOUNT_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"
AMOUNT_TAKES = (
    'takes an amount as a decimal string such as "12.50", from 0 to below 10^12, with up to 6 fraction digits'
)

_AMOUNT = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,6}))?")


def parse_amount(text: str) -> int:
    """Micro-units of a decimal string; `ValueError` says what an amount takes.

    >>> parse_amount("12.50"), parse_amount("0.0075")
    (12500000, 7500)
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError(AMOUNT_TAKES)
    units, fraction = match.group(1), match.group(2) or ""
    return int(units) * MICRO + int(fraction.ljust(6, "0"))


def format_amount(micro: int) -> str:
    """The decimal string of micro-units: at least two fraction digits, no surplus zeros, `-` if negative.

    >>> format_amount(0), format_amount(12_500_000), format_amount(7_500)
    ('0.00', '12.50', '0.0075')
    """
    units, fraction = divmod(abs(micro), MICRO)
    digits = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro < 0 else ''}{units}.{digits}"
