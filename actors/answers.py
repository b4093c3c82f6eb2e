"""Waiting for an actor's answer, and what it means when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, TypeVar, cast

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayActorError, RayTaskError

from engine.errors import MadanSaraError, ShardUnavailable

__all__ = [
    "ActorGone",
    "ActorUnreachable",
    "NoAnswerInTime",
    "answer_of",
    "check_decided",
    "unless_unavailable",
    "wait_for_answer",
]

A = TypeVar("A")


class ActorUnreachable(ShardUnavailable):
    """No answer: the call may have run or not, or may yet run; the actor may come back."""


class NoAnswerInTime(ActorUnreachable):
    """The actor lives, as far as is known."""


class ActorGone(ShardUnavailable):
    """No answer, and the actor will never come back."""


async def answer_of(reference: Any, who: str, timeout_s: float) -> Any:
    """Awaits an actor's answer. The call itself is never cancelled."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(reference.future()), timeout_s)
    except (TimeoutError, RayActorError, RayTaskError) as error:
        raise _meaning(error, who, timeout_s) from None


def wait_for_answer(reference: Any, who: str, timeout_s: float) -> Any:
    """As `answer_of`, where there is no event loop."""
    try:
        return ray.get(reference, timeout=timeout_s)
    except (GetTimeoutError, RayActorError, RayTaskError) as error:
        raise _meaning(error, who, timeout_s) from None


async def unless_unavailable(call: Awaitable[Sequence[A | MadanSaraError]]) -> A | None:
    """The one answer of a call that asks for one; None where the shard could not give it, or does not answer.

    Raises any other error that stands in its place.
    """
    try:
        (outcome,) = await call
    except ShardUnavailable:
        return None
    if isinstance(outcome, ShardUnavailable):
        return None
    if isinstance(outcome, MadanSaraError):
        raise outcome
    return outcome


def check_decided(tally: Iterable[tuple[str, str, int]]) -> None:
    """Raises `ShardUnavailable` for a single send whose shard answered, and could not decide without the ledger."""
    if any(status == "unavailable" for status, _, _ in tally):
        raise ShardUnavailable("The decision hangs on the budget ledger, which does not answer.")


def _meaning(error: Exception, who: str, timeout_s: float) -> Exception:
    """What to raise: what the actor itself raised where it answered with an error."""
    match error:
        case RayTaskError():
            cause = cast("Exception | None", error.cause)
            return cause if isinstance(cause, MadanSaraError) else error
        case ActorDiedError():
            return ActorGone(f"The {who} is gone for good.")
        case RayActorError():
            return ActorUnreachable(f"The {who} is starting again.")
    return NoAnswerInTime(f"The {who} did not answer within {timeout_s:g} s.")
