"""What the compiler learns from: that it runs, and that the figures say whether it was learned from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import training
from bench.machine import this_machine
from engine._core import PROFILE_GUIDED
from engine.orchestrator import Orchestrator


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work in small."""
    for name, size in {"BATCH": 100, "BATCHES": 2, "DAYS": 2, "ROUNDS_OF_SENDS": 3, "RESTARTS": 1}.items():
        monkeypatch.setattr(training, name, size)


@pytest.mark.usefixtures("short")
def test_it_decides_writes_and_reads_all_that_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []
    end_load = Orchestrator.end_load

    def watched(self: Orchestrator) -> None:
        end_load(self)
        read.append(self.sizes())

    monkeypatch.setattr(Orchestrator, "end_load", watched)
    training.train()
    # Nothing at first; in the end 200 people of batches and 15 of single sends who were not among them.
    assert [people for people, _ in read] == [0, 215]


@pytest.mark.usefixtures("short")
def test_it_ends_where_something_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.Disk, "write", lambda self, core: None)
    with pytest.raises(RuntimeError, match="not what was written"):
        training.train()


def test_a_machine_says_whether_its_core_is_profile_guided() -> None:
    machine = this_machine()
    assert machine.profile_guided is PROFILE_GUIDED
    said = [
        "core profile-guided" in " ".join(replace(machine, profile_guided=guided).lines()) for guided in (True, False)
    ]
    assert said == [True, False]
