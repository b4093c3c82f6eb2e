//! Budget manager, the part that spends: what a shard may spend of a campaign, bucket by bucket.
//!
//! The rule: a shard spends only from slices it holds. The ledger owns every limit and grants slices; a bucket
//! that holds too little is a refusal only once the ledger has said that there is no more (`last`), and until
//! then a question to it.

use std::collections::BTreeMap;

use crate::campaign::Limited;
use crate::minutes::Minutes;
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
    /// Messages in a UTC minute, by minutes since the epoch.
    Minute(i64),
}

/// What a message takes of its campaign's buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub channel: usize,
    /// The campaign's local day of its instant.
    pub day: i32,
    /// The UTC minute of its instant.
    pub minute: i64,
    /// Micro-units.
    pub cost: i64,
}

impl Bucket {
    /// As the pair (kind, key) that Python and the ledger use.
    pub fn pair(self) -> (u8, i64) {
        match self {
            Bucket::Total => (0, 0),
            Bucket::Channel(channel) => (1, i64::from(channel)),
            Bucket::DayMoney(day) => (2, i64::from(day)),
            Bucket::DayMessages(day) => (3, i64::from(day)),
            Bucket::Minute(minute) => (4, minute),
        }
    }

    pub fn from_pair(kind: u8, key: i64) -> Option<Self> {
        match kind {
            0 => Some(Bucket::Total),
            1 => u8::try_from(key).ok().filter(|channel| usize::from(*channel) < CHANNEL_COUNT).map(Bucket::Channel),
            2 => i32::try_from(key).ok().map(Bucket::DayMoney),
            3 => i32::try_from(key).ok().map(Bucket::DayMessages),
            4 => Some(Bucket::Minute(key)),
            _ => None,
        }
    }
}

/// One bucket on a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Spent by this shard in all its lives.
    pub spent: i64,
    /// Granted and not spent.
    pub held: i64,
    /// The ledger has no more than what was granted.
    pub last: bool,
    /// How much more is committed than the limit allows, which has come down: known with the ledger's last word.
    pub excess: i64,
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
    pub fn and(self, other: Fit) -> Fit {
        match (self, other) {
            (Fit::No, _) | (_, Fit::No) => Fit::No,
            (Fit::Ask, _) | (_, Fit::Ask) => Fit::Ask,
            (Fit::Yes, Fit::Yes) => Fit::Yes,
        }
    }
}

impl Balance {
    pub fn fit(&self, amount: i64) -> Fit {
        // A rehearsal may hold less than nothing; what costs nothing always fits.
        if amount <= self.held.max(0) {
            Fit::Yes
        } else if self.last {
            Fit::No
        } else {
            Fit::Ask
        }
    }

    pub fn spend(&mut self, amount: i64, limited: bool) {
        self.spent += amount;
        if limited {
            self.held -= amount;
        }
    }

    /// Where the ledger's last word stands, what comes back beyond the excess can be spent here again; elsewhere it is
    /// the ledger's to grant.
    pub fn give_back(&mut self, amount: i64) {
        self.spent -= amount;
        if self.last {
            let absorbed = amount.min(self.excess);
            self.excess -= absorbed;
            self.held += amount - absorbed;
        }
    }

    /// Takes what the ledger granted.
    pub fn grant(&mut self, amount: i64, last: bool, excess: i64) {
        self.held += amount;
        self.last = last;
        self.excess = excess;
    }

