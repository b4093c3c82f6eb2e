"""`/send` at 1,000 a second: how long a person waits for one decision."""

from __future__ import annotations

import msgspec

from bench.answers import Decision
from bench.connection import PREFIX, Connection
from bench.latency import latency_ms
from bench.open_loop import Answers, post_request, send_at_rate
from bench.population import recipient_name, send_body
from bench.result import AnswersWrong, Result
from bench.server import Server

PER_SECOND = 1_000
WARM_UP_S = 3
MEASURED_S = 15
P99_TARGET_MS = 25
CAMPAIGN = "newsletter"


def http_send() -> Result:
    """Open loop against a server with embedded defaults; every answer checked afterwards."""
    with Server() as server:
        answers = send_singly(server, PER_SECOND, WARM_UP_S, MEASURED_S)
    latency = latency_ms(answers.seconds)
    failures = len(answers.failures)
    return Result(
        name="http_send",
        headline=f"p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms, longest {latency['max']:.1f} ms, "
        f"{answers.achieved_per_s:.0f} answered a second, "
        f"{failures} failures" + (f", the first: {answers.failures[0]}" if failures else ""),
        target=f"p99 of {P99_TARGET_MS} ms, no failures",
        reached=latency["p99"] <= P99_TARGET_MS and failures == 0,
        method=f"open loop, {PER_SECOND:,} a second for {MEASURED_S} s after {WARM_UP_S} s of warm-up, one new person "
        f"a request; latency from the instant a request is due; {answers.connections} connections",
        figures={
            "p50_ms": latency["p50"],
            "p99_ms": latency["p99"],
            "longest_ms": latency["max"],
            "asked_per_s": PER_SECOND,
            "achieved_per_s": round(answers.achieved_per_s, 1),
            "requests": PER_SECOND * MEASURED_S,
            "failures": failures,
            "first_failures": answers.failures[:5],
            "connections": answers.connections,
        },
    )


def send_singly(server: Server, per_second: int, warm_up_s: int, measured_s: int) -> Answers:
    """A new person a request, so many seconds before it counts and then. Raises `AnswersWrong`."""
    warm_up, measured = per_second * warm_up_s, per_second * measured_s
    connection = Connection(server.host, server.port)
    connection.put(f"/campaigns/{CAMPAIGN}", {"budget": {"total": "1000000.00"}})
    connection.close()
    requests = [
        post_request(f"{PREFIX}/send", server.host, send_body(CAMPAIGN, number)) for number in range(warm_up + measured)
    ]
    send_at_rate(server.host, server.port, requests[:warm_up], per_second)
    answers = send_at_rate(server.host, server.port, requests[warm_up:], per_second)
    _check(answers, warm_up, measured)
    return answers


def _check(answers: Answers, first: int, count: int) -> None:
    if not answers.bodies:
        raise AnswersWrong(f"every request failed, the first with: {answers.failures[0]}")
    decoder = msgspec.json.Decoder(Decision)
    decisions = [decoder.decode(body) for body in answers.bodies]
    asked = {recipient_name(number) for number in range(first, first + count)}
    answered = [decision.recipient_id for decision in decisions]
    if len(set(answered)) != len(answered) or not asked.issuperset(answered):
        raise AnswersWrong("some answer is for someone who did not ask, or came twice")
    if any(decision.status not in {"scheduled", "blocked"} for decision in decisions):
        raise AnswersWrong("some answer is neither scheduled nor blocked")
