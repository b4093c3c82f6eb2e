//! Minutes: what a shard may put of a campaign's messages into each UTC minute.
//!
//! The rule (contract, section 4, step 6): no UTC minute holds more than `per_minute` of a campaign's messages. A
//! minute is a bucket like any other: the ledger grants places in it, and its word that there is none left holds until
//! places may have come back, since nobody else held one then and whoever gives one back tells the ledger.
//!
//! A campaign fills many minutes, so unlike other buckets these are reported only where something changed since a
//! report that the ledger is known to have.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::budget_manager::{Balance, Fit};
use crate::campaign::Campaign;
use crate::permission::MINUTE_S;

/// The UTC minute that holds an instant, in minutes since the epoch.
pub fn minute_of(instant: i64) -> i64 {
    instant.div_euclid(MINUTE_S)
}

/// Who knows whether a minute has a place left.
pub trait Places {
    /// Whether a message fits into a minute.
    fn fit(&mut self, minute: i64) -> Fit;

    /// The first minute from `minute` on that is not known to be full.
    fn next_open(&self, minute: i64) -> i64;
}

/// The minutes of a campaign on a shard.
#[derive(Clone, Debug, Default)]
pub struct Minutes {
    minutes: BTreeMap<i64, Minute>,
    /// By UTC hour since the epoch: which of its 60 minutes are known to be full. Follows from `minutes`.
    full: HashMap<i64, u64>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Minute {
    pub(crate) balance: Balance,
    /// Whether the ledger may have another number for `balance.spent`.
    unreported: bool,
}

impl Minutes {
    /// A minute's balance, all zero where nothing is known of it.
    pub fn balance(&self, minute: i64) -> Balance {
        self.minutes.get(&minute).map(|known| known.balance).unwrap_or_default()
    }

    /// The minutes of which anything is known.
    pub fn keys(&self) -> impl Iterator<Item = i64> {
        self.minutes.keys().copied()
    }

    /// (minute, messages) of the minutes that hold any.
    pub fn taken(&self) -> impl Iterator<Item = (i64, i64)> {
        self.minutes.iter().map(|(minute, known)| (*minute, known.balance.spent)).filter(|(_, taken)| *taken != 0)
    }

    pub(crate) fn change(&mut self, minute: i64, change: impl FnOnce(&mut Minute)) {
        let known = self.minutes.entry(minute).or_default();
        change(known);
        let (hour, bit) = (minute.div_euclid(60), 1_u64 << minute.rem_euclid(60));
        if known.balance.fit(1) == Fit::No {
            *self.full.entry(hour).or_default() |= bit;
        } else if let Some(mask) = self.full.get_mut(&hour) {
            *mask &= !bit;
        }
    }

    /// A message takes a place.
    pub fn spend(&mut self, minute: i64) {
        self.change(minute, |known| {
            known.balance.spend(1, true);
            known.unreported = true;
        });
    }

    /// A message gives its place back.
    pub fn give_back(&mut self, minute: i64) {
        self.change(minute, |known| {
            known.balance.give_back(1);
            known.unreported = true;
        });
    }

    /// As `Balances::grant` of a minute.
    #[cfg(test)]
    pub(crate) fn grant(&mut self, minute: i64, amount: i64, last: bool, excess: i64) {
        self.change(minute, |known| known.balance.grant(amount, last, excess));
    }

    /// The ledger answered a question that came with everything unreported.
    pub fn confirm(&mut self) {
        for known in self.minutes.values_mut() {
            known.unreported = false;
        }
    }

    /// Gives back all places that are held; (minute, spent) of those that the ledger may not know. With `keep_full`
    /// the word that a minute is full still stands: nothing of it was held, so nothing of it comes free.
    pub fn release(&mut self, keep_full: bool) -> Vec<(i64, i64)> {
        for known in self.minutes.values_mut() {
            if !(keep_full && known.balance.fit(1) == Fit::No) {
                known.balance.release();
            }
        }
        if !keep_full {
            self.full.clear();
        }
        let unreported = self.minutes.iter().filter(|(_, known)| known.unreported);
        unreported.map(|(minute, known)| (*minute, known.balance.spent)).collect()
    }

    /// Counts anew what is in each minute, for a campaign whose minutes were not counted before.
    pub fn recount(&mut self, taken: impl Iterator<Item = i64>) {
        self.full.clear();
        for known in self.minutes.values_mut() {
            *known = Minute { balance: Balance::default(), unreported: true };
        }
        for minute in taken {
            let known = self.minutes.entry(minute).or_default();
            known.balance.spent += 1;
            known.unreported = true;
        }
    }

    /// The first minute from `minute` on that is not known to be full.
    pub fn next_open(&self, minute: i64) -> i64 {
        self.next_open_beside(minute, &HashMap::new())
    }

