//! Due: which messages wait, by channel and instant. All of it follows from the messages.
//!
//! Decisions do nothing for it. What they made since, and what waits for another instant now, is sorted in when a
//! dispatcher asks; what does not wait any more, or not there, is dropped by whoever takes it.

use std::collections::{BTreeMap, BTreeSet};

use crate::shard::Shard;
use crate::words::{CHANNEL_COUNT, Channel, MessageState};

#[derive(Debug, Default)]
pub struct Due {
    /// How many messages were sorted in when they were new.
    seen: u32,
    /// Those of them that wait anew.
    fresh: Vec<u32>,
    /// (instant, message): of equal instants the one made first comes first.
    waiting: [BTreeSet<(i64, u32)>; CHANNEL_COUNT],
    /// Messages of campaigns that are not active, by campaign.
    parked: BTreeMap<u32, Vec<u32>>,
}

impl Due {
    /// A message waits again, or for another instant. New ones need no word.
    pub fn add(&mut self, message: u32) {
        self.fresh.push(message);
    }

    /// Its campaign is not active now.
    pub fn park(&mut self, campaign: u32, message: u32) {
        self.parked.entry(campaign).or_default().push(message);
    }

    /// Sorts in what is new of so many messages, what was added, and what was parked by campaigns that are active again.
    /// `place` says on which channel and for which instant a message waits, if it does.
    pub fn sort_in(
        &mut self,
        messages: u32,
        is_active: impl Fn(u32) -> bool,
        place: impl Fn(u32) -> Option<(Channel, i64)>,
    ) {
        let active: Vec<u32> = self.parked.keys().copied().filter(|campaign| is_active(*campaign)).collect();
        for campaign in active {
            self.fresh.append(&mut self.parked.remove(&campaign).unwrap_or_default());
        }
        let new = self.seen..messages;
        self.seen = messages;
        for message in std::mem::take(&mut self.fresh).into_iter().chain(new) {
            if let Some((channel, at)) = place(message) {
                self.put(channel, at, message);
            }
        }
    }

    pub fn put(&mut self, channel: Channel, at: i64, message: u32) {
        self.waiting[channel as usize].insert((at, message));
    }

    /// The first of those that wait on a channel for an instant up to `now`, and the instant.
    pub fn take(&mut self, channel: Channel, now: i64) -> Option<(i64, u32)> {
        let waiting = &mut self.waiting[channel as usize];
        let first = *waiting.first().filter(|(at, _)| *at <= now)?;
        waiting.remove(&first);
        Some(first)
    }
}

impl Shard {
    /// When a message is due that waits to be claimed.
    pub(crate) fn due_at(&self, index: u32) -> Option<i64> {
        let message = self.messages.get(index);
        let delivery = self.deliveries.get(index);
        let waits = match message.state {
            MessageState::Scheduled => true,
            MessageState::Unknown => delivery.is_some_and(|delivery| delivery.again),
            _ => false,
        };
        let from = delivery.and_then(|delivery| delivery.not_before).unwrap_or(i64::MIN);
        waits.then_some(message.scheduled_at.max(from))
    }

    /// Sorts in what waits since the last call.
    pub(crate) fn sort_in_due(&mut self, now: i64) {
        let mut due = std::mem::take(&mut self.due);
        due.sort_in(
            self.messages.len() as u32,
            |campaign| self.campaigns[campaign as usize].rules.active(now),
            |index| self.due_at(index).map(|at| (self.messages.get(index).channel, at)),
        );
        self.due = due;
    }

    /// The first message that is due on a channel and whose campaign is active, and since when it is.
    pub(crate) fn take_due(&mut self, channel: Channel, now: i64) -> Option<(i64, u32)> {
        while let Some((at, index)) = self.due.take(channel, now) {
            let message = self.messages.get(index);
            if message.channel != channel || self.due_at(index) != Some(at) {
                continue;
            }
            if self.campaigns[message.campaign as usize].rules.active(now) {
                return Some((at, index));
            }
            self.due.park(message.campaign, index);
        }
        None
    }

    /// Since when the message is due that waits longest at `now`, by channel; None where none is. Changes no state.
    pub fn oldest_due(&mut self, now: i64) -> [Option<i64>; CHANNEL_COUNT] {
        let now = now.max(self.latest);
        self.sort_in_due(now);
        let mut oldest = [None; CHANNEL_COUNT];
        for channel in Channel::ALL.iter().copied() {
            if let Some((at, index)) = self.take_due(channel, now) {
                self.due.put(channel, at, index);
                oldest[channel as usize] = Some(at);
            }
        }
        oldest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_each_once() {
        let mut due = Due::default();
        let place = |message| [1, 2, 4, 5].contains(&message).then(|| (Channel::Sms, 20 / i64::from(message)));
        due.sort_in(5, |_| true, place);
        due.add(4);
        due.sort_in(6, |_| true, place);
        assert_eq!(due.take(Channel::Email, 100), None);
        assert_eq!(due.take(Channel::Sms, 3), None);
        let mut taken = || due.take(Channel::Sms, 20);
        assert_eq!([taken(), taken(), taken()], [Some((4, 5)), Some((5, 4)), Some((10, 2))]);
        assert_eq!([taken(), taken()], [Some((20, 1)), None]);
    }

    #[test]
    fn what_is_parked_comes_back_with_its_campaign() {
        let mut due = Due::default();
        due.park(7, 1);
        due.sort_in(0, |_| false, |_| Some((Channel::Email, 0)));
        assert_eq!(due.take(Channel::Email, 0), None);
        due.sort_in(0, |campaign| campaign == 7, |_| Some((Channel::Email, 0)));
        assert_eq!(due.take(Channel::Email, 0), Some((0, 1)));
    }
}
