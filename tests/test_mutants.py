"""The faults that `python -m tests.mutants` seeds: each still has its place. That they are found takes an hour."""

from __future__ import annotations

from pathlib import Path

from tests.mutants import dispatch, durability, table

ROOT = Path(__file__).parents[1]


def test_every_fault_has_its_place() -> None:
    mutants = (*table.MUTANTS, *dispatch.MUTANTS, *durability.MUTANTS)
    texts = {mutant.file: (ROOT / mutant.file).read_text("utf-8") for mutant in mutants}
    stands = {mutant.name: texts[mutant.file].count(mutant.old) for mutant in mutants}
    assert {name: times for name, times in stands.items() if times != 1} == {}
    named = {test.partition("::")[0] for mutant in mutants for test in mutant.tests}
    assert {test for test in named if not (ROOT / test).exists()} == set()