    /// Gives back all that is held, and with it the ledger's word; what was spent stays.
    pub fn release(&mut self) {
        *self = Balance { spent: self.spent, ..Balance::default() };
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
    /// Counted only while the campaign has a `per_minute`.
    pub minutes: Minutes,
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
    /// `given_back` is a place that is about to come back.
    pub fn fit_money(&self, limited: Limited, place: &Place, given_back: Option<&Place>) -> Fit {
        let after = |mut balance: Balance, is_its: bool| {
            if let Some(back) = given_back.filter(|_| is_its) {
                balance.give_back(back.cost);
            }
            balance
        };
        let total = after(self.total, true);
        // Every amount here is at most the total: where that is full, nothing more can be counted.
        let mut fit = if total.spent.checked_add(place.cost).is_some() { Fit::Yes } else { Fit::No };
        if limited.total {
            fit = fit.and(total.fit(place.cost));
        }
        if limited.channels & (1 << place.channel) != 0 {
            let is_its = given_back.is_some_and(|back| back.channel == place.channel);
            fit = fit.and(after(self.channels[place.channel], is_its).fit(place.cost));
        }
        if limited.daily {
            let is_its = given_back.is_some_and(|back| back.day == place.day);
            fit = fit.and(after(self.day(place.day).money, is_its).fit(place.cost));
        }
        fit
    }

    /// Step 5: is a message of that day left? `given_back` as in `fit_money`.
    pub fn fit_message(&self, limited: Limited, day: i32, given_back: Option<&Place>) -> Fit {
        if !limited.daily_messages {
            return Fit::Yes;
        }
        let mut balance = self.day(day).messages;
        if given_back.is_some_and(|back| back.day == day) {
            balance.give_back(1);
        }
        balance.fit(1)
    }

    /// Step 8: commits a message's cost and its place.
    pub fn commit(&mut self, limited: Limited, place: &Place) {
        self.total.spend(place.cost, limited.total);
        self.channels[place.channel].spend(place.cost, limited.channels & (1 << place.channel) != 0);
        let day = self.days.entry(place.day).or_default();
        day.money.spend(place.cost, limited.daily);
        day.messages.spend(1, limited.daily_messages);
        if limited.per_minute {
            self.minutes.spend(place.minute);
        }
    }

    /// Counts what a message that was written down took, its minute apart; None if that cannot be counted.
    pub fn recount(&mut self, place: &Place) -> Option<()> {
        self.recount_cost(place.channel, place.day, place.cost)?;
        self.days.entry(place.day).or_default().messages.spent += 1;
        Some(())
    }

    /// The same of an amount alone.
    pub fn recount_cost(&mut self, channel: usize, day: i32, cost: i64) -> Option<()> {
        let day = self.days.entry(day).or_default();
        let spent = [&mut self.total, &mut self.channels[channel], &mut day.money].map(|balance| &mut balance.spent);
        for spent in spent {
            *spent = spent.checked_add(cost)?;
        }
        Some(())
    }

    /// Gives back a message's cost and its place.
    pub fn give_back(&mut self, limited: Limited, place: &Place) {
        self.total.give_back(place.cost);
        self.channels[place.channel].give_back(place.cost);
        let day = self.days.entry(place.day).or_default();
        day.money.give_back(place.cost);
        day.messages.give_back(1);
        if limited.per_minute {
            self.minutes.give_back(place.minute);
        }
    }

    /// Takes what the ledger granted in answer to a question that came with all that was spent.
    pub fn grant(&mut self, grants: impl Iterator<Item = (Bucket, i64, bool, i64)>) {
        self.minutes.confirm();
        for (bucket, amount, last, excess) in grants {
            self.change(bucket, |balance| balance.grant(amount, last, excess));
        }
    }

    /// Gives back all that is held and says what was spent, bucket by bucket; of the minutes those that the ledger may
    /// not know. `keep_full` as in `Minutes::release`.
    pub fn release(&mut self, keep_full: bool) -> Vec<(Bucket, i64)> {
        let mut spent = Vec::with_capacity(8 + 2 * self.days.len());
        let mut give_back = |bucket, balance: &mut Balance| {
            balance.release();
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
            .extend(self.minutes.release(keep_full).into_iter().map(|(minute, taken)| (Bucket::Minute(minute), taken)));
        spent
    }

    /// A bucket's balance, all zero where nothing is known of it.
    pub(crate) fn balance(&self, bucket: Bucket) -> Balance {
        match bucket {
            Bucket::Total => self.total,
            Bucket::Channel(channel) => self.channels[usize::from(channel)],
            Bucket::DayMoney(day) => self.day(day).money,
            Bucket::DayMessages(day) => self.day(day).messages,
            Bucket::Minute(minute) => self.minutes.balance(minute),
        }
    }

    /// Changes a bucket's balance.
    pub(crate) fn change(&mut self, bucket: Bucket, change: impl FnOnce(&mut Balance)) {
        match bucket {
            Bucket::Total => change(&mut self.total),
            Bucket::Channel(channel) => change(&mut self.channels[usize::from(channel)]),
            Bucket::DayMoney(day) => change(&mut self.days.entry(day).or_default().money),
            Bucket::DayMessages(day) => change(&mut self.days.entry(day).or_default().messages),
            Bucket::Minute(minute) => self.minutes.change(minute, |known| change(&mut known.balance)),
        }
    }

    /// Every bucket that was ever used.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        let channels = (0..CHANNEL_COUNT).map(|channel| Bucket::Channel(channel as u8));
        let days = self.days.keys().flat_map(|day| [Bucket::DayMoney(*day), Bucket::DayMessages(*day)]);
        [Bucket::Total].into_iter().chain(channels).chain(days).chain(self.minutes.keys().map(Bucket::Minute)).collect()
    }
}

/// What the rest of a batch would like to spend: the question to the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs(pub BTreeMap<Bucket, i64>);

impl Needs {
    /// Adds a message's place, its minute apart.
    pub fn add(&mut self, limited: Limited, place: &Place) {
        if limited.total {
            self.add_to(Bucket::Total, place.cost);
        }
        if limited.channels & (1 << place.channel) != 0 {
            self.add_to(Bucket::Channel(place.channel as u8), place.cost);
        }
        if limited.daily {
            self.add_to(Bucket::DayMoney(place.day), place.cost);
        }
        if limited.daily_messages {
            self.add_to(Bucket::DayMessages(place.day), 1);
        }
    }

    /// Adds the places that a walk may want of minutes.
    pub fn add_minutes(&mut self, wanted: impl Iterator<Item = (i64, i64)>) {
        for (minute, places) in wanted {
            self.add_to(Bucket::Minute(minute), places);
        }
    }

    fn add_to(&mut self, bucket: Bucket, amount: i64) {
        // No ledger has more than fits: what is asked beyond it makes no difference.
        let sum = self.0.entry(bucket).or_default();
        *sum = sum.saturating_add(amount);
    }
}

#[cfg(test)]
mod tests;
