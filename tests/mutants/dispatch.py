"""Faults in the rules of delivery; see `tests.mutants.table`."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

DISPATCH = ("tests/engine/test_dispatch.py",)
CHARGE = ("tests/engine/test_charge.py",)
SILENCE = ("tests/engine/test_silence.py",)
SEGMENTS = ("tests/engine/test_segment_costs.py",)
FILE = "engine/src/dispatch.rs"

MUTANTS = (
    Mutant(
        "dispatch: what was started waits as if it had not been",
        FILE,
        "} else if claim.is_some_and(|claim| claim.started) {",
        "} else if claim.is_some_and(|claim| claim.started && claim.until == i64::MIN) {",
        DISPATCH,
    ),
    Mutant(
        "dispatch: a claim may be started when it is over",
        FILE,
        ".filter(|held| now < held.until);",
        ".filter(|held| now <= held.until);",
        DISPATCH,
    ),
    Mutant(
        "dispatch: an earlier claim counts",
        "engine/src/deliveries.rs",
        "self.get(message).filter(|delivery| delivery.claims == number)?.claim",
        "self.get(message).filter(|delivery| delivery.claims >= number)?.claim",
        DISPATCH,
    ),
    Mutant(
        "dispatch: a pause does not hold what is claimed",
        FILE,
        "if !is_active || !self.reaches(index, now)",
        "if is_active && !self.reaches(index, now)",
        DISPATCH,
    ),
    Mutant(
        "dispatch: what may be out is tried elsewhere",
        FILE,
        "        if message.may_be_out() {\n"
        "            self.deliveries.change(index, |delivery| delivery.again = false);\n"
        "            return Standing::Moved;\n        }\n",
        "",
        DISPATCH,
    ),
    Mutant(
        "dispatch: a late message goes as it is",
        FILE,
        "now >= message.scheduled_at.saturating_add(LATE_S)",
        "now > message.scheduled_at.saturating_add(LATE_S)",
        DISPATCH,
    ),
    Mutant(
        "dispatch: caps count when it was scheduled",
        FILE,
        "history.insert(Entry { at: now, message: index, key, channel, counted });",
        "history.insert(Entry { at: self.messages.get(index).scheduled_at, message: index, key, channel, counted });",
        DISPATCH,
    ),
    Mutant(
        "dispatch: who refuses meanwhile gets it all the same",
        FILE,
        "            if refused {\n",
        "            if refused && now == i64::MIN {\n",
        DISPATCH,
    ),
    Mutant(
        "dispatch: bad news of the attempt before ends the next",
        "engine/src/events.rs",
        "last.filter(|_| is_dispatched && goes_on)",
        "last.filter(|_| is_dispatched && goes_on && message.channel == Channel::Twitter)",
        DISPATCH,
    ),
    Mutant(
        "dispatch: what was not made is charged",
        "engine/src/charges.rs",
        "let is_charged = self.was_made(index) && ",
        "let is_charged = (self.was_made(index) || true) && ",
        CHARGE,
    ),
    Mutant(
        "dispatch: a charge is not spent",
        "engine/src/shard.rs",
        "        channel.spent += charge.cost;\n",
        "",
        CHARGE,
    ),
    Mutant(
        "dispatch: a charge is forgotten by the next life",
        "engine/src/restoring.rs",
        "charge.day, charge.cost).ok_or(TOO_MUCH)?;",
        "charge.day, 0).ok_or(TOO_MUCH)?;",
        CHARGE,
    ),
    Mutant(
        "dispatch: the next attempt is paid with what was charged",
        "engine/src/fallback.rs",
        "chain, Some(self.comes_back(index)), now",
        "chain, Some(self.messages.get(index).place()), now",
        CHARGE,
    ),
    Mutant(
        "dispatch: a new life claims nothing anew",
        FILE,
        "self.end_claims(i64::MAX, now, deduplicates);",
        "self.end_claims(now, now, deduplicates);",
        DISPATCH,
    ),
    Mutant(
        "silence: the limit is a second longer",
        "engine/src/deliveries.rs",
        "filter(|(by, _)| *by <= now)",
        "filter(|(by, _)| *by < now)",
        SILENCE,
    ),
    Mutant(
        "silence: late news leaves what waits",
        "engine/src/silence.rs",
        "if !waits || self.was_made(index) {",
        "if waits || self.was_made(index) {",
        SILENCE,
    ),
    Mutant(
        "silence: late news is of one that was given up even when the next was made",
        "engine/src/silence.rs",
        "if !waits || self.was_made(index) {",
        "if !waits {",
        SILENCE,
    ),
    Mutant(
        "silence: what was given up has no place in the next life",
        "engine/src/restoring.rs",
        ".chain(given_up.iter().map(GivenUp::place))",
        ".chain(given_up.iter().map(GivenUp::place).take(0))",
        SILENCE,
    ),
    Mutant(
        "silence: a complaint does not end the limit",
        "engine/src/events.rs",
        "if !fails(event.kind) {\n            self.hear_of(index);",
        "if marks_of(event.kind) != 0 {\n            self.hear_of(index);",
        SILENCE,
    ),
    Mutant(
        "dispatch: what may have been taken by an earlier claim waits again",
        FILE,
        "(Outcome::Later(_), MessageState::Unknown) => is_last && !repeats,",
        "(Outcome::Later(_), MessageState::Unknown) => is_last,",
        DISPATCH,
    ),
    Mutant(
        "segments: an SMS costs one of them",
        "engine/src/commitment.rs",
        "let cost = rules.cost(channel, admission.segments);",
        "let cost = rules.costs[channel as usize];",
        SEGMENTS,
    ),
    Mutant(
        "segments: the next attempt costs one of them",
        "engine/src/fallback.rs",
        "message.cost = campaign.rules.cost(channel, message.segments);",
        "message.cost = campaign.rules.costs[channel as usize];",
        SEGMENTS,
    ),
    Mutant(
        "segments: channels are compared by what one of them costs",
        "engine/src/admission.rs",
        "rules.costs_of(segments)",
        "rules.costs_of(1)",
        SEGMENTS,
    ),
    Mutant(
        "dispatch: a claim is not written down",
        "engine/src/deliveries.rs",
        "        self.touched.touch(message as usize);\n",
        "",
        DISPATCH,
    ),
)
