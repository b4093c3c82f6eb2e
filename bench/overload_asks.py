"""What an overload is made of: single sends or batches, and what each of their answers says."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import msgspec

from bench.answers import BatchAnswer, Decision, Outcome, check_batch
from bench.batches import CAMPAIGN_BODY
from bench.connection import PREFIX
from bench.open_loop import post_request
from bench.population import people, recipient_name, send_body
from bench.result import AnswersWrong
from bench.stream import Request

__all__ = ["Asks", "Batches", "Sends"]


SENDS_BODY: dict[str, Any] = {"budget": {"currency": "USD", "total": "1000000.00"}}


class Asks(Protocol):
    """One of the two. Requests are numbered from 0; no two of them have anything to do with each other."""

    name: str
    campaign: str
    campaign_body: dict[str, Any]
    in_flight: int
    """To measure the capacity with."""
    fastest_per_s: int
    """More requests than any machine here answered."""
    connections: int
    """To open ahead for three times that."""
    decisions: int
    """Of a request."""

    def request(self, host: str, number: int) -> Request:
        """Its bytes."""

    def outcomes(self, number: int, answer: bytes) -> list[Outcome]:
        """What its answer decided, whatever the clock was: it runs on meanwhile. Raises `AnswersWrong` unless that is
        for those who asked, each once."""


class Sends:
    """Single ones, each for a person whom nobody knows yet."""

    name = "sends"
    campaign = "newsletter"
    campaign_body = SENDS_BODY
    in_flight = 192
    fastest_per_s = 5_000
    connections = 512
    decisions = 1

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(Decision)

    def request(self, host: str, number: int) -> Request:
        return b"".join(post_request(f"{PREFIX}/send", host, send_body(self.campaign, number)))

    def outcomes(self, number: int, answer: bytes) -> list[Outcome]:
        decision = self._decoder.decode(answer)
        if decision.recipient_id != recipient_name(number) or decision.status != "scheduled":
            raise AnswersWrong(f"{recipient_name(number)}, whom nobody knew, was answered with {decision}")
        return [Outcome.of(decision, number, self.campaign, "", now=0)]


class Batches:
    """Of `size` people in JSON. The same people are asked about again and again, each time for another message."""

    name = "batches"
    campaign = "spring"
    campaign_body = CAMPAIGN_BODY
    in_flight = 16
    fastest_per_s = 1_000
    connections = 128

    def __init__(self, size: int, groups: int) -> None:
        """Of so many groups of people."""
        self.decisions = size
        self._groups = groups
        self._decoder = msgspec.json.Decoder(BatchAnswer)

    @cached_property
    def _people(self) -> Sequence[bytes]:
        return [people(group * self.decisions, self.decisions) for group in range(self._groups)]

    def request(self, host: str, number: int) -> Request:
        message, group = divmod(number, self._groups)
        head = msgspec.json.encode({"campaign_id": self.campaign, "dedup_key": f"message-{message}"})
        pieces = (head.removesuffix(b"}") + b',"recipients":', self._people[group], b"}")
        return post_request(f"{PREFIX}/send-batch", host, *pieces)

    def outcomes(self, number: int, answer: bytes) -> list[Outcome]:
        message, group = divmod(number, self._groups)
        first, decided = group * self.decisions, self._decoder.decode(answer)
        check_batch(decided, first, self.decisions)
        if "duplicate" in decided.reasons:
            raise AnswersWrong("a batch that was asked about once was answered as a duplicate")
        return [
            Outcome.of(decision, first + position, self.campaign, f"message-{message}", now=0)
            for position, decision in enumerate(decided.results)
        ]
