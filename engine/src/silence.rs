//! Silence: a message that was sent, and of which nothing good is heard in time, goes on to its next channel.
//!
//! The rules:
//! - On a channel with a limit (`success_within_s`) what a provider took has so long to be delivered, opened, clicked,
//!   replied to or converted. The limit is set when it is sent, where other channels are left.
//! - When it is over, the next channel goes as after a failure. Where none passes, the message stays sent.
//! - The attempt is given up, and nothing of it comes back: a provider took it. It keeps its cost, which is spent, and its
//!   place in the day and in the minute; the message's instant is that of the next attempt.
//! - Until that one is made, an event of success is news of the attempt given up last: the message is delivered by it, and
//!   what waits is dropped. Once the next was made nobody knows whose success it is: it counts for the message as it is.
//! - Complaints and unsubscriptions are no success, but say that it arrived, too: nothing else is tried then.

use serde::{Deserialize, Serialize};

use crate::admission::QuietHours;
use crate::budget_manager::Place;
use crate::deduplicator::Entry;
use crate::deliveries::Note;
use crate::dispatch::{LOOKS_MAX, Question};
use crate::fallback::Next;
use crate::messages::{Attempt, Message};
use crate::minutes::minute_of;
use crate::shard::Shard;
use crate::words::{Channel, MessageState};

/// What people read of an attempt that was given up.
const DETAIL: &str = "no sign of success came in time";

/// An attempt that was sent and given up.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Its place among the message's attempts.
    pub attempt: u32,
    pub channel: Channel,
    pub scheduled_at: i64,
    pub offset_minutes: i16,
    pub day: i32,
    pub cost: i64,
    pub sent_at: i64,
}

impl GivenUp {
    /// What it keeps of its campaign's buckets.
    pub fn place(&self) -> Place {
        let (channel, minute) = (self.channel as usize, minute_of(self.scheduled_at));
        Place { channel, day: self.day, minute, cost: self.cost }
    }
}

impl Shard {
    /// By when something good must be heard of a message that is sent at `now`.
    pub(crate) fn success_by(&self, index: u32, now: i64) -> Option<i64> {
        let message = self.messages.get(index);
        let within_s = self.success_within_s[message.channel as usize];
        (within_s > 0 && message.chain != 0).then_some(now.saturating_add(within_s))
    }

    /// A message arrived, as far as anybody knows: nothing else is tried.
    pub(crate) fn hear_of(&mut self, index: u32) {
        self.lift_limit(index);
        self.take_back(index);
    }

    fn lift_limit(&mut self, index: u32) {
        if self.deliveries.get(index).is_some_and(|delivery| delivery.success_by.is_some()) {
            self.deliveries.change(index, |delivery| delivery.success_by = None);
        }
    }

    /// Messages whose limit is over go on. Stops where only the ledger knows how; without `asks` those wait for it.
    pub(crate) fn end_silences(&mut self, now: i64, asks: bool, default_quiet: QuietHours) -> Option<Question> {
        let mut left = None;
        for _ in 0..LOOKS_MAX {
            let over = self.deliveries.silent(left, now)?;
            let (_, index) = over;
            let chain = self.messages.get(index).chain;
            match self.next_after(index, chain, None, now, default_quiet) {
                Next::AskLedger { campaign, needs } if asks => return Some((campaign, needs)),
                Next::AskLedger { .. } => left = Some(over),
                Next::Failed => {
                    self.lift_limit(index);
                    self.messages.get_mut(index).chain = 0;
                }
                Next::Attempt { channel, chain, slot } => {
                    self.give_up(index, now);
                    self.try_next(index, channel, chain, slot);
                }
            }
        }
        None
    }

    /// Ends the attempt of a message that is sent, which keeps what it took.
    fn give_up(&mut self, index: u32, now: i64) {
        let message = self.messages.get_mut(index);
        let &mut Message { channel, scheduled_at, offset_minutes, day, cost, recipient, .. } = message;
        message.know_attempt(Attempt { channel, state: MessageState::Failed, at: now, bounced: false });
        let attempt = message.attempts.len() as u32 - 1;
        self.deliveries.change(index, |delivery| {
            let sent_at = delivery.sent_at.take().unwrap_or(scheduled_at);
            delivery.success_by = None;
            delivery.given_up.push(GivenUp { attempt, channel, scheduled_at, offset_minutes, day, cost, sent_at });
            delivery.note_mut(attempt as usize).detail = Some(DETAIL.into());
        });
        self.count_instant(index, -1);
        self.turn(index, MessageState::Failed);
        self.roster.follow_mut(recipient).history.remove(index);
    }

    /// Where the next attempt was not made yet, the message is sent by the one given up last again, if there is one. That
    /// is the attempt under way then, and so the last of them.
    fn take_back(&mut self, index: u32) {
        let waits = matches!(self.messages.get(index).state, MessageState::Scheduled | MessageState::Claimed);
        if !waits || self.was_made(index) {
            return;
        }
        let last = self.deliveries.get(index).and_then(|delivery| delivery.given_up.last().copied());
        let Some(GivenUp { attempt, channel, scheduled_at, offset_minutes, day, cost, sent_at }) = last else { return };
        self.end(index, MessageState::Cancelled);
        let message = self.messages.get_mut(index);
        (message.channel, message.chain, message.cost) = (channel, 0, cost);
        (message.scheduled_at, message.offset_minutes, message.day) = (scheduled_at, offset_minutes, day);
        message.attempts.remove(attempt as usize);
        message.attempts.push(Attempt { channel, state: MessageState::Sent, at: sent_at, bounced: false });
        let place = message.attempts.len() - 1;
        let &mut Message { recipient, campaign, key, .. } = message;
        self.turn(index, MessageState::Sent);
        self.count_instant(index, 1);
        self.deliveries.change(index, |delivery| {
            delivery.given_up.pop();
            delivery.claim = None;
            delivery.not_before = None;
            delivery.sent_at = Some(sent_at);
            delivery.note_mut(place);
            let note = delivery.notes.remove(attempt as usize);
            delivery.notes.insert(place, Note { detail: None, ..note });
        });
        let counted = !self.campaigns[campaign as usize].rules.transactional;
        let entry = Entry { at: sent_at, message: index, key, channel, counted };
        self.roster.follow_mut(recipient).history.insert(entry);
    }

    /// Counts a message with its channel and its local hour, or no more.
    fn count_instant(&mut self, index: u32, sign: i64) {
        let message = self.messages.get(index);
        let tally = &mut self.campaigns[message.campaign as usize].tally;
        for count in [&mut tally.channels[message.channel as usize].messages, &mut tally.hours[message.local_hour()]] {
            *count = count.saturating_add_signed(sign);
        }
    }
}
