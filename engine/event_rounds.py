"""Events over all shards: an id is taken once, for the message that came first with it.

    1  the message's shard    is the message there?
    2  the id's home          whose is the id? The first message that is there has it.
    3  the message's shard    apply it, once

Whatever breaks off in between, the request can be repeated: a binding meets itself again, and step 3 applies once. An
id that came for no message is not remembered; where the message went between 1 and 3, the id is freed again.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from engine.event import Event
from engine.router import Router

__all__ = ["Round", "Rounds", "take_events"]


class Round(NamedTuple):
    """A method of `engine.orchestrator.Orchestrator` to be called on each shard: (rows, *arguments)."""

    method: str
    rows: dict[int, list[Any]]
    arguments: tuple[int, ...] = ()


Rounds = Generator[Round, dict[int, list[Any]], list[str]]
"""Yields rounds, wants the answers by shard, one a row, and returns the status of each event."""


def take_events(router: Router, events: Sequence[Event], now: int) -> Rounds:
    """The rounds that take `events`, in order, at `now`."""
    shards = [router.shard_of_message(event.message_id) for event in events]
    homes = [router.home_of(event.id) for event in events]
    pairs = [(event.id, event.message_id) for event in events]
    there = yield from _ask("has_messages", shards, pairs)
    owners = yield from _ask("bind_events", homes, [_claimed(*both) for both in zip(pairs, there, strict=True)])
    own = [owner == message for owner, (_, message) in zip(owners, pairs, strict=True)]
    applicable = [_if(mine and found, shard) for mine, found, shard in zip(own, there, shards, strict=True)]
    applied = yield from _ask("apply_events", applicable, events, now)
    statuses = [_status(*all_three) for all_three in zip(applied, owners, own, strict=True)]
    in_vain = [_if(mine and status == "unknown", home) for mine, status, home in zip(own, statuses, homes, strict=True)]
    yield from _ask("unbind_events", in_vain, pairs)
    return statuses


def _claimed(pair: tuple[str, str], found: bool | None) -> tuple[str, str | None]:
    return pair if found else (pair[0], None)


def _if(condition: bool | None, shard: int | None) -> int | None:
    return shard if condition else None


def _status(applied: str | None, owner: str | None, own: bool) -> str:
    if applied is not None:
        return applied
    return "unknown" if own or owner is None else "seen"


def _ask(
    method: str, shards: Sequence[int | None], rows: Sequence[Any], *arguments: int
) -> Generator[Round, dict[int, list[Any]], list[Any]]:
    """One round over the rows that have a shard; None is the answer for the others."""
    places: dict[int, list[int]] = {}
    for place, shard in enumerate(shards):
        if shard is not None:
            places.setdefault(shard, []).append(place)
    answers: list[Any] = [None] * len(rows)
    if places:
        found = yield Round(method, {shard: [rows[p] for p in at] for shard, at in places.items()}, arguments)
        for shard, at in places.items():
            for place, answer in zip(at, found[shard], strict=True):
                answers[place] = answer
    return answers
