"""What the peers that only know caps are asked: may this person have one more message now?

Everyone asks four times within seconds, nobody twice in a row: three times yes, then no.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from bench.checks import DAILY_CAP
from bench.population import recipient_name
from bench.result import AnswersWrong

PEOPLE = 5_000
REPEATS = 3
ASKS = DAILY_CAP + 1

Admit = Callable[[Sequence[str]], list[bool]]
"""Asks for these people in order."""


def rates(make: Callable[[], Admit]) -> list[float]:
    """Checks a second of each repeat after one that warms up, each a new one of `make`. Raises `AnswersWrong`."""
    return [ask_everyone(make(), repeat * PEOPLE, PEOPLE) for repeat in range(REPEATS + 1)][1:]


def ask_everyone(admit: Admit, first: int, size: int) -> float:
    """Checks a second for so many people, who never asked before."""
    people = [recipient_name(number) for number in range(first, first + size)]
    asks = people * ASKS
    began = perf_counter()
    admitted = admit(asks)
    seconds = perf_counter() - began
    if admitted != [True] * size * DAILY_CAP + [False] * size:
        raise AnswersWrong(f"someone had not exactly {DAILY_CAP} of {ASKS} messages in a day")
    return len(asks) / seconds
