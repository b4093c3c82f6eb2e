//! Budget manager, the part that spends: what a shard may spend of a campaign, bucket by bucket.
//!
//! The rule: a shard spends only from slices it holds. The ledger owns every limit and grants slices; a bucket
//! that holds too little is a refusal only once the ledger has said that there is no more (`last`), and until
//! then a question to it.

use std::collections::BTreeMap;

use crate::campaign::Limited;
use crate::words::CHANNEL_COUNT;

/// What a limit can be set on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bucket {
    /// Micro-units of the whole campaign.
    Total,
    /// Micro-units on a channel.
    Channel(u8),
    /// Micro-units on a local day of the campaign.
    DayMoney(i32),
    /// Messages on a local day of the campaign.
    DayMessages(i32),
}

impl Bucket {
    /// As the pair (kind, key) that Python and the ledger use.
    pub fn pair(self) -> (u8, i32) {
        match self {
            Bucket::Total => (0, 0),
            Bucket::Channel(channel) => (1, i32::from(channel)),
            Bucket::DayMoney(day) => (2, day),
            Bucket::DayMessages(day) => (3, day),
        }
    }

    pub fn from_pair(kind: u8, key: i32) -> Option<Self> {
        match kind {
            0 => Some(Bucket::Total),
            1 => u8::try_from(key).ok().filter(|channel| usize::from(*channel) < CHANNEL_COUNT).map(Bucket::Channel),
            2 => Some(Bucket::DayMoney(key)),
            3 => Some(Bucket::DayMessages(key)),
            _ => None,
        }
    }
}

/// One bucket on a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Spent by this shard since it started.
    pub spent: i64,
    /// Granted and not spent.
    pub held: i64,
    /// The ledger has no more than what was granted.
    pub last: bool,
    /// More is committed than the limit allows, which has come down.
    pub overdrawn: bool,
}

/// Whether an amount can be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Yes,
    No,
    /// Only the ledger knows.
    Ask,
}

impl Fit {
    fn and(self, other: Fit) -> Fit {
        match (self, other) {
            (Fit::No, _) | (_, Fit::No) => Fit::No,
            (Fit::Ask, _) | (_, Fit::Ask) => Fit::Ask,
            (Fit::Yes, Fit::Yes) => Fit::Yes,
        }
    }
}

impl Balance {
    fn fit(&self, amount: i64) -> Fit {
        // A rehearsal may hold less than nothing; what costs nothing always fits.
        if amount <= self.held.max(0) {
            Fit::Yes
        } else if self.last {
            Fit::No
        } else {
            Fit::Ask
        }
    }

    fn spend(&mut self, amount: i64, limited: bool) {
        self.spent += amount;
        if limited {
            self.held -= amount;
        }
    }

    /// Where the ledger's last word stands, the limit has not come down since, and what comes back can be spent here
    /// again; elsewhere it is the ledger's to grant.
    fn give_back(&mut self, amount: i64) {
        self.spent -= amount;
        if self.last && !self.overdrawn {
            self.held += amount;
        } else {
            self.last = false;
        }
    }
}

/// The buckets of one local day.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub struct DayBalance {
    pub money: Balance,
    pub messages: Balance,
}

/// All buckets of a campaign on a shard.
#[derive(Clone, Debug, Default)]
pub struct Balances {
    pub total: Balance,
    pub channels: [Balance; CHANNEL_COUNT],
    pub days: BTreeMap<i32, DayBalance>,
}

impl Balances {
    fn day(&self, day: i32) -> DayBalance {
        self.days.get(&day).copied().unwrap_or_default()
    }

    /// The buckets of a message on a channel and day: the total, the channel's, the day's money, its messages.
    pub fn of(&self, channel: usize, day: i32) -> [Balance; 4] {
        let day = self.day(day);
        [self.total, self.channels[channel], day.money, day.messages]
    }

