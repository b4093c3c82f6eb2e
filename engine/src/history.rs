//! Deduplicator and frequency caps: what a recipient's instants allow.
//!
//! The rules (contract, section 4, steps 1 and 2):
//! - duplicate: a message with the same key whose instant is later than now − lookback;
//! - cap: no span of 24 h (168 h), half-open, holds more than `daily_cap` (`weekly_cap`) counted instants,
//!   past and scheduled together; two instants exactly a span apart share none;
//! - gap: on one channel, two counted instants are at least `gap` apart.

use smallvec::SmallVec;

use crate::words::{CHANNEL_COUNT, Channel, ChannelMask, channels_of};

pub const DAY_S: i64 = 24 * 3600;
pub const WEEK_S: i64 = 7 * DAY_S;
const NEXT_ELIGIBLE_WITHIN_S: i64 = 14 * DAY_S;

/// A message that has an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Seconds since the epoch.
    pub at: i64,
    /// Index of the message.
    pub message: u32,
    /// Interned deduplication key.
    pub key: u32,
    pub channel: Channel,
    /// Counted in caps and gaps: not transactional.
    pub counted: bool,
}

/// A recipient's messages that have an instant, earliest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: SmallVec<[Entry; 2]>,
}

impl History {
    pub fn insert(&mut self, entry: Entry) {
        let place = self.entries.partition_point(|other| other.at <= entry.at);
        self.entries.insert(place, entry);
    }

    pub fn remove(&mut self, message: u32) {
        self.entries.retain(|entry| entry.message != message);
    }

    /// Latest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev()
    }

    /// Step 1.
    pub fn duplicate(&self, key: u32, later_than: i64) -> bool {
        self.newest_first().take_while(|entry| entry.at > later_than).any(|entry| entry.key == key)
    }

    /// The counted instants that a decision at `now` can meet.
    pub fn counted(&self, now: i64) -> Counted {
        let first = self.entries.partition_point(|entry| entry.at <= now - WEEK_S);
        Counted(self.entries[first..].iter().filter(|entry| entry.counted).map(|entry| (entry.at, entry.channel)).collect())
    }
}

/// The caps and gaps that a campaign decides by.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    pub daily: u32,
    pub weekly: u32,
    pub gaps_s: [i64; CHANNEL_COUNT],
}

/// What a new instant would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    Daily,
    Weekly,
    Gap,
}

/// Counted instants, earliest first, with their channels.
pub struct Counted(SmallVec<[(i64, Channel); 16]>);

impl Counted {
    /// The first rule that a message on `channel` at `at` would break.
    pub fn broken(&self, caps: &Caps, channel: Channel, at: i64) -> Option<Broken> {
        if self.exceeds(caps.daily, DAY_S, at) {
            Some(Broken::Daily)
        } else if self.exceeds(caps.weekly, WEEK_S, at) {
            Some(Broken::Weekly)
        } else if self.gap_blocker(caps, channel, at).is_some() {
            Some(Broken::Gap)
        } else {
            None
        }
    }

    /// The most instants that a span which contains `now` holds: a cap is used up when this reaches it.
    pub fn used(&self, span_s: i64, now: i64) -> usize {
        let instants = &self.0;
        (0..instants.len())
            .map(|first| {
                let start = now.min(instants[first].0);
                instants[first..].iter().take_while(|(at, _)| now.max(*at) - start < span_s).count()
            })
            .max()
            .unwrap_or_default()
    }

    /// The first instant from `now` on that caps and gap admit on one of `channels`.
    pub fn next_eligible(&self, caps: &Caps, channels: ChannelMask, now: i64) -> Option<i64> {
        channels_of(channels).filter_map(|channel| self.next_on(caps, channel, now)).min()
    }

    fn next_on(&self, caps: &Caps, channel: Channel, now: i64) -> Option<i64> {
        if caps.daily == 0 || caps.weekly == 0 {
            return None;
        }
        let mut at = now;
        while at <= now + NEXT_ELIGIBLE_WITHIN_S {
            let blocked_until = self
                .run_end(caps.daily, DAY_S, at)
                .or_else(|| self.run_end(caps.weekly, WEEK_S, at))
                .or_else(|| self.gap_blocker(caps, channel, at));
            match blocked_until {
                None => return Some(at),
                Some(later) => at = later,
            }
        }
        None
    }

    fn exceeds(&self, cap: u32, span_s: i64, at: i64) -> bool {
        cap == 0 || self.run_end(cap, span_s, at).is_some()
    }

