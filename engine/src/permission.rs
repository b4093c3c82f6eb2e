//! Permission: the first minute at which somebody may be reached.
//!
//! The rule (contract, section 4, step 6): inside the campaign's period and send window, outside the recipient's
//! quiet hours, in the recipient's zone. `kernels.send_time` asks it for whole columns; here it is asked for the few
//! rows whose instant depends on what the walk has decided before, and must give the same answers.

use crate::zones::Clock;

pub const MINUTE_S: i64 = 60;
const DAY_MINUTES: i64 = 1440;

/// When somebody may be reached. Windows are half-open minutes of the local day, may cross midnight, and say nothing
/// where start equals end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Instants from here on are too late.
    pub ends_at: Option<i64>,
    pub window: (u16, u16),
    pub quiet: (u16, u16),
}

/// The first full minute that begins at or after an instant.
pub fn minute_from(instant: i64) -> i64 {
    -(-instant).div_euclid(MINUTE_S) * MINUTE_S
}

/// Whether [start, end) of the day, which may cross midnight, holds the minute; never if start == end.
fn is_inside(minute_of_day: i64, (start, end): (u16, u16)) -> bool {
    let (start, end) = (i64::from(start), i64::from(end));
    if start <= end { (start..end).contains(&minute_of_day) } else { minute_of_day >= start || minute_of_day < end }
}

impl Permission {
    /// The first permitted minute that begins at or after `instant`, the period's begin apart.
    pub fn first_from(&self, clock: Clock<'_>, instant: i64) -> Option<i64> {
        let ends_at = self.ends_at.unwrap_or(i64::MAX);
        let mut minute = minute_from(instant);
        while minute < ends_at {
            let (offset_s, change) = clock.span_at(minute);
            let mut waited = 0;
            while minute < change.min(ends_at) {
                let wait = self.wait_minutes((minute + offset_s).div_euclid(MINUTE_S).rem_euclid(DAY_MINUTES));
                if wait == 0 {
                    return Some(minute);
                }
                waited += wait;
                if waited >= DAY_MINUTES {
                    return None; // No minute of any day is permitted.
                }
                minute += wait * MINUTE_S;
            }
            if minute >= change {
                minute = minute_from(change);
            }
        }
        None
    }

    /// Whether a minute, counted from any local midnight, is permitted by window and quiet hours.
    pub fn permits(&self, local_minute: i64) -> bool {
        self.wait_minutes(local_minute.rem_euclid(DAY_MINUTES)) == 0
    }

    /// 0 if the minute of the day is permitted, else how long the first rule that forbids it does so.
    fn wait_minutes(&self, minute_of_day: i64) -> i64 {
        let (start, end) = self.window;
        if start != end && !is_inside(minute_of_day, self.window) {
            (i64::from(start) - minute_of_day).rem_euclid(DAY_MINUTES)
        } else if is_inside(minute_of_day, self.quiet) {
            (i64::from(self.quiet.1) - minute_of_day).rem_euclid(DAY_MINUTES)
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zones::Zones;

    const HOUR: i64 = 3600;
    const BY_NIGHT: (u16, u16) = (21 * 60, 8 * 60);

    fn permission(window: (u16, u16), quiet: (u16, u16)) -> Permission {
        Permission { ends_at: None, window, quiet }
    }

    #[test]
    fn quiet_hours_and_the_window_are_waited_for() {
        let zones = Zones::default();
        let by_day = permission((9 * 60, 17 * 60), BY_NIGHT);
        assert_eq!(by_day.first_from(zones.clock(0), 7 * HOUR), Some(9 * HOUR));
        assert_eq!(by_day.first_from(zones.clock(0), 10 * HOUR + 1), Some(10 * HOUR + 60));
        assert_eq!(by_day.first_from(zones.clock(0), 17 * HOUR), Some(33 * HOUR));
        assert_eq!(permission((0, 0), BY_NIGHT).first_from(zones.clock(0), 22 * HOUR), Some(32 * HOUR));
        assert_eq!(permission((22 * 60, 60), BY_NIGHT).first_from(zones.clock(0), 0), None);
    }

    #[test]
    fn the_end_of_the_period_is_too_late() {
        let zones = Zones::default();
        let ending = Permission { ends_at: Some(8 * HOUR), ..permission((0, 0), BY_NIGHT) };
        assert_eq!(ending.first_from(zones.clock(0), 0), None);
        assert_eq!(Permission { ends_at: Some(8 * HOUR + 1), ..ending }.first_from(zones.clock(0), 0), Some(8 * HOUR));
    }

    #[test]
    fn a_clock_that_jumps_over_the_window_waits_for_the_next_day() {
        // At 02:00 the clock goes to 03:00: the window of that hour does not come that day.
        let zones = Zones::new(vec![i64::MIN, 2 * HOUR], vec![0, 3600], vec![0, 2]).unwrap();
        let in_the_gap = permission((2 * 60, 3 * 60), (0, 0));
        assert_eq!(in_the_gap.first_from(zones.clock(0), 0), Some(25 * HOUR));
    }
}
