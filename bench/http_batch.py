"""`/send-batch` with 10,000 people a request: decisions a second over HTTP in JSON and in Arrow, beside an echo's."""

from __future__ import annotations

from statistics import median

from bench.batch_form import ARROW, JSON, BatchForm
from bench.batches import BATCH, BATCHES, REPEATS, measure
from bench.load import IN_FLIGHT
from bench.peers.echo_run import EchoRun
from bench.result import Result
from bench.server import Server

JSON_TARGET = 0.40
ARROW_TARGET = 0.80


def http_batch_json() -> Result:
    """JSON in and out."""
    return _http_batch("http_batch_json", JSON, JSON_TARGET)


def http_batch_arrow() -> Result:
    """Arrow streams in and out; the echo stays JSON's."""
    return _http_batch("http_batch_arrow", ARROW, ARROW_TARGET)


def _http_batch(name: str, form: BatchForm, target: float) -> Result:
    """Closed loop with four batches in flight; every answer of every repeat checked afterwards.

    The echo gets the same people after each round of the product, so that both meet the same machine.
    """
    with Server("--clock", "manual") as server, EchoRun() as echo:
        measured = measure(server, form, echo.ask)
    known, first_contact = sorted(measured.rates[1:]), measured.rates[0]
    echoed = sorted(echo.rates[-REPEATS:])
    middle, echo_middle = median(known), median(echoed)
    ratio = middle / echo_middle
    return Result(
        name=name,
        headline=f"{middle:,.0f} decisions a second ({known[0]:,.0f} to {known[-1]:,.0f}); "
        f"{first_contact:,.0f} on first contact; {ratio:.2f} of a do-nothing echo of JSON ({echo_middle:,.0f})",
        target=f"{target:.2f} of the echo",
        reached=ratio >= target,
        method=f"{BATCHES} batches of {BATCH:,} different people, {IN_FLIGHT} in flight, {measured.bytes_a_person} "
        f"bytes a person; {REPEATS} repeats a day apart after warm-up and first contact, median (range); "
        f"{measured.scheduled_share:.1%} scheduled; generator on the same cores; every answer checked; "
        f"the echo: Litestar and msgspec, {echo.processes} processes, the same people in JSON in turn; it decides "
        "nothing and writes nothing down",
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
