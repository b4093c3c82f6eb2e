//! Deliveries: what is known of messages beyond themselves once a dispatcher has claimed them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::charges::Charge;
use crate::silence::GivenUp;
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
    /// How often its attempt on this channel was put off by the provider, or made without a word of what became of it.
    pub tries: u32,
    pub claim: Option<Claim>,
    /// Whether the claim made last was for an attempt that may have been taken before.
    pub repeats: bool,
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
    /// By when an event of success must come, while it is sent and other channels are left.
    pub success_by: Option<i64>,
    /// Attempts that were sent, and of which none came in time.
    pub given_up: Vec<GivenUp>,
}

impl Delivery {
    /// What was said of the attempt at a place.
    pub fn note_mut(&mut self, attempt: usize) -> &mut Note {
        if self.notes.len() <= attempt {
            self.notes.resize(attempt + 1, Note::default());
        }
        &mut self.notes[attempt]
    }
}

/// Those of a shard, by the message's index.
#[derive(Debug, Default)]
pub struct Deliveries {
    entries: BTreeMap<u32, Delivery>,
    /// (until, message) of every claim.
    ends: BTreeSet<(i64, u32)>,
    /// (success_by, message) of every limit.
    limits: BTreeSet<(i64, u32)>,
    /// Those that were changed since noting began, as they were: only such that there were then.
    before: Option<BTreeMap<u32, Delivery>>,
    pub(crate) touched: Touched,
}

/// Ends and limits follow from the entries.
impl Hash for Deliveries {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Deliveries { entries, ends: _, limits: _, before: _, touched: _ } = self;
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
    pub fn note_of(&self, message: u32, attempt: usize) -> Option<&Note> {
        self.get(message)?.notes.get(attempt)
    }

    pub fn change<R>(&mut self, message: u32, change: impl FnOnce(&mut Delivery) -> R) -> R {
        let entry = self.entries.entry(message).or_default();
        if let Some(before) = &mut self.before {
            before.entry(message).or_insert_with(|| entry.clone());
        } else {
            self.touched.touch(message as usize);
        }
        let before = times(entry);
        let changed = change(entry);
        let after = times(entry);
        for (ordered, before, after) in [(&mut self.ends, before.0, after.0), (&mut self.limits, before.1, after.1)] {
            if let Some(time) = before {
                ordered.remove(&(time, message));
            }
            if let Some(time) = after {
                ordered.insert((time, message));
            }
        }
        changed
    }

    /// From now on changes are noted, to be undone: no message is claimed meanwhile that was not before.
    pub(crate) fn note(&mut self) {
        self.before = Some(BTreeMap::new());
    }

    /// Puts everything back as it was when noting began.
    pub(crate) fn undo(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        for (message, delivery) in self.before.take().unwrap_or_default() {
            self.change(message, |changed| *changed = delivery);
        }
        self.touched = touched;
    }

    /// A message whose claim is over at `now`.
    pub fn over(&self, now: i64) -> Option<u32> {
        self.ends.first().filter(|(until, _)| *until <= now).map(|(_, message)| *message)
    }

    /// The first limit that is over at `now`, after one that was looked at: when it was over, and the message.
    pub fn silent(&self, after: Option<(i64, u32)>, now: i64) -> Option<(i64, u32)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.limits.range((from, Bound::Unbounded)).next().copied().filter(|(by, _)| *by <= now)
    }

    /// All attempts that were given up, with their messages.
    pub fn given_up(&self) -> impl Iterator<Item = (u32, &GivenUp)> {
        self.entries
            .iter()
            .flat_map(|(message, delivery)| delivery.given_up.iter().map(|given_up| (*message, given_up)))
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
        let ends = entries.iter().filter_map(|(message, delivery)| Some((times(delivery).0?, *message))).collect();
        let limits = entries.iter().filter_map(|(message, delivery)| Some((times(delivery).1?, *message))).collect();
        Deliveries { entries, ends, limits, before: None, touched: Touched::default() }
    }
}

/// When its claim ends, and its limit.
fn times(delivery: &Delivery) -> (Option<i64>, Option<i64>) {
    (delivery.claim.map(|claim| claim.until), delivery.success_by)
}
