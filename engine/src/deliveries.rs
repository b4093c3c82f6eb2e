//! Deliveries: what is known of messages beyond themselves once a dispatcher has claimed them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::charges::Charge;
use crate::touched::Touched;

/// A dispatcher's right to call the provider, which ends by itself.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// It holds in [.., until), seconds since the epoch.
    pub until: i64,
    /// Whether the provider may have been called by it.
    pub started: bool,
}

/// What a provider said of an attempt.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub provider_id: Option<Box<str>>,
    pub detail: Option<Box<str>>,
}

#[derive(Clone, Debug, Default, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// How often the message was claimed; the last claim has this number.
    pub claims: u32,
    pub claim: Option<Claim>,
    /// Asked for by the provider, which would not take it yet.
    pub not_before: Option<i64>,
    /// Whether the attempt that may have been taken is to be made again, which its provider will know.
    pub again: bool,
    /// When a provider took it.
    pub sent_at: Option<i64>,
    /// Of the message's attempts, by place; of later ones nothing was said.
    pub notes: Vec<Note>,
    /// Of attempts that failed and cost all the same.
    pub charges: Vec<Charge>,
}

/// Those of a shard, by the message's index.
#[derive(Debug, Default)]
pub struct Deliveries {
    entries: BTreeMap<u32, Delivery>,
    /// (until, message) of every claim.
    ends: BTreeSet<(i64, u32)>,
    pub(crate) touched: Touched,
}

/// The ends follow from the entries.
impl Hash for Deliveries {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Deliveries { entries, ends: _, touched: _ } = self;
        entries.hash(state);
    }
}

impl Deliveries {
    pub fn get(&self, message: u32) -> Option<&Delivery> {
        self.entries.get(&message)
    }

    /// When the message was sent.
    pub fn sent_at(&self, message: u32) -> Option<i64> {
        self.get(message)?.sent_at
    }

    /// The claim that holds, by its number.
    pub fn claim(&self, message: u32, number: u32) -> Option<Claim> {
        self.get(message).filter(|delivery| delivery.claims == number)?.claim
    }

    /// What a provider said of an attempt of the message.
    pub fn note(&self, message: u32, attempt: usize) -> Option<&Note> {
        self.get(message)?.notes.get(attempt)
    }

    pub fn change(&mut self, message: u32, change: impl FnOnce(&mut Delivery)) {
        let entry = self.entries.entry(message).or_default();
        let before = entry.claim;
        change(entry);
        let after = entry.claim;
        if let Some(claim) = before {
            self.ends.remove(&(claim.until, message));
        }
        if let Some(claim) = after {
            self.ends.insert((claim.until, message));
        }
        self.touched.touch(message as usize);
    }

    /// A message whose claim is over at `now`.
    pub fn over(&self, now: i64) -> Option<u32> {
        self.ends.first().filter(|(until, _)| *until <= now).map(|(_, message)| *message)
    }

    /// Leaves nothing that may name a person.
    pub fn forget(&mut self, message: u32) {
        if self.get(message).is_some_and(|delivery| !delivery.notes.is_empty()) {
            self.change(message, |delivery| delivery.notes.clear());
        }
    }

    pub fn entries(&self) -> &BTreeMap<u32, Delivery> {
        &self.entries
    }

    /// As they were written down.
    pub fn restored(entries: BTreeMap<u32, Delivery>) -> Self {
        let ends = entries.iter().filter_map(|(message, delivery)| Some((delivery.claim?.until, *message))).collect();
        Deliveries { entries, ends, touched: Touched::default() }
    }
}
