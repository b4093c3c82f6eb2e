//! Rehearsal: the walk of a dry run on the real state, and everything put back afterwards.
//!
//! The rule (contract, section 5): a dry run decides everything and changes nothing. Later rows must see what earlier
//! ones would have done, so the very same walk runs; the lists note what it touches (`crate::undoable`), here is the
//! rest. A rehearsal must be ended before anybody else looks: before the ledger is asked, too, which may have this
//! shard give back its slices meanwhile and say what it spent.

//!
//! Money: the shard's slices are spent and put back like everything else. Beside them a rehearsal knows what the same
//! dry run would have spent on other shards before (`taken`): that is taken off what is held, which may then be less
//! than nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::admission::Admission;
use crate::budget_manager::{Balance, Bucket};
use crate::campaign::{Campaign, Limited};
use crate::shard::Shard;

/// Micro-units, or messages, by bucket.
pub type Amounts = BTreeMap<Bucket, i64>;

/// What the lists do not note themselves.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    freed: BTreeSet<u32>,
    latest: i64,
}

impl Shard {
    /// From now on everything is noted, to be undone. One that was not ended is undone first.
    pub fn begin_rehearsal(&mut self) {
        self.end_rehearsal();
        // Every field: whoever adds one says here how it is put back.
        let Shard {
            roster,
            messages,
            deliveries,
            keys,
            campaigns,
            freed,
            latest,
            before,
            zones: _,
            decay: _,
            charged: _,
            success_within_s: _,
            campaign_index: _, // no campaign is put meanwhile,
            effects: _,        // and nothing written down,
            event_ids: _,      // no event is taken,
            due: _,            // none waits that stays,
            kept_answers: _,   // and no answer is kept
        } = self;
        roster.note();
        messages.note();
        deliveries.note();
        campaigns.note();
        keys.note();
        *before = Some(Before { freed: freed.clone(), latest: *latest });
    }

    /// Puts everything back as it was when the rehearsal began.
    pub fn end_rehearsal(&mut self) {
        let Some(before) = self.before.take() else { return };
        self.roster.undo();
        self.messages.undo();
        self.deliveries.undo();
        self.campaigns.undo();
        self.keys.undo();
        self.freed = before.freed;
        self.latest = before.latest;
    }
}

impl Shard {
    /// Whether a rehearsal is under way.
    pub fn rehearses(&self) -> bool {
        self.before.is_some()
    }

    /// Lays out the money of a rehearsal before its first row is decided: what was `taken` before by the same dry
    /// run elsewhere; less than nothing if it would free some, which makes up for what is overdrawn first.
    pub fn lay_out(&mut self, campaign: u32, taken: &Amounts) {
        let Campaign { rules, balances, .. } = &mut self.campaigns[campaign as usize];
        for (bucket, amount) in taken.iter().filter(|(bucket, _)| rules.limited.on(**bucket)) {
            balances.change(*bucket, |balance| {
                let absorbed = amount.saturating_neg().clamp(0, balance.excess);
                balance.excess -= absorbed;
                balance.held = balance.held.saturating_sub(amount.saturating_add(absorbed));
            });
        }
    }

    /// What the ledger must grant for the rehearsal to get from its first row to the end, where the walk stopped for
    /// what the `rest` of the rows needs.
    pub fn rehearsal_needs(&self, campaign: u32, rest: Amounts) -> Amounts {
        let mut needs = rest;
        for (bucket, before, now) in self.changes(campaign) {
            // Neither side has more than fits: what is asked beyond it makes no difference.
            let used = before.held.saturating_sub(now.held);
            if used > 0 {
                let need = needs.entry(bucket).or_default();
                *need = need.saturating_add(used);
            }
        }
        needs
    }

    /// What the rehearsal spent of each bucket with a limit, less than nothing where it freed more.
    pub fn rehearsal_spent(&self, campaign: u32) -> Amounts {
        let spent = self.changes(campaign).map(|(bucket, before, now)| (bucket, now.spent - before.spent));
        spent.filter(|(_, amount)| *amount != 0).collect()
    }

    /// The buckets with a limit, each as it was before the rehearsal and as it is.
    fn changes(&self, campaign: u32) -> impl Iterator<Item = (Bucket, Balance, Balance)> {
        let now = &self.campaigns[campaign as usize];
        let before = self.campaigns.before(campaign as usize).unwrap_or(now);
        let buckets = now.balances.buckets().into_iter().filter(|bucket| now.rules.limited.on(*bucket));
        buckets.map(|bucket| (bucket, before.balances.balance(bucket), now.balances.balance(bucket)))
    }
}

impl Limited {
    /// Whether a bucket has a limit.
    fn on(self, bucket: Bucket) -> bool {
        match bucket {
            Bucket::Total => self.total,
            Bucket::Channel(channel) => self.channels & (1 << channel) != 0,
            Bucket::DayMoney(_) => self.daily,
            Bucket::DayMessages(_) => self.daily_messages,
            Bucket::Minute(_) => self.per_minute,
        }
    }
}

impl Admission {
    /// What was rehearsed is an answer alone: no message has a number, and no row touches the state any more.
    pub fn detach(&mut self) {
        self.answer.message_id.fill(0);
        for row in &mut self.rows {
            row.opted_out = 0;
        }
    }
}

#[cfg(test)]
mod tests;
