//! What the shards answered to a request, checked before anything is read from it: a shard whose answer is
//! missing or does not fit the request counts as unavailable.

use crate::answer::{Decision, Explained};
use crate::instant::{SECONDS_MAX, SECONDS_MIN};
use crate::request::{Entry, Invalid, Request};
use crate::words::{Channel, ChannelMask, NONE, Reason, Status};

/// Confidence in ten-thousandths is at most one.
const CONFIDENCE_MAX: u16 = 10_000;

/// The answers to a request.
pub struct Replies {
    /// By shard; None where a shard is unavailable.
    shards: Vec<Option<Explained>>,
    counts: Counts,
}

/// What became of one recipient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    Scheduled { channel: Channel, decision: Decision },
    Blocked { reason: Reason, next_eligible_at: Option<i64> },
    Unavailable,
}

/// One line of the answer, in the order of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict<'a> {
    Invalid { index: usize, invalid: &'a Invalid },
    Valid { id: &'a str, left_out: ChannelMask, outcome: Outcome, explanation: Option<&'a str> },
}

/// How many recipients fared how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By channel.
    pub scheduled: [u32; Channel::ALL.len()],
    /// By reason.
    pub blocked: [u32; Reason::ALL.len()],
    pub invalid: u32,
    pub unavailable: u32,
}

impl Replies {
    /// Takes what `answer_of` gives for each shard.
    pub fn read<'a>(request: &Request, answer_of: impl Fn(usize) -> Option<&'a [u8]>) -> Self {
        let mut counts = Counts { invalid: request.invalid_count(), ..Counts::default() };
        let mut read = |shard| {
            let rows = request.rows(shard);
            let fitting = answer_of(shard).and_then(|answer| fitting(answer, rows));
            match &fitting {
                Some((_, counted)) => counts.add(counted),
                None => counts.unavailable += rows as u32,
            }
            fitting.map(|(explained, _)| explained)
        };
        let shards = (0..request.shard_count()).map(&mut read).collect();
        Replies { shards, counts }
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Every recipient of the request these answer, with what became of it.
    pub fn verdicts<'a>(&'a self, request: &'a Request) -> impl Iterator<Item = Verdict<'a>> {
        request.entries().enumerate().map(|(index, entry)| match entry {
            Entry::Invalid(invalid) => Verdict::Invalid { index, invalid },
            Entry::Valid { id, shard, row } => {
                let explained = self.shards.get(shard as usize).and_then(Option::as_ref);
                let decision = explained.map(|explained| explained.answer.row(row));
                let outcome = decision.and_then(outcome_of).unwrap_or(Outcome::Unavailable);
                let left_out = match decision {
                    Some(decision) if outcome != Outcome::Unavailable => decision.left_out,
                    _ => request.left_out(shard, row),
                };
                let explanation = explained.and_then(|explained| explained.explanation(row));
                Verdict::Valid { id, left_out, outcome, explanation }
            }
        })
    }
}

impl Counts {
    /// Of one recipient.
    pub fn of(verdict: &Verdict<'_>) -> Self {
        let mut counts = Counts::default();
        match verdict {
            Verdict::Invalid { .. } => counts.invalid = 1,
            Verdict::Valid { outcome, .. } => counts.count(outcome),
        }
        counts
    }

    fn count(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Scheduled { channel, .. } => &mut self.scheduled[*channel as usize],
            Outcome::Blocked { reason, .. } => &mut self.blocked[*reason as usize],
            Outcome::Unavailable => &mut self.unavailable,
        } += 1;
    }

    /// Adds what another part of the request came to.
    fn add(&mut self, part: &Counts) {
        self.scheduled.iter_mut().zip(part.scheduled).for_each(|(count, more)| *count += more);
        self.blocked.iter_mut().zip(part.blocked).for_each(|(count, more)| *count += more);
        self.invalid += part.invalid;
        self.unavailable += part.unavailable;
    }
}

/// A shard's answer and what it comes to; None if it is not one to so many rows.
fn fitting(answer: &[u8], rows: usize) -> Option<(Explained, Counts)> {
    let explained = Explained::decode(answer).ok().filter(|explained| explained.answer.status.len() == rows)?;
    let mut counts = Counts::default();
    for row in 0..rows {
        counts.count(&outcome_of(explained.answer.row(row))?);
    }
    Some((explained, counts))
}

/// What a row of an answer says; None if it says what no shard can mean.
fn outcome_of(decision: Decision) -> Option<Outcome> {
    let is_instant = |seconds: i64| (SECONDS_MIN..=SECONDS_MAX).contains(&seconds);
    match Status::from_code(decision.status)? {
        Status::Scheduled => {
            let fits = is_instant(decision.scheduled_at)
                && decision.offset_minutes.unsigned_abs() < 1440
                && decision.cost >= 0
                && decision.confidence <= CONFIDENCE_MAX;
            let channel = Channel::from_code(decision.channel)?;
            fits.then_some(Outcome::Scheduled { channel, decision })
        }
        Status::Blocked => {
            let next_eligible_at = Some(decision.next_eligible_at).filter(|at| *at != NONE);
            let reason = Reason::from_code(decision.reason)?;
            next_eligible_at.is_none_or(is_instant).then_some(Outcome::Blocked { reason, next_eligible_at })
        }
        Status::Unavailable => Some(Outcome::Unavailable),
        Status::Invalid => None,
    }
}