    /// If `cap` instants and `at` fit into one span: when the first of these instants stops mattering.
    fn run_end(&self, cap: u32, span_s: i64, at: i64) -> Option<i64> {
        self.0.windows(cap as usize).find_map(|run| {
            let (first, last) = (run.first()?.0, run.last()?.0);
            let shared = at.max(last) - at.min(first) < span_s;
            shared.then_some(first + span_s)
        })
    }

    /// If an instant on `channel` is nearer to `at` than the gap: when it stops mattering.
    fn gap_blocker(&self, caps: &Caps, channel: Channel, at: i64) -> Option<i64> {
        let gap_s = caps.gaps_s[channel as usize];
        self.0
            .iter()
            .find(|(other, used)| *used == channel && (at - other).abs() < gap_s)
            .map(|(other, _)| other + gap_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn history(hours: &[i64]) -> History {
        let mut history = History::default();
        for (message, hour) in hours.iter().enumerate() {
            let entry = Entry { at: hour * HOUR, message: message as u32, key: 0, channel: Channel::Email, counted: true };
            history.insert(entry);
        }
        history
    }

    fn caps(daily: u32, weekly: u32, gap_hours: i64) -> Caps {
        Caps { daily, weekly, gaps_s: [gap_hours * HOUR; CHANNEL_COUNT] }
    }

    #[test]
    fn instants_exactly_a_day_apart_share_no_span() {
        let counted = history(&[0, 10, 20]).counted(0);
        assert_eq!(counted.broken(&caps(3, 9, 0), Channel::Sms, 24 * HOUR), None);
        assert_eq!(counted.broken(&caps(3, 9, 0), Channel::Sms, 24 * HOUR - 1), Some(Broken::Daily));
        assert_eq!(counted.next_eligible(&caps(3, 9, 0), 0b10, 0), Some(24 * HOUR));
    }

    #[test]
    fn a_scheduled_message_holds_the_time_before_it_too() {
        let counted = history(&[30]).counted(0);
        assert_eq!(counted.broken(&caps(1, 9, 0), Channel::Sms, 7 * HOUR), Some(Broken::Daily));
        assert_eq!(counted.broken(&caps(1, 9, 0), Channel::Sms, 6 * HOUR), None);
        assert_eq!(counted.next_eligible(&caps(1, 9, 0), 0b10, 7 * HOUR), Some(54 * HOUR));
    }

    #[test]
    fn the_gap_counts_on_its_channel_alone_and_both_ways() {
        let counted = history(&[10]).counted(0);
        assert_eq!(counted.broken(&caps(9, 9, 4), Channel::Email, 7 * HOUR), Some(Broken::Gap));
        assert_eq!(counted.broken(&caps(9, 9, 4), Channel::Email, 6 * HOUR), None);
        assert_eq!(counted.broken(&caps(9, 9, 4), Channel::Email, 14 * HOUR), None);
        assert_eq!(counted.broken(&caps(9, 9, 4), Channel::Sms, 10 * HOUR), None);
    }

    #[test]
    fn a_cap_of_zero_admits_nothing() {
        let counted = history(&[]).counted(0);
        assert_eq!(counted.broken(&caps(0, 9, 0), Channel::Sms, 0), Some(Broken::Daily));
        assert_eq!(counted.next_eligible(&caps(0, 9, 0), 0b10, 0), None);
    }

    #[test]
    fn the_weekly_cap_frees_after_a_week() {
        let counted = history(&[0, 40, 80]).counted(90 * HOUR);
        assert_eq!(counted.broken(&caps(9, 3, 0), Channel::Sms, 90 * HOUR), Some(Broken::Weekly));
        assert_eq!(counted.next_eligible(&caps(9, 3, 0), 0b10, 90 * HOUR), Some(168 * HOUR));
        assert_eq!(counted.used(WEEK_S, 90 * HOUR), 3);
        assert_eq!(counted.used(DAY_S, 90 * HOUR), 1);
        assert_eq!(counted.used(DAY_S, 60 * HOUR), 2 - 1);
    }

    #[test]
    fn a_duplicate_is_later_than_the_lookback() {
        let history = history(&[10]);
        assert!(history.duplicate(0, 10 * HOUR - 1));
        assert!(!history.duplicate(0, 10 * HOUR));
        assert!(!history.duplicate(1, 0));
    }

    #[test]
    fn transactional_instants_are_not_counted() {
        let mut history = history(&[]);
        history.insert(Entry { at: 5, message: 0, key: 3, channel: Channel::Email, counted: false });
        assert_eq!(history.counted(0).broken(&caps(1, 1, 4), Channel::Email, 6), None);
        assert!(history.duplicate(3, 0));
        history.remove(0);
        assert!(!history.duplicate(3, 0));
    }
}
