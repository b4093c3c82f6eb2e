//! State hash: a digest over everything that a shard knows. Equal states have equal ones, whatever way led to them.
//!
//! The structs of the state derive `Hash`, so that a field added to one of them counts by itself; a float is to be
//! hashed by its bits (`to_bits`). Written by hand is only what no derive can know, always over every field: one that
//! is added does not compile until it is said here whether it is state.
//!
//! Not state: what follows from the rest (indexes, tables), the zone tables and what else is configured, and what lies between a shard and its
//! ledger: slices that are held, the ledger's word on them, and money that came back and was not told yet. All that
//! is settled anew whenever a shard begins a life.

use std::hash::{Hash, Hasher};

use xxhash_rust::xxh3::Xxh3Default;

use crate::budget_manager::{Balance, Balances};
use crate::engagement::Counts;
use crate::shard::Shard;

impl Shard {
    /// XXH3-128 over the state. Comparable between builds of the same version for the same machine.
    pub fn state_hash(&self) -> u128 {
        let Shard {
            roster,
            messages,
            deliveries,
            keys,
            campaigns,
            event_ids,
            kept_answers,
            latest,
            due: _,
            zones: _,
            decay: _,
            charged: _,
            success_within_s: _,
            campaign_index: _,
            freed: _,
            before: _,
            effects: _,
        } = self;
        let mut digest = Xxh3Default::new();
        (roster, messages, deliveries, keys, campaigns, event_ids, kept_answers, latest).hash(&mut digest);
        digest.digest128()
    }
}

impl Hash for Counts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (as_of, delivered, engaged) = self.parts();
        (as_of, delivered.to_bits(), engaged.to_bits()).hash(state);
    }
}

impl Hash for Balance {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Balance { spent, held: _, last: _, excess: _ } = self;
        spent.hash(state);
    }
}

/// Days of which nothing was spent may be there or not: a slice that was granted makes one. Minutes are the campaign's.
impl Hash for Balances {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Balances { total, channels, days, minutes: _ } = self;
        (total, channels).hash(state);
        for (day, balance) in days.iter().filter(|(_, day)| (day.money.spent, day.messages.spent) != (0, 0)) {
            (day, balance).hash(state);
        }
        days.values().filter(|day| (day.money.spent, day.messages.spent) != (0, 0)).count().hash(state);
    }
}

#[cfg(test)]
mod tests;
