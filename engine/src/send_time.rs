//! Send time: the instant of a message where the minutes that the kernels found may be full.
//!
//! The rule (contract, section 4, step 6): a minute that `per_minute` has filled is not permitted. High urgency takes
//! the first permitted minute that has a place; normal and low the hour of highest weight that has one, of equals the
//! earliest, and in it the minute that the recipient's spread points at or, where that is full, the next one of the
//! hour, from its last on to its first; where no hour has one, the first after. What was asked for by `send_at` and is
//! full goes to the next permitted minute. `kernels.send_time` finds the same for whole columns while nothing is full.

use crate::budget_manager::Fit;
use crate::minutes::{Places, minute_of};
use crate::permission::{MINUTE_S, Permission, minute_from};
use crate::zones::Clock;

const HOUR_S: i64 = 3600;
const HOUR_MINUTES: i64 = 60;

/// Seconds after a clock change in which local times may repeat; as in `kernels.local_hours`.
const CHANGE_REACH_S: i64 = 90_000;

/// How a send time is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Asked for, or at once.
    Fixed,
    /// The first permitted minute.
    First,
    /// A minute of the best hour before this instant.
    BestHour { horizon: i64 },
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    At(i64),
    Nowhere,
    /// Only the ledger knows.
    Ask,
}

/// Whoever may get a message, from when on.
#[derive(Clone, Copy, Debug)]
pub struct SendTime<'a> {
    pub clock: Clock<'a>,
    pub permission: Permission,
    pub starts_at: Option<i64>,
    pub now: i64,
}

