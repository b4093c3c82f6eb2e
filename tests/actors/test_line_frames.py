"""What goes over a line comes out as it went in."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.answers import NoAnswerInTime
from actors.line_frames import ERRORS, outcomes_as_bytes, outcomes_of, parts_as_bytes, parts_of
from actors.standing import Part
from engine.errors import MadanSaraError, Overloaded, RequestError, ShardUnavailable, StateFault


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50))))
def test_parts_survive_the_way(parts: list[Part]) -> None:
    assert parts_of(parts_as_bytes(parts)) == parts


EXAMPLES: list[MadanSaraError] = [
    MadanSaraError("A fault."),
    RequestError(422, "No.", [("/id", "takes text")]),
    RequestError(400, "No."),
    Overloaded("Full.", 7),
    StateFault("shard-0.sqlite", None, "it is damaged", "Restore it"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way(error: MadanSaraError) -> None:
    (read,) = outcomes_of(outcomes_as_bytes([error]))
    assert isinstance(read, MadanSaraError)
    assert type(read) is type(error)
    assert vars(read) == vars(error)


def test_an_error_that_only_one_side_knows_is_its_nearest_base() -> None:
    (read,) = outcomes_of(outcomes_as_bytes([NoAnswerInTime("The ledger did not answer within 2 s.")]))
    assert type(read) is ShardUnavailable
    assert str(read) == "The ledger did not answer within 2 s."
    assert {"ShardUnavailable", "MadanSaraError", "Fenced"} <= ERRORS.keys()
    with pytest.raises(msgspec.ValidationError, match="no error 'SystemExit'"):
        outcomes_of(msgspec.msgpack.encode([("SystemExit", [])]))
