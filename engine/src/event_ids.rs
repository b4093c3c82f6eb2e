//! Event ids: each is taken once over all shards, for the message that came first with it.
//!
//! An id has a home shard, which binds it to the first message that exists and came with it; the message's shard notes
//! that it was applied. Whoever repeats a request that was broken off half-way meets the same binding, and an event is
//! applied once however often it comes. An id that came for no message is bound to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use crate::secret::Secret;
use crate::touched::TouchedKeys;

#[derive(Debug, Default)]
pub struct EventIds {
    secret: Secret,
    /// Digests of the ids that were applied to messages here.
    applied: BTreeSet<u128>,
    /// The number of the message that an id belongs to, by digests of the ids at home here.
    bound: BTreeMap<u128, u64>,
    pub(crate) touched_applied: TouchedKeys,
    pub(crate) touched_bound: TouchedKeys,
}

impl EventIds {
    pub fn new(secret: Secret) -> Self {
        EventIds { secret, ..EventIds::default() }
    }

    /// The same with what was written down.
    pub fn restored(self, applied: BTreeSet<u128>, bound: BTreeMap<u128, u64>) -> Self {
        EventIds { applied, bound, ..self }
    }

    /// Digests of the ids that were applied here, and the messages of those at home here.
    pub fn digests(&self) -> (&BTreeSet<u128>, &BTreeMap<u128, u64>) {
        (&self.applied, &self.bound)
    }

    pub fn applied(&self, id: &str) -> bool {
        self.applied.contains(&self.secret.digest(id.as_bytes()))
    }

    pub fn note_applied(&mut self, id: &str) {
        let id = self.secret.digest(id.as_bytes());
        self.applied.insert(id);
        self.touched_applied.touch(id);
    }

    /// At home: the message that an id belongs to. It is `message` from now on where it belonged to none.
    pub fn bind(&mut self, id: &str, message: Option<u64>) -> Option<u64> {
        let id = self.secret.digest(id.as_bytes());
        match (self.bound.get(&id), message) {
            (Some(bound), _) => Some(*bound),
            (None, Some(message)) => {
                self.touched_bound.touch(id);
                Some(*self.bound.entry(id).or_insert(message))
            }
            (None, None) => None,
        }
    }

    /// At home: the message is gone and the event was not applied, so the id is free again.
    pub fn unbind(&mut self, id: &str, message: u64) {
        let id = self.secret.digest(id.as_bytes());
        if self.bound.get(&id) == Some(&message) {
            self.bound.remove(&id);
            self.touched_bound.touch(id);
        }
    }
}

/// What was applied and bound; the secret is no state.
impl Hash for EventIds {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let EventIds { secret: _, applied, bound, touched_applied: _, touched_bound: _ } = self;
        (applied, bound).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_message_that_exists_keeps_the_id() {
        let mut ids = EventIds::default();
        assert_eq!(ids.bind("e", None), None);
        assert_eq!(ids.bind("e", Some(1)), Some(1));
        assert_eq!(ids.bind("e", Some(2)), Some(1));
        assert_eq!(ids.bind("e", None), Some(1));
        ids.unbind("e", 2);
        assert_eq!(ids.bind("e", Some(2)), Some(1));
        ids.unbind("e", 1);
        assert_eq!(ids.bind("e", Some(2)), Some(2));
    }

    #[test]
    fn what_was_applied_is_known_again_and_cannot_be_read() {
        let mut ids = EventIds::new(Secret::new([7; 16]));
        assert!(!ids.applied("ana opened"));
        ids.note_applied("ana opened");
        assert!(ids.applied("ana opened"));
        assert!(!format!("{ids:?}").contains("ana"));
    }
}