    /// Step 4 for one channel: does its cost fit what is left of the total, the channel's and the day's budget?
    pub fn fit_money(&self, limited: Limited, channel: usize, day: i32, cost: i64) -> Fit {
        // Every amount here is at most the total: where that is full, nothing more can be counted.
        let mut fit = if self.total.spent.checked_add(cost).is_some() { Fit::Yes } else { Fit::No };
        if limited.total {
            fit = fit.and(self.total.fit(cost));
        }
        if limited.channels & (1 << channel) != 0 {
            fit = fit.and(self.channels[channel].fit(cost));
        }
        if limited.daily {
            fit = fit.and(self.day(day).money.fit(cost));
        }
        fit
    }

    /// Step 5: is a message of that day left?
    pub fn fit_message(&self, limited: Limited, day: i32) -> Fit {
        if limited.daily_messages { self.day(day).messages.fit(1) } else { Fit::Yes }
    }

    /// Step 8: commits a message's cost and its place.
    pub fn commit(&mut self, limited: Limited, channel: usize, day: i32, cost: i64) {
        self.total.spend(cost, limited.total);
        self.channels[channel].spend(cost, limited.channels & (1 << channel) != 0);
        let day = self.days.entry(day).or_default();
        day.money.spend(cost, limited.daily);
        day.messages.spend(1, limited.daily_messages);
    }

    /// Gives back a message's cost and its place.
    pub fn give_back(&mut self, channel: usize, day: i32, cost: i64) {
        self.total.give_back(cost);
        self.channels[channel].give_back(cost);
        let day = self.days.entry(day).or_default();
        day.money.give_back(cost);
        day.messages.give_back(1);
    }

    /// Takes what the ledger granted.
    pub fn grant(&mut self, bucket: Bucket, amount: i64, last: bool, overdrawn: bool) {
        let balance = self.balance_mut(bucket);
        balance.held += amount;
        balance.last = last;
        balance.overdrawn = overdrawn;
    }

    /// Gives back all that is held and says what was spent, bucket by bucket.
    pub fn release(&mut self) -> Vec<(Bucket, i64)> {
        let mut spent = Vec::with_capacity(8 + 2 * self.days.len());
        let mut give_back = |bucket, balance: &mut Balance| {
            balance.held = 0;
            balance.last = false;
            balance.overdrawn = false;
            spent.push((bucket, balance.spent));
        };
        give_back(Bucket::Total, &mut self.total);
        for (channel, balance) in self.channels.iter_mut().enumerate() {
            give_back(Bucket::Channel(channel as u8), balance);
        }
        for (day, balance) in &mut self.days {
            give_back(Bucket::DayMoney(*day), &mut balance.money);
            give_back(Bucket::DayMessages(*day), &mut balance.messages);
        }
        spent
    }

    pub(crate) fn balance_mut(&mut self, bucket: Bucket) -> &mut Balance {
        match bucket {
            Bucket::Total => &mut self.total,
            Bucket::Channel(channel) => &mut self.channels[usize::from(channel)],
            Bucket::DayMoney(day) => &mut self.days.entry(day).or_default().money,
            Bucket::DayMessages(day) => &mut self.days.entry(day).or_default().messages,
        }
    }
}

/// What the rest of a batch would like to spend: the question to the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs(pub BTreeMap<Bucket, i64>);

