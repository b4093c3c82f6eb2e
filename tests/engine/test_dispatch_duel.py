"""Claims, starts and reports by the model, in duels that dispatch most of the time."""

from __future__ import annotations

import msgspec
import pytest

from engine.config import load_settings
from tests.audited_duel import AuditedDuel
from tests.dispatch_duel import STRICT
from tests.engine_in_process import EngineInProcess
from tests.strategies import Dice


class DispatcherDuel(AuditedDuel):
    """Every other command is a dispatcher's."""

    def step(self, size_max: int) -> None:
        if self.choices.chance(50):
            self.dispatch()
            self.audit()
            self.write_down()
        else:
            super().step(size_max)


@pytest.mark.parametrize("shards", [1, 3])
def test_dispatchers_get_what_the_model_says(shards: int) -> None:
    """All that can be said was said, and counted; and once in a while it did not."""
    dispatched = set[str]()
    for seed in range(32):
        print(f"seed {seed}")
        settings = load_settings(environment={}, options=STRICT if seed % 4 else {})
        system, table = EngineInProcess(shards, settings), msgspec.to_builtins(settings)
        duel = DispatcherDuel(system, table, Dice(seed), people=30, campaigns=5)
        duel.scarce = duel.queues = shards == 1
        for _ in range(150):
            duel.step(size_max=20)
        duel.read_all()
        dispatched |= {what for what, count in duel.dispatched.items() if count}
        states = {message.state for message in duel.model.messages.values()}
        dispatched |= states | {"charged" for message in duel.model.messages.values() if message.charges}
        dispatched |= {"given up" for message in duel.model.messages.values() if message.given_up}
    outcomes = {"claimed", "started", "abandoned", "charged", "given up", "taken back", "settled", "given up failed"}
    outcomes |= {"reported accepted on nobody"}
    outcomes |= {f"reported {said}" for said in ("accepted", "rejected", "later", "unknown")}
    outcomes |= {f"reported {said} when unknown" for said in ("accepted", "rejected", "later")}
    assert dispatched >= outcomes | {"sent", "delivered", "failed", "unknown", "cancelled", "expired"}
