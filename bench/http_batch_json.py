"""`/send-batch` with 10,000 people a request: decisions a second over HTTP, JSON in and out, beside an echo's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bench import checks
from bench.answers import BatchAnswer, Outcome, check_batch, dollars, micros
from bench.journey import DAY, as_utc
from bench.load import IN_FLIGHT, Load
from bench.peers.echo_run import EchoRun
from bench.population import batch_body, people
from bench.result import AnswersWrong, Result
from bench.server import Server

BATCH = 10_000
BATCHES = 10
REPEATS = 7
TARGET = 100_000
ECHO_TARGET = 0.40
FIRST_DAY = 1_767_225_600  # 2026-01-01T00:00:00Z
CAMPAIGN = "spring"
CAMPAIGN_BODY: dict[str, Any] = {
    "budget": {"currency": "USD", "total": "50000.00", "daily": "5000.00", "per_channel": {"sms": "20000.00"}},
    "costs": {"email": "0.001", "sms": "0.0075", "whatsapp": "0.02", "instagram": "0.005", "facebook": "0.005"},
    "send_window": {"start": "08:00", "end": "21:00"},
}
SCARCE = "scarce"
SCARCE_MESSAGES = 5_000


class Measured(NamedTuple):
    """One server's run, its answers checked."""

    rates: list[float]
    """Decisions a second: on first contact, and of each repeat."""
    blocked: dict[str, int]
    scheduled_share: float
    bytes_a_person: int
    bytes_a_request: int
    bytes_an_answer: int


def http_batch_json() -> Result:
    """Closed loop with four batches in flight; every answer of every repeat checked afterwards.

    The echo gets each round's bodies after the product, so that both meet the same machine.
    """
    with Server("--clock", "manual") as server, EchoRun() as echo:
        measured = measure(server, echo.ask)
    known, first_contact = sorted(measured.rates[1:]), measured.rates[0]
    echoed = sorted(echo.rates[-REPEATS:])
    middle, echo_middle = median(known), median(echoed)
    ratio = middle / echo_middle
    return Result(
        name="http_batch_json",
        headline=f"{middle:,.0f} decisions a second ({known[0]:,.0f} to {known[-1]:,.0f}); "
        f"{first_contact:,.0f} on first contact; {ratio:.2f} of a do-nothing echo ({echo_middle:,.0f})",
        target=f"{TARGET:,} a second and {ECHO_TARGET:.2f} of the echo",
        reached=middle >= TARGET and ratio >= ECHO_TARGET,
        method=f"{BATCHES} batches of {BATCH:,} different people, {IN_FLIGHT} in flight, {measured.bytes_a_person} "
        f"bytes a person; {REPEATS} repeats a day apart after warm-up and first contact, median (range); "
        f"{measured.scheduled_share:.1%} scheduled; generator on the same cores; every answer checked; "
        f"the echo: Litestar and msgspec, {echo.processes} processes, the same bodies in turn; it decides nothing and "
        "writes nothing down",
        figures={
            "decisions_per_s": round(middle),
            "decisions_per_s_range": [round(known[0]), round(known[-1])],
            "decisions_per_s_first_contact": round(first_contact),
            "ratio_to_echo": round(ratio, 3),
            "echo_per_s": round(echo_middle),
            "echo_per_s_range": [round(echoed[0]), round(echoed[-1])],
            "echo_processes": echo.processes,
            "echo_bytes_an_answer": echo.bytes_an_answer,
            "batch": BATCH,
            "batches": BATCHES,
            "repeats": REPEATS,
            "in_flight": IN_FLIGHT,
            "bytes_a_request": measured.bytes_a_request,
            "bytes_an_answer": measured.bytes_an_answer,
            "blocked": measured.blocked,
        },
    )