impl Needs {
    /// Adds a message on a channel and day.
    pub fn add(&mut self, limited: Limited, channel: usize, day: i32, cost: i64) {
        // No ledger has more than fits: what is asked beyond it makes no difference.
        let mut need = |bucket, amount: i64| {
            let sum = self.0.entry(bucket).or_default();
            *sum = sum.saturating_add(amount);
        };
        if limited.total {
            need(Bucket::Total, cost);
        }
        if limited.channels & (1 << channel) != 0 {
            need(Bucket::Channel(channel as u8), cost);
        }
        if limited.daily {
            need(Bucket::DayMoney(day), cost);
        }
        if limited.daily_messages {
            need(Bucket::DayMessages(day), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITED: Limited = Limited { total: true, channels: 0b10, daily: false, daily_messages: true };

    #[test]
    fn an_empty_bucket_asks_until_the_ledger_said_its_last_word() {
        let mut balances = Balances::default();
        assert_eq!(balances.fit_money(LIMITED, 0, 5, 10), Fit::Ask);
        balances.grant(Bucket::Total, 15, true, false);
        assert_eq!(balances.fit_money(LIMITED, 0, 5, 10), Fit::Yes);
        assert_eq!(balances.fit_money(LIMITED, 1, 5, 10), Fit::Ask);
        balances.grant(Bucket::DayMessages(5), 1, true, false);
        balances.commit(LIMITED, 0, 5, 10);
        assert_eq!(balances.fit_money(LIMITED, 0, 5, 10), Fit::No);
        assert_eq!(balances.fit_money(LIMITED, 0, 5, 5), Fit::Yes);
        assert_eq!(balances.fit_message(LIMITED, 5), Fit::No);
        assert_eq!(balances.fit_message(LIMITED, 6), Fit::Ask);
    }

    #[test]
    fn what_is_given_back_is_spent_again_where_the_last_word_stands() {
        let mut balances = Balances::default();
        balances.grant(Bucket::Total, 10, true, false);
        balances.grant(Bucket::DayMessages(1), 1, false, false);
        balances.commit(LIMITED, 0, 1, 10);
        assert_eq!(balances.fit_money(LIMITED, 0, 1, 10), Fit::No);
        balances.give_back(0, 1, 10);
        assert_eq!(balances.fit_money(LIMITED, 0, 1, 10), Fit::Yes);
        assert_eq!(balances.fit_message(LIMITED, 1), Fit::Ask);
        assert!(balances.release().iter().all(|(_, spent)| *spent == 0));
        assert_eq!(balances.total, Balance::default());
    }

    #[test]
    fn what_is_given_back_to_an_overdrawn_budget_is_the_ledgers() {
        let mut balances = Balances::default();
        balances.grant(Bucket::Total, 10, false, false);
        balances.commit(LIMITED, 0, 1, 10);
        balances.release();
        balances.grant(Bucket::Total, 0, true, true);
        balances.give_back(0, 1, 10);
        assert_eq!((balances.total.held, balances.total.spent), (0, 0));
        assert_eq!(balances.fit_money(LIMITED, 0, 1, 10), Fit::Ask);
    }

    #[test]
    fn a_release_gives_back_all_that_is_held_and_every_last_word_and_keeps_what_was_spent() {
        let limited = Limited { total: true, channels: 1, daily: true, daily_messages: true };
        let buckets = [Bucket::Total, Bucket::Channel(0), Bucket::DayMoney(5), Bucket::DayMessages(5)];
        let mut balances = Balances::default();
        for bucket in buckets {
            balances.grant(bucket, 20, true, false);
        }
        balances.commit(limited, 0, 5, 10);
        for _ in 0..2 {
            let spent: BTreeMap<_, _> = balances.release().into_iter().collect();
            assert_eq!(buckets.map(|bucket| spent[&bucket]), [10, 10, 10, 1]);
        }
        for bucket in buckets {
            let balance = balances.balance_mut(bucket);
            assert_eq!((balance.held, balance.last), (0, false), "{bucket:?}");
        }
        assert_eq!(balances.fit_money(limited, 0, 5, 10), Fit::Ask);
        assert_eq!(balances.fit_message(limited, 5), Fit::Ask);
    }

    #[test]
    fn what_has_no_limit_is_counted_and_owes_nothing_once_it_has_one() {
        let mut balances = Balances::default();
        balances.commit(Limited::default(), 0, 5, 10);
        balances.grant(Bucket::Total, 10, true, false);
        assert_eq!(balances.total, Balance { spent: 10, held: 10, last: true, overdrawn: false });
    }
}
