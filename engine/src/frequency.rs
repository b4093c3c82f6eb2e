//! Frequency caps and channel gaps: what a recipient's instants allow.
//!
//! The rules (contract, section 4, step 2):
//! - cap: no span of 24 h (168 h), half-open, holds more than `daily_cap` (`weekly_cap`) counted instants, past and
//!   scheduled together; two instants exactly a span apart share none;
//! - gap: on one channel, two counted instants are at least `gap` apart;
//! - transactional messages are neither held nor counted.

use smallvec::SmallVec;

use crate::deduplicator::History;
use crate::words::{CHANNEL_COUNT, Channel, ChannelMask, channels_of};

pub const HOUR_S: i64 = 3600;
pub const DAY_S: i64 = 24 * HOUR_S;
pub const WEEK_S: i64 = 7 * DAY_S;
const NEXT_ELIGIBLE_WITHIN_S: i64 = 14 * DAY_S;
const DEFER_WITHIN_S: i64 = 7 * DAY_S;

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
    /// What a decision at `now` can meet: instants older than a week share no span with it.
    pub fn of(history: &History, now: i64) -> Self {
        let recent = history.later_than(now.saturating_sub(WEEK_S));
        Counted(recent.iter().filter(|entry| entry.counted).map(|entry| (entry.at, entry.channel)).collect())
    }

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

    /// Seconds from an instant to the nearest on a channel.
    pub fn nearest_s(&self, channel: Channel, at: i64) -> Option<i64> {
        self.0.iter().filter(|(_, used)| *used == channel).map(|(other, _)| (at - other).abs()).min()
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
            match self.blocked_until(caps, channel, at) {
                None => return Some(at),
                Some(later) => at = later,
            }
        }
        None
    }

    /// The first minute after the instant `refused`, to `now` + 7 days, that caps and gap admit on a channel;
    /// `permitted` gives the first permitted minute from an instant on.
    pub fn defer(
        &self,
        caps: &Caps,
        channel: Channel,
        refused: i64,
        now: i64,
        mut permitted: impl FnMut(i64) -> Option<i64>,
    ) -> Option<i64> {
        if caps.daily == 0 || caps.weekly == 0 {
            return None;
        }
        let mut from = refused + 1;
        loop {
            let minute = permitted(from).filter(|minute| *minute <= now + DEFER_WITHIN_S)?;
            match self.blocked_until(caps, channel, minute) {
                None => return Some(minute),
                Some(later) => from = later,
            }
        }
    }

    /// If caps or gap refuse a message on a channel at `at`: the end of the first span that does. No cap may be 0.
    fn blocked_until(&self, caps: &Caps, channel: Channel, at: i64) -> Option<i64> {
        self.run_end(caps.daily, DAY_S, at)
            .or_else(|| self.run_end(caps.weekly, WEEK_S, at))
            .or_else(|| self.gap_blocker(caps, channel, at))
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
    use crate::deduplicator::Entry;
    use crate::permission::minute_from;

    const HOUR: i64 = 3600;

    fn counted(hours: &[i64], now: i64) -> Counted {
        let mut history = History::default();
        for (message, hour) in hours.iter().enumerate() {
            let entry = Entry {
                at: hour * HOUR,
                message: message as u32,
                key: 0,
                channel: Channel::Email,
                counted: true,
                given_up: false,
            };
            history.insert(entry);
        }
        Counted::of(&history, now)
    }

    fn caps(daily: u32, weekly: u32, gap_hours: i64) -> Caps {
        Caps { daily, weekly, gaps_s: [gap_hours * HOUR; CHANNEL_COUNT] }
    }

    #[test]
    fn instants_exactly_a_day_apart_share_no_span() {
        let counted = counted(&[0, 10, 20], 0);
        assert_eq!(counted.broken(&caps(3, 9, 0), Channel::Sms, 24 * HOUR), None);
        assert_eq!(counted.broken(&caps(3, 9, 0), Channel::Sms, 24 * HOUR - 1), Some(Broken::Daily));
        assert_eq!(counted.next_eligible(&caps(3, 9, 0), 0b10, 0), Some(24 * HOUR));
    }

    #[test]
    fn a_scheduled_message_holds_the_time_before_it_too() {
        let counted = counted(&[30], 0);
        assert_eq!(counted.broken(&caps(1, 9, 0), Channel::Sms, 7 * HOUR), Some(Broken::Daily));
        assert_eq!(counted.broken(&caps(1, 9, 0), Channel::Sms, 6 * HOUR), None);
        assert_eq!(counted.next_eligible(&caps(1, 9, 0), 0b10, 7 * HOUR), Some(54 * HOUR));
    }

    #[test]
    fn the_gap_counts_on_its_channel_alone_and_both_ways() {
        let counted = counted(&[10], 0);
        assert_eq!(counted.broken(&caps(9, 9, 4), Channel::Email, 7 * HOUR), Some(Broken::Gap));
        assert_eq!(counted.broken(&caps(9, 9, 4), Channel::Email, 6 * HOUR), None);
        assert_eq!(counted.broken(&caps(9, 9, 4), Channel::Email, 14 * HOUR), None);
        assert_eq!(counted.broken(&caps(9, 9, 4), Channel::Sms, 10 * HOUR), None);
    }

    #[test]
    fn a_cap_of_zero_admits_nothing() {
        let counted = counted(&[], 0);
        assert_eq!(counted.broken(&caps(0, 9, 0), Channel::Sms, 0), Some(Broken::Daily));
        assert_eq!(counted.next_eligible(&caps(0, 9, 0), 0b10, 0), None);
    }

    #[test]
    fn the_weekly_cap_frees_after_a_week() {
        let counted = counted(&[0, 40, 80], 90 * HOUR);
        assert_eq!(counted.broken(&caps(9, 3, 0), Channel::Sms, 90 * HOUR), Some(Broken::Weekly));
        assert_eq!(counted.next_eligible(&caps(9, 3, 0), 0b10, 90 * HOUR), Some(168 * HOUR));
        assert_eq!(counted.used(WEEK_S, 90 * HOUR), 3);
        assert_eq!(counted.used(DAY_S, 90 * HOUR), 1);
        assert_eq!(counted.used(DAY_S, 60 * HOUR), 2 - 1);
    }

    #[test]
    fn what_is_refused_is_deferred_to_the_first_permitted_minute_that_is_free() {
        let counted = counted(&[0, 10, 20], 0);
        let caps = caps(3, 9, 0);
        let any = |from| Some(minute_from(from));
        assert_eq!(counted.defer(&caps, Channel::Sms, 5 * HOUR, 0, any), Some(24 * HOUR));
        let by_the_hour = |from: i64| Some((from + 30 * 60 - 1).div_euclid(HOUR) * HOUR + 30 * 60);
        assert_eq!(counted.defer(&caps, Channel::Sms, 5 * HOUR, 0, by_the_hour), Some(24 * HOUR + 30 * 60));
        assert_eq!(counted.defer(&caps, Channel::Sms, 5 * HOUR, 0, |_| None), None);
        let none = Caps { weekly: 0, ..caps };
        assert_eq!(counted.defer(&none, Channel::Sms, 5 * HOUR, 0, any), None);
    }

    #[test]
    fn seven_days_from_now_is_the_last_minute_to_defer_to() {
        let counted = counted(&[0, 24, 48], 0);
        let caps = caps(9, 3, 0);
        let any = |from| Some(minute_from(from));
        assert_eq!(counted.defer(&caps, Channel::Sms, 0, 0, any), Some(168 * HOUR));
        assert_eq!(counted.defer(&caps, Channel::Sms, 0, -1, any), None);
    }

    #[test]
    fn transactional_instants_are_not_counted() {
        let mut history = History::default();
        history.insert(Entry { at: 5, message: 0, key: 3, channel: Channel::Email, counted: false, given_up: false });
        assert_eq!(Counted::of(&history, 0).broken(&caps(1, 1, 4), Channel::Email, 6), None);
    }
}