    /// The same, where other minutes are full, too; as `full`.
    fn next_open_beside(&self, minute: i64, others: &HashMap<i64, u64>) -> i64 {
        let mut minute = minute;
        loop {
            let (hour, place) = (minute.div_euclid(60), minute.rem_euclid(60));
            let mask_of = |full: &HashMap<i64, u64>| full.get(&hour).copied().unwrap_or_default();
            let open = !(mask_of(&self.full) | mask_of(others)) >> place;
            let within = i64::from(open.trailing_zeros());
            if place + within < 60 {
                return minute + within;
            }
            minute = (hour + 1) * 60;
        }
    }
}

/// The places of a campaign as they are, apart from one that a message is about to give back.
pub struct Real<'a> {
    minutes: &'a Minutes,
    limited: bool,
    given_back: Option<i64>,
    looked_at: SmallVec<[i64; 8]>,
}

impl<'a> Real<'a> {
    pub fn new(campaign: &'a Campaign, given_back: Option<i64>) -> Self {
        let limited = campaign.rules.limited.per_minute;
        Real { minutes: &campaign.balances.minutes, limited, given_back, looked_at: SmallVec::new() }
    }

    /// A place in every minute that was looked at and is not known to be full: what the same look wants, asked again.
    pub fn wanted(&self) -> impl Iterator<Item = (i64, i64)> {
        self.looked_at.iter().map(|minute| (*minute, 1))
    }
}

impl Places for Real<'_> {
    fn fit(&mut self, minute: i64) -> Fit {
        if !self.limited {
            return Fit::Yes;
        }
        let mut balance = self.minutes.balance(minute);
        if self.given_back == Some(minute) {
            balance.give_back(1);
        }
        let fit = balance.fit(1);
        if fit != Fit::No && !self.looked_at.contains(&minute) {
            self.looked_at.push(minute);
        }
        fit
    }

    fn next_open(&self, minute: i64) -> i64 {
        if !self.limited {
            return minute;
        }
        let open = self.minutes.next_open(minute);
        self.given_back.filter(|back| (minute..open).contains(back)).unwrap_or(open)
    }
}

/// The places of a campaign as they may turn out: a minute that only the ledger knows has room until `limit` messages
/// were put there. Notes how many places of which minutes the walk may want.
pub struct Tentative<'a> {
    minutes: &'a Minutes,
    limit: Option<i64>,
    wanted: BTreeMap<i64, i64>,
    /// As `Minutes::full`, for those that the walk would fill.
    full: HashMap<i64, u64>,
}

impl<'a> Tentative<'a> {
    pub fn new(campaign: &'a Campaign) -> Self {
        let limit = campaign.rules.limited.per_minute.then_some(campaign.rules.per_minute);
        Tentative { minutes: &campaign.balances.minutes, limit, wanted: BTreeMap::new(), full: HashMap::new() }
    }

    /// A message would take a place.
    pub fn take(&mut self, minute: i64) {
        let Some(limit) = self.limit else { return };
        let wanted = self.wanted.entry(minute).or_default();
        *wanted += 1;
        if *wanted >= limit {
            *self.full.entry(minute.div_euclid(60)).or_default() |= 1 << minute.rem_euclid(60);
        }
    }

    fn would_be_full(&self, minute: i64) -> bool {
        self.full.get(&minute.div_euclid(60)).is_some_and(|mask| mask >> minute.rem_euclid(60) & 1 != 0)
    }

    /// (minute, places) of every minute looked at that is not known to be full; one where none would be taken.
    pub fn wanted(&self) -> impl Iterator<Item = (i64, i64)> {
        self.wanted.iter().map(|(minute, wanted)| (*minute, (*wanted).max(1)))
    }
}

