"""Three times the load that can be answered: what is answered meanwhile, what is refused, and how long both wait."""

from __future__ import annotations

from statistics import median

from bench.latency import latency_ms
from bench.overload_asks import Asks, Batches, Sends
from bench.overload_run import CALM, CALM_S, CAPACITY_S, OVERLOAD_S, ROUNDS, TIMES, Overloaded, overload_with
from bench.result import Result

__all__ = ["overload"]

BATCH = 1_000
GROUPS = 100
GOODPUT_TARGET = 0.70
LONGEST_TARGET_MS = 2_000
RECOVERED_TARGET_S = 1.0


def overload() -> Result:
    """Single sends, then batches of JSON; each against a server with embedded defaults."""
    figures: dict[str, object] = {}
    rows, headlines, reached = [], [], True
    for asks in (Sends(), Batches(BATCH, GROUPS)):
        overloaded = overload_with(asks)
        told = _figures(asks, overloaded)
        reached = reached and _is_reached(told)
        figures[asks.name] = {**told, "first_failures": overloaded.failures[:5]}
        headlines.append(
            f"{asks.name}: {told['goodput_ratio']:.2f} of the capacity, p99 {told['answered_p99_ms']:.0f} ms"
        )
        rows += [(asks.name, sentence) for sentence in _sentences(told, overloaded.failures)]
    return Result(
        name="overload",
        headline="; ".join(headlines),
        target=f"{GOODPUT_TARGET:.2f} of the capacity, answers within {LONGEST_TARGET_MS / 1000:.0f} s, no failures",
        reached=reached,
        method=f"single sends, a new person each, and batches of {BATCH:,} in JSON; {ROUNDS} rounds of: capacity "
        f"(closed loop, {CAPACITY_S:.0f} s), then open loop, {CALM:.0%} of it for {CALM_S:.0f} s, {TIMES:.0f} times as "
        f"much for {OVERLOAD_S:.0f} s, {CALM:.0%} for {CALM_S:.0f} s; medians of the rounds; latency from the instant "
        "a request is due, of all rounds; generator on the same cores; answers checked, the status against their sum",
        figures=figures,
        rows=tuple(rows),
    )


def _figures(asks: Asks, overloaded: Overloaded) -> dict[str, float]:
    rounds = overloaded.rounds
    waits = {
        name: latency_ms([seconds for one in rounds for seconds in getattr(one, f"{name}_s")])
        for name in ("answered", "refused", "before", "after")
    }
    goodputs = sorted(one.goodput for one in rounds)
    refused = sum(len(one.refused_s) for one in rounds)
    return {
        "capacity_per_s": round(median(one.capacity_per_s for one in rounds), 1),
        "offered_per_s": round(median(one.offered_per_s for one in rounds), 1),
        "answered_per_s": round(median(one.answered_per_s for one in rounds), 1),
        "decisions_a_request": asks.decisions,
        "goodput_ratio": round(median(goodputs), 3),
        "goodput_ratio_worst": round(goodputs[0], 3),
        "refused_share": round(refused / sum(one.offered for one in rounds), 3),
        **{
            f"{name}_{key}_ms": latency.get(key, 0.0)
            for name, latency in waits.items()
            for key in ("p50", "p99", "max")
        },
        "recovered_s": round(max(one.recovered_s for one in rounds), 3),
        "failures": len(overloaded.failures),
        "repeated": overloaded.repeated,
        "connections": max(one.connections for one in rounds),
        "decisions": overloaded.decisions,
        "scheduled_share": round(overloaded.scheduled / overloaded.decisions, 3),
    }


def _is_reached(told: dict[str, float]) -> bool:
    return (
        told["goodput_ratio"] >= GOODPUT_TARGET
        and max(told["answered_max_ms"], told["refused_max_ms"]) <= LONGEST_TARGET_MS
        and told["recovered_s"] <= RECOVERED_TARGET_S
        and told["failures"] == 0
    )


def _sentences(told: dict[str, float], failures: list[str]) -> list[str]:
    return [
        f"{told['offered_per_s']:,.0f} offered a second, {told['answered_per_s']:,.0f} answered of a capacity of "
        f"{told['capacity_per_s']:,.0f} (worst round {told['goodput_ratio_worst']:.2f}), {told['refused_share']:.0%} "
        f"refused with Retry-After, {told['failures']:.0f} failures"
        + (f", the first: {failures[0]}" if failures else ""),
        f"answered: p50 {told['answered_p50_ms']:.0f} ms, p99 {told['answered_p99_ms']:.0f}, longest "
        f"{told['answered_max_ms']:.0f}; refused: {told['refused_p50_ms']:.0f}, {told['refused_p99_ms']:.0f}, "
        f"{told['refused_max_ms']:.0f}",
        f"before it: p50 {told['before_p50_ms']:.0f} ms, p99 {told['before_p99_ms']:.0f}; in the {CALM_S:.0f} s "
        f"after it: {told['after_p50_ms']:.0f} and {told['after_p99_ms']:.0f}, the last refusal "
        f"{told['recovered_s']:.2f} s after its end; {told['repeated']:.0f} of those refused answered when they came "
        "again",
    ]
