"""Faults in the rules that the tests must catch. One row is all it takes to add another.

`old` stands exactly once in `file`; with `new` in its place one rule is wrong. `tests` are what pytest is given, and
one of them must fail by an assertion.
"""

from __future__ import annotations

from tests.mutants.mutant import Mutant

DUELS = "tests/engine/test_against_reference.py"
CAPS = "tests/engine/test_caps_exact.py"
DEFER = "tests/engine/test_defer.py"
SCARCE = "tests/engine/test_scarce_shards.py"
LEDGER = "tests/engine/test_ledger.py"
ZONES = "tests/kernels/test_all_zones.py"
MINUTES = "tests/engine/test_per_minute.py"
FALLBACK = "tests/engine/test_fallback.py"


MUTANTS = (
    # ---- caps and gaps ------------------------------------------------------------------------------------
    Mutant(
        "24 hours apart share a span",
        "engine/src/frequency.rs",
        "- at.min(first) < span_s;\n            shared.then_some(first + span_s)",
        "- at.min(first) <= span_s;\n            shared.then_some(first + span_s + 1)",
        (CAPS,),
    ),
    Mutant(
        "a gap is one second longer",
        "engine/src/frequency.rs",
        "(at - other).abs() < gap_s)\n            .map(|(other, _)| other + gap_s)",
        "(at - other).abs() <= gap_s)\n            .map(|(other, _)| other + gap_s + 1)",
        (CAPS,),
    ),
    Mutant(
        "a cap forgets scheduled messages",
        "engine/src/frequency.rs",
        "recent.iter().filter(|entry| entry.counted)",
        "recent.iter().filter(|entry| entry.counted && entry.at <= now)",
        (CAPS,),
    ),
    Mutant(
        "the weekly cap looks at a day",
        "engine/src/frequency.rs",
        "} else if self.exceeds(caps.weekly, WEEK_S, at) {",
        "} else if self.exceeds(caps.weekly, DAY_S, at) {",
        (CAPS,),
    ),
    Mutant(
        "next_eligible_at ignores the gap",
        "engine/src/frequency.rs",
        "            .or_else(|| self.gap_blocker(caps, channel, at))\n    }\n\n    fn exceeds",
        "    }\n\n    fn exceeds",
        (CAPS,),
    ),
    Mutant(
        "a deferral ends before seven days are over",
        "engine/src/frequency.rs",
        "permitted(from).filter(|minute| *minute <= now + DEFER_WITHIN_S)?",
        "permitted(from).filter(|minute| *minute < now + DEFER_WITHIN_S)?",
        (DEFER,),
    ),
    Mutant(
        "transactional messages are counted",
        "engine/src/shard.rs",
        "message.scheduled_at, !rules.transactional)",
        "message.scheduled_at, true)",
        (CAPS,),
    ),
    Mutant(
        "transactional messages are held",
        "engine/src/commitment.rs",
        "if rules.transactional {\n            return Viability::Channels(permitted);",
        "if rules.transactional && rules.defers {\n            return Viability::Channels(permitted);",
        (CAPS,),
    ),
    Mutant(
        "a cancelled message still counts",
        "engine/src/shard.rs",
        "        self.roster.follow_mut(message.recipient).history.remove(index);\n",
        "        if state != MessageState::Cancelled {\n"
        "            self.roster.follow_mut(message.recipient).history.remove(index);\n        }\n",
        (CAPS,),
    ),
    # ---- duplicates and standing --------------------------------------------------------------------------
    Mutant(
        "the lookback is inclusive",
        "engine/src/deduplicator.rs",
        ".take_while(|entry| entry.at > later_than)",
        ".take_while(|entry| entry.at >= later_than)",
        (DUELS,),
    ),
    Mutant(
        "a later row of a batch does not see the earlier one",
        "engine/src/commitment.rs",
        "        admission.key = Some(key);\n",
        "",
        (DUELS,),
    ),
    Mutant(
        "until is inclusive",
        "engine/src/roster.rs",
        "self.until.is_none_or(|until| now < until)",
        "self.until.is_none_or(|until| now <= until)",
        (DUELS,),
    ),
    Mutant(
        "a period holds its end",
        "engine/src/campaign.rs",
        "self.ends_at.is_none_or(|ends_at| now < ends_at)",
        "self.ends_at.is_none_or(|ends_at| now <= ends_at)",
        ("tests/engine/test_standing.py",),
    ),
    # ---- addresses ----------------------------------------------------------------------------------------
    Mutant(
        "address: what is known of one channel is usable for another",
        "engine/src/profile.rs",
        'if given == self.contacts && rest == Some("") {',
        'if rest == Some("") {\n            self.contacts = given;',
        (DUELS, "tests/engine/test_addresses.py"),
    ),
    Mutant(
        "address: what cannot be used is kept",
        "engine/src/address.rs",
        ".filter(|(channel, address)| is_usable(*channel, address))",
        ".filter(|(channel, address)| is_usable(*channel, address) || true)",
        (DUELS, "tests/engine/test_addresses.py"),
    ),
    Mutant(
        "address: nobody is told what was left out",
        "engine/src/commitment.rs",
        "Decision { left_out: admitted.left_out, ..decision }",
        "decision",
        (DUELS, "tests/engine/test_addresses.py"),
    ),
    Mutant(
        "address: who is unavailable is not told what was left out",
        "engine/src/replies.rs",
        "_ => request.left_out(shard, row),",
        "_ => 0,",
        ("tests/engine/test_request.py", "tests/engine/test_addresses.py"),
    ),
    # ---- send time ----------------------------------------------------------------------------------------
    Mutant(
        "quiet hours hold e-mail",
        "kernels/send_time.py",
        "out_instant[i, EMAIL] = _first_permitted(clock, _for_email(permission), minute)",
        "out_instant[i, EMAIL] = _first_permitted(clock, permission, minute)",
        (ZONES,),
    ),
    Mutant(
        "quiet hours hold e-mail that is deferred",
        "engine/src/commitment.rs",
        "Channel::Email => (self.window, (0, 0)),",
        "Channel::Email => (self.window, quiet),",
        (DEFER,),
    ),
    Mutant(
        "a window holds its end",
        "kernels/local_hours.py",
        "        return start <= minute_of_day < end\n",
        "        return start <= minute_of_day <= end\n",
        (ZONES,),
    ),
    Mutant(
        "a window of the core holds its end",
        "engine/src/permission.rs",
        "(start..end).contains(&minute_of_day)",
        "(start..=end).contains(&minute_of_day)",
        (ZONES,),
    ),
    Mutant(
        "the zone is applied twice",
        "kernels/send_time.py",
        "_wait_minutes((minute + clock.offsets[segment]) // MINUTE % DAY_MINUTES, permission)",
        "_wait_minutes((minute + 2 * clock.offsets[segment]) // MINUTE % DAY_MINUTES, permission)",
        (ZONES,),
    ),
    Mutant(
        "a clock changes a second late",
        "kernels/zones.py",
        "        if begins[middle] <= instant:\n",
        "        if begins[middle] < instant:\n",
        (ZONES,),
    ),
    Mutant(
        "of an hour that comes twice the second is meant",
        "kernels/local_hours.py",
        "wall >= clock.begins[segment + 1] + clock.offsets[segment]:",
        "wall >= clock.begins[segment + 1] + clock.offsets[segment + 1]:",
        (ZONES,),
    ),
    Mutant(
        "the campaign's zone instead of the recipient's",
        "engine/src/admission.rs",
        "let zone = if profile.zone == CAMPAIGN_ZONE { campaign_zone } else { profile.zone };",
        "let zone = campaign_zone;",
        (DUELS,),
    ),
    # ---- the choice of a channel --------------------------------------------------------------------------
    Mutant(
        "urgency is left out of the score",
        "kernels/ranking.py",
        "        + weights[3] * urgency\n",
        "",
        (DUELS,),
    ),
    Mutant(
        "the boost is counted from the wrong end",
        "kernels/ranking.py",
        "value += 0.10 * (preferred - place) / preferred",
        "value += 0.10 * (place + 1) / preferred",
        (DUELS,),
    ),
    Mutant(
        "the dearer of equals goes first",
        "kernels/ranking.py",
        "return bool(costs[channel] < costs[other])",
        "return bool(costs[channel] > costs[other])",
        ("tests/kernels/test_ranking.py",),
    ),
    Mutant(
        "the fallback chain is one too long",
        "engine/src/commitment.rs",
        "let fallbacks = usize::from(rules.max_attempts.saturating_sub(1));",
        "let fallbacks = usize::from(rules.max_attempts);",
        (DUELS,),
    ),
    # ---- money and places ---------------------------------------------------------------------------------
    Mutant(
        "the daily budget is of days of UTC",
        "kernels/send_time.py",
        "day = (instant + local) // _DAY",
        "day = instant // _DAY",
        (DUELS,),
    ),
    Mutant(
        "the daily budget is of the recipient's days",
        "kernels/send_time.py",
        "local = whole(offsets[segment])\n",
        "local = offset * MINUTE\n",
        (DUELS,),
    ),
    Mutant(
        "a deferred message is paid on a day of UTC",
        "engine/src/commitment.rs",
        "day: (at + campaign_offset_s).div_euclid(DAY_S) as i32,",
        "day: (at + campaign_offset_s * 0).div_euclid(DAY_S) as i32,",
        (DUELS,),
    ),
    Mutant(
        "a slice is spent twice",
        "engine/src/budget_manager.rs",
        "        self.held += amount;\n",
        "        self.held += 2 * amount;\n",
        (SCARCE,),
    ),
    Mutant(
        "a slice is counted twice",
        "engine/ledger.py",
        "            account.outstanding[bucket] += amount\n",
        "            account.outstanding[bucket] += 2 * amount\n",
        (LEDGER,),
    ),
    Mutant(
        "a report is counted twice",
        "engine/ledger.py",
        "            account.settled[bucket] += after - before\n",
        "            account.settled[bucket] += after\n",
        (LEDGER,),
    ),
    Mutant(
        "the last of the money is called so too early",
        "engine/ledger.py",
        "last = amount < need or (",
        "last = amount <= need or (",
        (LEDGER,),
    ),
    Mutant(
        "what comes back is kept",
        "engine/src/budget_manager.rs",
        "            self.held += amount - absorbed;\n",
        "",
        (DUELS,),
    ),
    Mutant(
        "what comes back to one shard stays unknown to the others",
        "engine/src/shard.rs",
        "            self.freed.insert(message.campaign);\n",
        "",
        (SCARCE,),
    ),
    Mutant(
        "a day is full one place early",
        "engine/src/budget_manager.rs",
        "\n        balance.fit(1)\n",
        "\n        balance.fit(2)\n",
        (SCARCE,),
    ),
    Mutant(
        "an overdrawn budget is forgotten when something comes back",
        "engine/src/budget_manager.rs",
        "let absorbed = amount.min(self.excess);",
        "let absorbed = 0 * amount.min(self.excess);",
        (DUELS,),
    ),
    # ---- places of a minute -------------------------------------------------------------------------------
    Mutant(
        "a minute holds one more",
        "engine/accounts.py",
        "                return self.per_minute\n",
        "                return None if self.per_minute is None else self.per_minute + 1\n",
        (MINUTES,),
    ),
    Mutant(
        "a full minute does not give way to the hour's first ones",
        "engine/src/send_time.rs",
        "minutes[start..].iter().chain(&minutes[..start])",
        "&minutes[start..]",
        (MINUTES,),
    ),
    Mutant(
        "what a minute held before it had a limit is forgotten",
        "engine/src/shard.rs",
        "message.campaign == *index && message.is_live()",
        "message.campaign == *index && false",
        (MINUTES,),
    ),
    # ---- what becomes of messages -------------------------------------------------------------------------
    Mutant(
        "the next attempt is not held by caps and gap",
        "engine/src/fallback.rs",
        "&& counted.broken(&rules.caps(), channel, at).is_some()",
        "&& counted.broken(&rules.caps(), channel, at).is_some_and(|_| false)",
        (FALLBACK,),
    ),
    Mutant(
        "what a failed attempt gives back comes too late for the next",
        "engine/src/fallback.rs",
        "fit_money(rules.limited, &place, back.as_ref())",
        "fit_money(rules.limited, &place, None)",
        (FALLBACK,),
    ),
    Mutant(
        "an event id is seen on its message's shard alone",
        "engine/event_rounds.py",
        "homes = [router.home_of(event.id) for event in events]",
        "homes = list(shards)",
        ("tests/engine/test_event_rounds.py",),
    ),
    # ---- learning -----------------------------------------------------------------------------------------
    Mutant(
        "counts do not decay",
        "engine/src/engagement.rs",
        "(-(seconds.max(0) as f64) * self.half_lives_per_s).exp2()",
        "(-(seconds.min(0) as f64) * self.half_lives_per_s * 0.0).exp2()",
        (DUELS,),
    ),
    Mutant(
        "a campaign's rates are those of all campaigns",
        "engine/learning.py",
        "self._published(_rates(own, rates), means, own)",
        "self._published(rates, means, own)",
        (DUELS,),
    ),
    Mutant(
        "a campaign's hours are those of all campaigns",
        "engine/learning.py",
        "self._published(_rates(own, rates), means, own)",
        "self._published(_rates(own, rates), means, 0 * own)",
        (DUELS,),
    ),
    Mutant(
        "hours are learned in UTC",
        "engine/src/events.rs",
        "hourly.add(channel, message.local_hour(), success, at, self.decay);",
        "hourly.add(channel, (message.scheduled_at / 3600 % 24) as usize, success, at, self.decay);",
        (DUELS,),
    ),
    # ---- dry runs and keys --------------------------------------------------------------------------------
    Mutant(
        "a dry run keeps profiles",
        "engine/src/rehearsal.rs",
        "        self.roster.undo();\n",
        "",
        ("tests/engine/test_dry_run.py",),
    ),
    Mutant(
        "an idempotency key is not bound to its request",
        "engine/src/kept_answers.rs",
        "if binding.request != request {",
        "if binding.request != request && name == 0 {",
        ("tests/engine/test_claims.py",),
    ),
    # ---- status -------------------------------------------------------------------------------------------
    Mutant(
        "the hours keep what was cancelled",
        "engine/src/shard.rs",
        "        tally.hours[message.local_hour()] -= 1;\n",
        "",
        (DUELS,),
    ),
    Mutant(
        "an open is counted each time",
        "engine/src/events.rs",
        "let new = marks_of(event.kind) & !message.marks;",
        "let new = marks_of(event.kind) & (!message.marks | marks::OPENED);",
        (DUELS,),
    ),
)
