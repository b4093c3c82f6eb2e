//! Charges: what attempts cost that failed.
//!
//! The rule (contract, section 4): a failed attempt gives back its cost, unless its channel charges for failures. Such a
//! channel charges for attempts that were made: the provider was called, or may have been. Their cost stays committed in
//! the buckets that it was taken from, and is spent; their place in the day and in the minute is free again. The next
//! attempt costs on top of it what it costs itself.

use serde::{Deserialize, Serialize};

use crate::budget_manager::Place;
use crate::shard::Shard;
use crate::words::Channel;

/// The cost of an attempt that failed and was charged.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub channel: Channel,
    /// The campaign's local day that the attempt was scheduled for.
    pub day: i32,
    /// Micro-units.
    pub cost: i64,
}

impl Shard {
    /// What the attempt under way of a message gives back if it fails.
    pub(crate) fn comes_back(&self, index: u32) -> Place {
        let message = self.messages.get(index);
        let is_charged = self.was_made(index) && self.charged & message.channel.bit() != 0;
        let place = message.place();
        if is_charged { Place { cost: 0, ..place } } else { place }
    }

    /// Whether the provider was called, or may have been, for the attempt under way of a message.
    pub(crate) fn was_made(&self, index: u32) -> bool {
        let claim = self.deliveries.get(index).and_then(|delivery| delivery.claim);
        self.messages.get(index).may_be_out() || claim.is_some_and(|claim| claim.started)
    }
}
