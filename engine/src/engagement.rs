//! Engagement: how many messages arrived and how many were answered, the older the less.
//!
//! The rule (contract, section 4, step 3): a message counts once as delivered and once as engaged (opened, clicked,
//! replied to or converted), and counts decay with a half-life. What happened at t weighs 2^-((now - t) / half-life) at
//! now. A count is kept as what it weighed at some instant: all that is in it decays alike from there on (forward
//! decay, Cormode et al. 2009), so nothing has to be touched as time goes by.

use std::ops::IndexMut;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use crate::events::Success;
use crate::words::{CHANNEL_COUNT, Channel};

pub const HOURS: usize = 24;

/// How fast counts lose weight. The default keeps it for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decay {
    half_lives_per_s: f64,
}

impl Decay {
    pub fn of_half_life(seconds: f64) -> Self {
        Decay { half_lives_per_s: seconds.recip() }
    }

    /// What is left of 1 after some seconds; before, nothing is gained.
    fn over(self, seconds: i64) -> f64 {
        (-(seconds.max(0) as f64) * self.half_lives_per_s).exp2()
    }
}

/// Messages delivered and engaged, by their weight at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    as_of: i64,
    delivered: f64,
    engaged: f64,
}

impl Counts {
    fn add(&mut self, success: Success, at: i64, decay: Decay) {
        if at > self.as_of {
            let left = decay.over(at.saturating_sub(self.as_of));
            *self = Counts { as_of: at, delivered: self.delivered * left, engaged: self.engaged * left };
        }
        let weight = decay.over(self.as_of.saturating_sub(at));
        self.delivered += if success.delivered { weight } else { 0.0 };
        self.engaged += if success.engaged { weight } else { 0.0 };
    }

    /// All that there is: the instant, and what delivered and engaged weighed then.
    pub(crate) fn parts(&self) -> (i64, f64, f64) {
        let Counts { as_of, delivered, engaged } = *self;
        (as_of, delivered, engaged)
    }

    /// Weights at `now`: (delivered, engaged).
    fn at(&self, now: i64, decay: Decay) -> (f64, f64) {
        let left = decay.over(now.saturating_sub(self.as_of));
        (self.delivered * left, self.engaged * left)
    }
}

/// A person's own counts, on channels where there are any; mostly it is one.
#[derive(Clone, Debug, Default, Hash, Serialize, Deserialize)]
pub struct OwnCounts(SmallVec<[(Channel, Counts); 1]>);

impl OwnCounts {
    pub fn add(&mut self, channel: Channel, success: Success, at: i64, decay: Decay) {
        let place = self.0.iter().position(|(other, _)| *other == channel).unwrap_or_else(|| {
            self.0.push((channel, Counts::default()));
            self.0.len() - 1
        });
        self.0[place].1.add(success, at, decay);
    }

    /// Weights at `now` by channel: (delivered, engaged).
    pub fn at(&self, now: i64, decay: Decay) -> ([f64; CHANNEL_COUNT], [f64; CHANNEL_COUNT]) {
        let (mut delivered, mut engaged) = ([0.0; CHANNEL_COUNT], [0.0; CHANNEL_COUNT]);
        for (channel, counts) in &self.0 {
            (delivered[*channel as usize], engaged[*channel as usize]) = counts.at(now, decay);
        }
        (delivered, engaged)
    }
}

/// A campaign's counts by channel and by the local hour of the messages' instants.
#[derive(Clone, Debug, Default, Hash)]
pub struct HourlyCounts([[Counts; HOURS]; CHANNEL_COUNT]);

impl HourlyCounts {
    pub fn add(&mut self, channel: Channel, hour: usize, success: Success, at: i64, decay: Decay) {
        self.0[channel as usize][hour].add(success, at, decay);
    }

    /// Weights at `now`: all delivered and then all engaged ones, each by channel and hour.
    pub fn at(&self, now: i64, decay: Decay) -> Vec<f64> {
        let weights = || self.0.iter().flatten().map(|counts| counts.at(now, decay));
        weights().map(|(delivered, _)| delivered).chain(weights().map(|(_, engaged)| engaged)).collect()
    }
}

/// Written are the hours that have any, with channel and hour: most have none.
impl Serialize for HourlyCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let places = (0_u8..).zip(self.0.iter().flatten());
        places.filter(|(_, counts)| **counts != Counts::default()).collect::<Vec<_>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HourlyCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut hourly = HourlyCounts::default();
        for (place, counts) in Vec::<(u8, Counts)>::deserialize(deserializer)? {
            let hours = hourly.0.get_mut(usize::from(place) / HOURS);
            *hours.ok_or_else(|| serde::de::Error::custom("no such channel"))?.index_mut(usize::from(place) % HOURS) =
                counts;
        }
        Ok(hourly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: i64 = 86_400;
    const BOTH: Success = Success { delivered: true, engaged: true };
    const ARRIVED: Success = Success { delivered: true, engaged: false };

    fn counts(events: &[(i64, Success)]) -> Counts {
        let mut counts = Counts::default();
        for (at, success) in events {
            counts.add(*success, *at, Decay::of_half_life(90.0 * DAY_S as f64));
        }
        counts
    }

    #[test]
    fn a_half_life_halves_and_the_order_of_arrival_does_not_matter() {
        let decay = Decay::of_half_life(90.0 * DAY_S as f64);
        let old = (10 * DAY_S, ARRIVED);
        let new = (100 * DAY_S, BOTH);
        for events in [[old, new], [new, old]] {
            // The old one is 180 days old at day 190, the new one 90: 1/4 + 1/2 delivered, 1/2 engaged.
            assert_eq!(counts(&events).at(190 * DAY_S, decay), (0.75, 0.5));
        }
    }

    #[test]
    fn no_time_is_too_early_or_too_late() {
        let decay = Decay::of_half_life(1.0);
        let mut counts = Counts::default();
        for at in [i64::MIN, i64::MAX, 0] {
            counts.add(BOTH, at, decay);
        }
        assert_eq!(counts.at(i64::MAX, decay), (1.0, 1.0));
        assert_eq!(counts.at(i64::MIN, decay), (1.0, 1.0)); // nothing grows by looking back
        assert_eq!(Counts::default().at(i64::MIN, Decay::default()), (0.0, 0.0));
    }

    #[test]
    fn each_channel_and_hour_counts_for_itself() {
        let decay = Decay::default();
        let (mut own, mut hourly) = (OwnCounts::default(), HourlyCounts::default());
        for (channel, hour, success) in
            [(Channel::Sms, 23, BOTH), (Channel::Email, 0, ARRIVED), (Channel::Sms, 23, ARRIVED)]
        {
            own.add(channel, success, 0, decay);
            hourly.add(channel, hour, success, 0, decay);
        }
        assert_eq!(own.at(5, decay), ([1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
        let weights = hourly.at(5, decay);
        let places = |weights: &[f64]| -> Vec<(usize, f64)> {
            weights.iter().copied().enumerate().filter(|(_, weight)| *weight > 0.0).collect()
        };
        assert_eq!(places(&weights[..168]), [(0, 1.0), (24 + 23, 2.0)]);
        assert_eq!(places(&weights[168..]), [(24 + 23, 1.0)]);
    }
}