impl Places for Tentative<'_> {
    fn fit(&mut self, minute: i64) -> Fit {
        if self.limit.is_none() {
            return Fit::Yes;
        }
        if self.minutes.balance(minute).fit(1) == Fit::No || self.would_be_full(minute) {
            return Fit::No;
        }
        self.wanted.entry(minute).or_default();
        Fit::Yes
    }

    fn next_open(&self, minute: i64) -> i64 {
        if self.limit.is_none() {
            return minute;
        }
        self.minutes.next_open_beside(minute, &self.full)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::budget_manager::Balances;
    use crate::campaign::{Limited, Rules};

    /// A campaign with two places a minute and these minutes.
    pub(crate) fn campaign(minutes: Minutes) -> Campaign {
        let limited = Limited { per_minute: true, ..Limited::default() };
        Campaign {
            rules: Rules { limited, per_minute: 2, ..Rules::default() },
            balances: Balances { minutes, ..Balances::default() },
            ..Campaign::default()
        }
    }

    fn granted(minute: i64, amount: i64, last: bool) -> Minutes {
        let mut minutes = Minutes::default();
        minutes.grant(minute, amount, last, 0);
        minutes
    }

    #[test]
    fn a_minute_is_full_once_the_ledger_said_so_and_open_again_when_a_message_goes() {
        assert_eq!(Real::new(&campaign(Minutes::default()), None).fit(100), Fit::Ask);
        let mut campaign = campaign(granted(100, 1, true));
        assert_eq!(Real::new(&campaign, None).fit(100), Fit::Yes);
        campaign.balances.minutes.spend(100);
        assert_eq!(Real::new(&campaign, None).fit(100), Fit::No);
        assert_eq!(Real::new(&campaign, None).next_open(100), 101);
        assert_eq!(Real::new(&campaign, Some(100)).fit(100), Fit::Yes);
        assert_eq!(Real::new(&campaign, Some(100)).next_open(99), 99);
        assert_eq!(Real::new(&campaign, Some(100)).next_open(100), 100);
        campaign.balances.minutes.give_back(100);
        assert_eq!(Real::new(&campaign, None).fit(100), Fit::Yes);
        assert_eq!(campaign.balances.minutes.next_open(100), 100);
    }

    #[test]
    fn without_a_limit_every_minute_has_room() {
        let mut unlimited = campaign(granted(100, 0, true));
        unlimited.rules.limited.per_minute = false;
        let (mut real, mut tentative) = (Real::new(&unlimited, None), Tentative::new(&unlimited));
        assert_eq!((real.fit(100), real.next_open(100)), (Fit::Yes, 100));
        assert_eq!((tentative.fit(100), tentative.next_open(100)), (Fit::Yes, 100));
        assert_eq!((real.wanted().count(), tentative.wanted().count()), (0, 0));
    }

    #[test]
    fn full_minutes_are_skipped_over_hours_and_before_the_epoch() {
        let mut minutes = Minutes::default();
        for minute in -70..130 {
            minutes.grant(minute, 0, true, 0);
        }
        assert_eq!((minutes.next_open(-71), minutes.next_open(-70), minutes.next_open(60)), (-71, 130, 130));
    }

    #[test]
    fn a_full_minute_stays_so_over_ones_own_question_and_not_over_a_recall() {
        let mut minutes = granted(7, 0, true);
        minutes.grant(8, 2, false, 0);
        minutes.spend(8);
        assert_eq!(minutes.release(true), [(8, 1)]);
        assert_eq!((minutes.balance(7).fit(1), minutes.balance(8).fit(1)), (Fit::No, Fit::Ask));
        minutes.release(false);
        assert_eq!((minutes.balance(7).fit(1), minutes.next_open(7)), (Fit::Ask, 7));
    }

    #[test]
    fn what_the_ledger_has_is_not_reported_again() {
        let mut minutes = granted(7, 2, false);
        minutes.spend(7);
        assert_eq!(minutes.release(true), [(7, 1)]);
        assert_eq!(minutes.release(true), [(7, 1)]);
        minutes.confirm();
        assert_eq!(minutes.release(true), []);
        minutes.give_back(7);
        assert_eq!(minutes.release(false), [(7, 0)]);
    }

    #[test]
    fn a_recount_reports_what_is_gone_too() {
        let mut minutes = Minutes::default();
        minutes.recount([5, 5].into_iter());
        minutes.confirm();
        minutes.recount([6].into_iter());
        assert_eq!(minutes.release(true), [(5, 0), (6, 1)]);
    }

    #[test]
    fn a_tentative_walk_fills_minutes_and_wants_what_it_looked_at() {
        let campaign = campaign(granted(5, 0, true));
        let mut tentative = Tentative::new(&campaign);
        assert_eq!((tentative.fit(5), tentative.next_open(5)), (Fit::No, 6));
        for _ in 0..2 {
            assert_eq!(tentative.fit(6), Fit::Yes);
            tentative.take(6);
        }
        assert_eq!((tentative.fit(6), tentative.next_open(5), tentative.fit(7)), (Fit::No, 7, Fit::Yes));
        assert_eq!(tentative.wanted().collect::<Vec<_>>(), [(6, 2), (7, 1)]);
    }

    #[test]
    fn a_tentative_walk_skips_known_and_its_own_full_minutes_in_one_go() {
        let mut minutes = Minutes::default();
        for minute in (0..600).step_by(2) {
            minutes.grant(minute, 0, true, 0);
        }
        let campaign = campaign(minutes);
        let mut tentative = Tentative::new(&campaign);
        for minute in (1..599).step_by(2) {
            assert_eq!(tentative.next_open(0), minute);
            tentative.take(minute);
            tentative.take(minute);
        }
        assert_eq!((tentative.next_open(-1), tentative.next_open(0)), (-1, 599));
    }
}