def measure(server: Server, beside: Callable[[Sequence[bytes], Sequence[int], int], None] | None = None) -> Measured:
    """Sends all of it to a server under the manual clock that knows nobody. Raises `AnswersWrong`.

    `beside` is called after the warm-up and after each round with its bodies, the first person of each and how many
    each has.
    """
    strangers = range(BATCHES * BATCH, (BATCHES + 2) * BATCH, BATCH)
    warm_up = [batch_body(CAMPAIGN, dedup_key(0), people(first, BATCH)) for first in strangers]
    firsts = range(0, BATCHES * BATCH, BATCH)
    crowd = [people(first, BATCH) for first in firsts]
    days = [[batch_body(CAMPAIGN, dedup_key(day), some) for some in crowd] for day in range(REPEATS + 1)]
    rounds: list[tuple[float, list[bytes]]] = []
    with Load(server) as load:
        load.first.set_clock(as_utc(FIRST_DAY))
        load.first.put(f"/campaigns/{CAMPAIGN}", CAMPAIGN_BODY)
        _, warmed = load.send(warm_up)
        if beside is not None:
            beside(warm_up, strangers, BATCH)
        for day, bodies in enumerate(days):
            load.first.set_clock(as_utc(FIRST_DAY + day * DAY))
            rounds.append(load.send(bodies))
            if beside is not None:
                beside(bodies, firsts, BATCH)
        status = load.first.get(f"/campaigns/{CAMPAIGN}/status")
        load.first.put(f"/campaigns/{SCARCE}", _scarce_body())
        scarce = load.first.post("/send-batch", batch_body(SCARCE, SCARCE, people(2 * strangers.stop, BATCH)))
    answered = [(first, 0, raw) for first, raw in zip(strangers, warmed, strict=True)]
    for day, (_, answers) in enumerate(rounds):
        answered += [(first, day, raw) for first, raw in zip(firsts, answers, strict=True)]
    blocked = _check(answered, status, scarce)
    return Measured(
        rates=[BATCHES * BATCH / seconds for seconds, _ in rounds],
        blocked=blocked,
        scheduled_share=1 - sum(blocked.values()) / (len(answered) * BATCH),
        bytes_a_person=len(crowd[0]) // BATCH,
        bytes_a_request=len(days[0][0]),
        bytes_an_answer=len(rounds[0][1][0]),
    )


def dedup_key(day: int) -> str:
    """Each day has its own message, or most of the next day's would be duplicates and cheap."""
    return f"day-{day}"


def _scarce_body() -> dict[str, Any]:
    """Money for exactly so many messages."""
    return {"channels": {"allowed": ["email"]}, "costs": {"email": "0.001"},
            "budget": {"total": dollars(SCARCE_MESSAGES * 1000)}}  # fmt: skip


def _check(answered: list[tuple[int, int, bytes]], status: dict[str, Any], scarce: bytes) -> dict[str, int]:
    """Checks every answer; (first person, day, answer) each, in the order of the decisions. Blocked by reason.

    Everyone answered once and in order, counts right, caps, gaps, keys and budgets kept, status their sum.
    """
    decoder = msgspec.json.Decoder(BatchAnswer)
    outcomes: list[Outcome] = []
    for first, day, raw in answered:
        answer = decoder.decode(raw)
        check_batch(answer, first, BATCH)
        outcomes += _outcomes(answer, first, day)
    campaigns = {CAMPAIGN: CAMPAIGN_BODY}
    faults = [
        *checks.check_caps(outcomes, campaigns),
        *checks.check_duplicates(outcomes, campaigns),
        *checks.check_budgets(outcomes, campaigns, offsets=np.zeros_like),
        *checks.check_statuses(outcomes, [], {CAMPAIGN: status}),
    ]
    if decoder.decode(scarce).counts["scheduled"] != SCARCE_MESSAGES:
        faults.append(f"money for {SCARCE_MESSAGES} messages gave {decoder.decode(scarce).counts}")
    if faults:
        raise AnswersWrong(f"{len(faults)} faults, the first: {faults[0]}")
    return dict(Counter(outcome.reason for outcome in outcomes if outcome.reason is not None))


def _outcomes(answer: BatchAnswer, first: int, day: int) -> list[Outcome]:
    return [
        Outcome(
            household=first + position,
            campaign=CAMPAIGN,
            dedup_key=dedup_key(day),
            now=FIRST_DAY + day * DAY,
            status=decision.status,
            reason=decision.reason,
            channel=decision.channel,
            at=int(decision.scheduled_at.timestamp()) if decision.scheduled_at is not None else None,
            local_minute=None,
            cost=micros(decision.cost) if decision.cost is not None else 0,
            quiet=(0, 0),
        )
        for position, decision in enumerate(answer.results)
    ]
