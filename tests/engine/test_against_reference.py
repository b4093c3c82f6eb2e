"""The engine and the reference model, given the same commands, must give the same answers.

Seeded duels bring the volume (`tests/volume.py`; `make test-long` fights fresh seeds by the million). Hypothesis
brings small histories and shrinks what it finds. After every command the money is added up anew.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.audited_duel import AuditedDuel
from tests.engine_in_process import DEFAULTS, EngineInProcess
from tests.strategies import Draws
from tests.volume import COURSES, OUTCOMES, fight_until

LONG = os.environ.get("MADAN_SARA_LONG") == "1"
DECISIONS = 150_000


def test_every_answer_is_the_models() -> None:
    """On 1, 3 and 7 shards. A failure names the command that finds it again."""
    score = fight_until(DECISIONS, first=0)
    print(f"{score.decisions} decisions: {dict(score.tally)}, on {dict(score.by_course)}")
    assert score.decisions >= DECISIONS
    assert len(score.tally) == OUTCOMES
    assert len(score.by_course) == len(set(COURSES))


class SmallHistory(RuleBasedStateMachine):
    """A few people and campaigns, one command at a time."""

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.duel = AuditedDuel(EngineInProcess(), DEFAULTS, Draws(data.draw), people=4, campaigns=3)
        self.duel.burst = 8
        self.duel.put_campaign()

    def draw(self, data: st.DataObject) -> AuditedDuel:
        self.duel.choices = Draws(data.draw)
        return self.duel

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        self.draw(data).send()

    @rule(data=st.data())
    def batch(self, data: st.DataObject) -> None:
        self.draw(data).batch(size_max=5)

    @rule(data=st.data())
    def move_time(self, data: st.DataObject) -> None:
        self.draw(data).move_time()

    @rule(data=st.data())
    def put_campaign(self, data: st.DataObject) -> None:
        self.draw(data).put_campaign()

    @rule(data=st.data())
    def pause_or_resume(self, data: st.DataObject) -> None:
        self.draw(data).pause_or_resume()

    @rule(data=st.data())
    def put_recipient(self, data: st.DataObject) -> None:
        self.draw(data).put_recipient()

    @rule(data=st.data())
    def suppress_or_lift(self, data: st.DataObject) -> None:
        duel = self.draw(data)
        (duel.suppress if duel.choices.chance(60) else duel.lift)()

    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        self.draw(data).erase()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.draw(data).cancel()

    @rule(data=st.data())
    def events(self, data: st.DataObject) -> None:
        self.draw(data).events()

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        self.draw(data).read()

    @invariant()
    def balances(self) -> None:
        if hasattr(self, "duel"):
            self.duel.audit()

    def teardown(self) -> None:
        if hasattr(self, "duel") and not self.duel.differs:
            self.duel.read_all()


SmallHistory.TestCase.settings = settings(
    max_examples=1000 if LONG else 60, stateful_step_count=30, deadline=None, derandomize=not LONG, print_blob=True
)
TestSmallHistories = SmallHistory.TestCase