impl SendTime<'_> {
    /// The minute under way, or the first of the period.
    pub fn first_minute(&self) -> i64 {
        match self.starts_at {
            Some(starts_at) if starts_at > self.now => minute_from(starts_at),
            _ => minute_of(self.now) * MINUTE_S,
        }
    }

    /// The first permitted minute with a place, of those that begin at or after `from`.
    pub fn first_from(&self, from: i64, places: &mut impl Places) -> Found {
        let mut from = from;
        while let Some(minute) = self.first_open(from, places) {
            match places.fit(minute_of(minute)) {
                Fit::Yes => return Found::At(minute.max(self.now)),
                Fit::Ask => return Found::Ask,
                Fit::No => from = minute + MINUTE_S,
            }
        }
        Found::Nowhere
    }

    /// The first permitted minute that is not known to be full, of those that begin at or after `from`.
    fn first_open(&self, from: i64, places: &impl Places) -> Option<i64> {
        let mut from = from;
        loop {
            let minute = self.permission.first_from(self.clock, from)?;
            from = places.next_open(minute_of(minute)) * MINUTE_S;
            if from <= minute {
                return Some(minute);
            }
        }
    }

    /// A minute of the best hour with a place before `horizon`, else the first after.
    pub fn in_best_hour(&self, horizon: i64, weights: &[f64], spread: u64, places: &mut impl Places) -> Found {
        // A queue may have filled every hour: said without a look at each.
        if self.first_open(self.first_minute(), places).is_none_or(|minute| minute >= horizon) {
            return self.first_from(self.first_minute().max(minute_from(horizon)), places);
        }
        for wall in self.hours_by_weight(horizon, weights) {
            if self.steady_from(wall).is_some_and(|first| places.next_open(first) >= first + HOUR_MINUTES) {
                continue; // Full: said without a look at each minute.
            }
            let minutes = self.minutes_of_hour(wall, horizon);
            let (Some(first), Some(last)) = (minutes.first(), minutes.last()) else { continue };
            if places.next_open(*first) > *last {
                continue;
            }
            let start = (spread % minutes.len() as u64) as usize;
            for minute in minutes[start..].iter().chain(&minutes[..start]) {
                match places.fit(*minute) {
                    Fit::Yes => return Found::At((minute * MINUTE_S).max(self.now)),
                    Fit::Ask => return Found::Ask,
                    Fit::No => {}
                }
            }
        }
        self.first_from(self.first_minute().max(minute_from(horizon)), places)
    }

    /// The local seconds at which hours begin that may have a minute before `horizon`: the best first, of equals the
    /// earliest.
    fn hours_by_weight(&self, horizon: i64, weights: &[f64]) -> Vec<i64> {
        let hour_of = |instant: i64| (instant + self.clock.offset_at(instant)).div_euclid(HOUR_S);
        let first = hour_of(self.first_minute()) - CHANGE_REACH_S / HOUR_S;
        let last = hour_of(horizon) + CHANGE_REACH_S / HOUR_S;
        let weight = |hour: &i64| weights.get(hour.rem_euclid(24) as usize).copied().unwrap_or_default();
        let mut hours: Vec<i64> = (first..=last).collect();
        hours.sort_by(|one, other| weight(other).total_cmp(&weight(one)));
        hours.into_iter().map(|hour| hour * HOUR_S).collect()
    }

    /// The first of the sixty minutes of a local hour that begins with a UTC minute and in which no clock changes.
    fn steady_from(&self, wall: i64) -> Option<i64> {
        let begin = self.clock.reaches(wall, self.first_minute() - CHANGE_REACH_S);
        let (offset, change) = self.clock.span_at(begin);
        let steady = begin + offset == wall && begin.rem_euclid(MINUTE_S) == 0 && change - HOUR_S >= begin;
        steady.then(|| minute_of(begin))
    }

    /// The permitted minutes of a local hour before `horizon`, full or not, in minutes since the epoch. A wall time
    /// that is skipped stands for the first minute after the gap, one that comes twice for its first occurrence.
    fn minutes_of_hour(&self, wall: i64, horizon: i64) -> Vec<i64> {
        let first_minute = self.first_minute();
        let upper = self.permission.ends_at.map_or(horizon, |ends_at| horizon.min(ends_at));
        let permitted = |minute: i64, local: i64| {
            (first_minute..upper).contains(&(minute * MINUTE_S)) && self.permission.permits(local)
        };
        if let Some(first) = self.steady_from(wall) {
            let local = |minute| wall.div_euclid(MINUTE_S) + minute - first;
            return (first..first + HOUR_MINUTES).filter(|minute| permitted(*minute, local(*minute))).collect();
        }
        let mut minutes = Vec::with_capacity(60);
        let mut before = None;
        for wall in (wall..wall + HOUR_S).step_by(MINUTE_S as usize) {
            let minute = minute_of(self.clock.reaches(wall, first_minute - CHANGE_REACH_S));
            let begin = minute * MINUTE_S;
            let local = (begin + self.clock.offset_at(begin)).div_euclid(MINUTE_S);
            if before != Some(minute) && permitted(minute, local) {
                minutes.push(minute);
            }
            before = Some(minute);
        }
        minutes
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::minutes::tests::campaign;
    use crate::minutes::{Minutes, Real};
    use crate::zones::Zones;

    const NOON: i64 = 12 * HOUR_S;

    fn send_time(zones: &Zones, now: i64, window: (u16, u16)) -> SendTime<'_> {
        let permission = Permission { ends_at: None, window, quiet: (21 * 60, 8 * 60) };
        SendTime { clock: zones.clock(0), permission, starts_at: None, now }
    }

    fn filled(full: impl Iterator<Item = i64>, open: i64) -> Minutes {
        let mut minutes = Minutes::default();
        for minute in full {
            minutes.grant(minute, 0, true, 0);
        }
        minutes.grant(open, 1, false, 0);
        minutes
    }

    #[test]
    fn a_full_minute_gives_way_to_the_next_over_the_night() {
        let zones = Zones::default();
        let minutes = filled(12 * 60..21 * 60, 32 * 60);
        let found = send_time(&zones, NOON + 7, (0, 0)).first_from(NOON, &mut Real::new(&campaign(minutes), None));
        assert_eq!(found, Found::At(32 * HOUR_S));
        let asking = filled(12 * 60..13 * 60, 0);
        let found = send_time(&zones, NOON, (0, 0)).first_from(NOON, &mut Real::new(&campaign(asking), None));
        assert_eq!(found, Found::Ask);
    }

    /// Counts the looks at minutes, and the jumps to the next open one.
    struct Counting<'a>(Real<'a>, usize, Cell<usize>);

    impl Places for Counting<'_> {
        fn fit(&mut self, minute: i64) -> Fit {
            self.1 += 1;
            self.0.fit(minute)
        }
        fn next_open(&self, minute: i64) -> i64 {
            self.2.set(self.2.get() + 1);
            self.0.next_open(minute)
        }
    }

    #[test]
    fn a_queue_of_weeks_is_passed_over_day_by_day() {
        let zones = Zones::default();
        let by_day = |day: i64| (day * 24 * 60 + 8 * 60)..(day * 24 * 60 + 21 * 60);
        let campaign = campaign(filled((0..21).flat_map(by_day), (21 * 24 + 8) * 60));
        let mut places = Counting(Real::new(&campaign, None), 0, Cell::new(0));
        let found = send_time(&zones, NOON, (0, 0)).in_best_hour(NOON + 72 * HOUR_S, &[0.2; 24], 7, &mut places);
        assert_eq!((found, places.1), (Found::At((21 * 24 + 8) * HOUR_S), 1));
        assert!(places.2.get() < 60, "{}", places.2.get());
    }

    #[test]
    fn an_hour_that_is_full_is_passed_over_without_a_look_at_its_minutes() {
        let zones = Zones::default();
        let campaign = campaign(filled(12 * 60..21 * 60, 32 * 60));
        let mut places = Counting(Real::new(&campaign, None), 0, Cell::new(0));
        let found = send_time(&zones, NOON, (0, 0)).in_best_hour(NOON + 24 * HOUR_S, &[0.2; 24], 7, &mut places);
        assert_eq!((found, places.1), (Found::Ask, 1)); // The hash points at 08:07, of which only the ledger knows.
    }

    #[test]
    fn an_hour_without_a_change_has_the_minutes_that_the_clock_reaches() {
        // From 02:30 to 03:00, back again at 12:00, and an odd offset from 20:00:30 UTC on.
        let begins = vec![i64::MIN, 9_000, 39_600, 72_030];
        let zones = Zones::new(begins, vec![0, 1800, 0, 1172], vec![0, 4]).unwrap();
        let by_day = SendTime { now: 0, ..send_time(&zones, 0, (60, 20 * 60)) };
        for wall in (-2..30).map(|hour| hour * HOUR_S) {
            let mut reached: Vec<i64> = (0..60)
                .map(|minute| minute_of(by_day.clock.reaches(wall + minute * MINUTE_S, -CHANGE_REACH_S)))
                .filter(|minute| {
                    let local = minute * MINUTE_S + by_day.clock.offset_at(minute * MINUTE_S);
                    (0..NOON * 2).contains(&(minute * MINUTE_S))
                        && by_day.permission.permits(local.div_euclid(MINUTE_S))
                })
                .collect();
            reached.dedup();
            assert_eq!(by_day.minutes_of_hour(wall, NOON * 2), reached, "{wall}");
        }
    }

    #[test]
    fn the_hour_goes_round_before_the_next_best_is_taken() {
        let zones = Zones::default();
        let mut weights = [0.2; 24];
        weights[18] = 1.0;
        let best = |minutes: Minutes| {
            let campaign = campaign(minutes);
            let mut places = Real::new(&campaign, None);
            send_time(&zones, NOON, (0, 0)).in_best_hour(NOON + 24 * HOUR_S, &weights, 59, &mut places)
        };
        assert_eq!(best(filled(18 * 60 + 59..19 * 60, 18 * 60)), Found::At(18 * HOUR_S));
        assert_eq!(best(filled(18 * 60..19 * 60, 12 * 60 + 59)), Found::At(NOON + 59 * 60));
        let all = (12 * 60..21 * 60).chain(32 * 60..36 * 60);
        assert_eq!(best(filled(all, 36 * 60)), Found::At(36 * HOUR_S));
    }
}
