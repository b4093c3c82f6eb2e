//! Silence: a message that was sent, and of which nothing good is heard in time, goes on to its next channel.
//!
//! The rules:
//! - On a channel with a limit (`success_within_s`) what a provider took has so long to be delivered, opened, clicked,
//!   replied to or converted. The limit is set when it is sent, where other channels are left.
//! - When it is over, the next channel goes as after a failure. Where none passes, the message stays sent.
//! - The attempt is given up, and nothing of it comes back: a provider took it. It keeps its cost, which is spent, its
//!   place in the day and in the minute, and its instant: caps, gaps and keys count it beside the next attempt's.
//! - Until that one is made, an event of success is news of the attempt given up last, or of that on the channel it names:
//!   the message is delivered by it, and what waits is dropped. Once the next was made it counts for the message as it is.
//! - Complaints and unsubscriptions are no success, but say that it arrived, too: nothing else is tried then.
//! - Bad news of an attempt that was given up says that it did not arrive: its place and its instant are free, and its
//!   cost, unless its channel charges for failures.
//! - What a provider took is not taken for never sent: where such a message would fail, expire or be cancelled, it is
//!   sent, by the attempt given up last.

use serde::{Deserialize, Serialize};

use crate::admission::QuietHours;
use crate::budget_manager::Place;
use crate::charges::Charge;
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

    /// Its instant, as one of those of the message at `index`.
    pub fn instant(&self, index: u32, key: u32, counted: bool) -> Entry {
        let &GivenUp { channel, sent_at: at, .. } = self;
        Entry { at, message: index, key, channel, counted, given_up: true }
    }
}

impl Shard {
    /// By when something good must be heard of a message that is sent at `now`.
    pub(crate) fn success_by(&self, index: u32, now: i64) -> Option<i64> {
        let message = self.messages.get(index);
        let within_s = self.success_within_s[message.channel as usize];
        (within_s > 0 && message.chain != 0).then_some(now.saturating_add(within_s))
    }

    /// An attempt of a message arrived, as far as anybody knows: that on a channel, if it is named. Nothing else is tried;
    /// with `stops` nothing is known but that, which also says so of one that failed.
    pub(crate) fn hear_of(&mut self, index: u32, channel: Option<Channel>, stops: bool) {
        let message = self.messages.get(index);
        let named = self.given_up(index, channel);
        if stops && named.is_none() && channel.is_some_and(|channel| channel != message.channel) {
            return;
        }
        let told = named.or_else(|| self.given_up(index, None));
        let waits = matches!(message.state, MessageState::Scheduled | MessageState::Claimed);
        let was_made = self.was_made(index);
        self.lift_limit(index);
        if let Some(place) = told.filter(|_| waits && !was_made) {
            self.end_attempt(index, MessageState::Cancelled, self.messages.get(index).place());
            self.take_back(index, place);
        } else if stops && was_made {
            self.messages.get_mut(index).chain = 0;
        }
    }

    /// What ended is sent, if a provider took an attempt that was given up: by the last of these.
    pub(crate) fn settle(&mut self, index: u32) {
        if let Some(last) = self.given_up(index, None) {
            self.take_back(index, last);
        }
    }

    /// Bad news of an attempt that was given up: it did not arrive.
    pub(crate) fn fail_given_up(&mut self, index: u32, channel: Channel, at: i64, bounced: bool) {
        let Some(place) = self.given_up(index, Some(channel)) else { return };
        let charges = self.charged & channel.bit() != 0;
        let failed = self.deliveries.change(index, |delivery| {
            let failed = delivery.given_up.remove(place);
            delivery.note_mut(failed.attempt as usize).detail = None;
            if charges && failed.cost > 0 {
                delivery.charges.push(Charge { channel, day: failed.day, cost: failed.cost });
            }
            failed
        });
        let message = self.messages.get_mut(index);
        message.attempts[failed.attempt as usize] = Attempt { channel, state: MessageState::Failed, at, bounced };
        self.roster.follow_mut(message.recipient).history.drop_given_up(index, failed.sent_at);
        let campaign = &mut self.campaigns[message.campaign as usize];
        let back = Place { cost: if charges { 0 } else { failed.cost }, ..failed.place() };
        let tally = &mut campaign.tally.channels[channel as usize];
        tally.committed -= back.cost;
        tally.spent -= back.cost;
        campaign.balances.give_back(campaign.rules.limited, &back);
        if campaign.rules.limited.any() {
            self.freed.insert(message.campaign);
        }
    }

    /// The place among those given up of the last one, or of that on a channel.
    fn given_up(&self, index: u32, channel: Option<Channel>) -> Option<usize> {
        let given_up = &self.deliveries.get(index)?.given_up;
        given_up.iter().rposition(|one| channel.is_none_or(|channel| one.channel == channel))
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
        self.roster.follow_mut(recipient).history.give_up(index);
    }

    /// A message whose attempt ended is sent, by one that was given up: that is the one under way then, and so the last
    /// of its attempts.
    fn take_back(&mut self, index: u32, place: usize) {
        let last = self.messages.get(index).attempts.len() - 1;
        let back = self.deliveries.change(index, |delivery| {
            let back = delivery.given_up.remove(place);
            for other in delivery.given_up.iter_mut().filter(|other| other.attempt > back.attempt) {
                other.attempt -= 1;
            }
            delivery.claim = None;
            delivery.not_before = None;
            delivery.again = false;
            delivery.sent_at = Some(back.sent_at);
            delivery.note_mut(last);
            let note = delivery.notes.remove(back.attempt as usize);
            delivery.notes.insert(last, Note { detail: None, ..note });
            back
        });
        let GivenUp { attempt, channel, scheduled_at, offset_minutes, day, cost, sent_at } = back;
        let message = self.messages.get_mut(index);
        (message.channel, message.chain, message.cost) = (channel, 0, cost);
        (message.scheduled_at, message.offset_minutes, message.day) = (scheduled_at, offset_minutes, day);
        message.attempts.remove(attempt as usize);
        message.attempts.push(Attempt { channel, state: MessageState::Sent, at: sent_at, bounced: false });
        let recipient = message.recipient;
        self.turn(index, MessageState::Sent);
        self.count_instant(index, 1);
        self.roster.follow_mut(recipient).history.take_back(index, sent_at);
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
