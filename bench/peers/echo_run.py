"""The echo beside the product: the same bodies from the same load generator, in turn with the product's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import msgspec

from bench.answers import BatchAnswer, check_batch
from bench.batch_form import Ask
from bench.load import Load
from bench.machine import cores
from bench.peers.echo import EchoServer
from bench.result import AnswersWrong


class EchoRun:
    """Its processes, as many as cores, from entering to leaving; `rates` holds the answers a second of each round."""

    def __init__(self) -> None:
        self.processes = cores()
        self.rates: list[float] = []
        self.bytes_an_answer = 0

    def __enter__(self) -> EchoRun:
        with ExitStack() as stack:
            servers = [stack.enter_context(EchoServer()) for _ in range(self.processes)]
            self._load = stack.enter_context(Load(*servers))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, asks: Sequence[Ask], firsts: Sequence[int], size: int) -> None:
        """One round: each asks for the `size` people from its first on. Raises `AnswersWrong`."""
        seconds, answers, _ = self._load.send(asks)
        for first, raw in zip(firsts, answers, strict=True):
            answer = msgspec.json.decode(raw, type=BatchAnswer)
            check_batch(answer, first, size)
            if answer.counts["scheduled"] != size:
                raise AnswersWrong("the echo did not give everyone its one answer")
        self.rates.append(len(asks) * size / seconds)
        self.bytes_an_answer = len(answers[0])
