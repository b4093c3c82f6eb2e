//! Deduplicator: a recipient's messages that have an instant, and whether one of them makes another a duplicate.
//!
//! The rule (contract, section 4, step 1): a message with the same key whose instant is later than now − lookback.
//! A message has one instant; beside it counts each of its attempts that was sent and given up ([`crate::silence`]).

use smallvec::SmallVec;

use crate::words::Channel;

/// An instant of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Seconds since the epoch.
    pub at: i64,
    /// Index of the message.
    pub message: u32,
    /// Interned deduplication key.
    pub key: u32,
    pub channel: Channel,
    /// Counted in caps and gaps: not transactional.
    pub counted: bool,
    /// Of an attempt that was sent and given up, and not of the one under way.
    pub given_up: bool,
}

/// The instants of a recipient's messages, earliest first; of equal ones that of the message made first.
#[derive(Clone, Debug, Default, Hash)]
pub struct History {
    entries: SmallVec<[Entry; 2]>,
}

impl History {
    pub fn insert(&mut self, entry: Entry) {
        let place = self.entries.partition_point(|other| (other.at, other.message) <= (entry.at, entry.message));
        self.entries.insert(place, entry);
    }

    /// The attempt under way of a message has no instant any more.
    pub fn remove(&mut self, message: u32) {
        self.entries.retain(|entry| entry.message != message || entry.given_up);
    }

    /// The attempt under way of a message was sent and is given up: its instant stays.
    pub fn give_up(&mut self, message: u32) {
        self.entries.iter_mut().filter(|entry| entry.message == message).for_each(|entry| entry.given_up = true);
    }

    /// An attempt of a message that was sent at `at` and given up is the one under way again.
    pub fn take_back(&mut self, message: u32, at: i64) {
        let theirs = self.entries.iter_mut().filter(|entry| entry.message == message && entry.at == at);
        theirs.for_each(|entry| entry.given_up = false);
    }

    /// An attempt of a message that was given up did not arrive.
    pub fn drop_given_up(&mut self, message: u32, at: i64) {
        self.entries.retain(|entry| !(entry.message == message && entry.at == at && entry.given_up));
    }

    /// Latest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev()
    }

    /// Step 1.
    pub fn duplicate(&self, key: u32, later_than: i64) -> bool {
        self.newest_first().take_while(|entry| entry.at > later_than).any(|entry| entry.key == key)
    }

    /// Those whose instants are later than `later_than`, earliest first.
    pub fn later_than(&self, later_than: i64) -> &[Entry] {
        &self.entries[self.entries.partition_point(|entry| entry.at <= later_than)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64, key: u32, message: u32) -> Entry {
        Entry { at, message, key, channel: Channel::Email, counted: true, given_up: false }
    }

    #[test]
    fn a_duplicate_is_later_than_the_lookback() {
        let mut history = History::default();
        history.insert(entry(100, 3, 0));
        assert!(history.duplicate(3, 99));
        assert!(!history.duplicate(3, 100));
        assert!(!history.duplicate(4, 0));
    }

    #[test]
    fn what_is_removed_is_forgotten() {
        let mut history = History::default();
        for (at, message) in [(30, 0), (10, 1), (20, 2)] {
            history.insert(entry(at, 3, message));
        }
        assert_eq!(history.later_than(10).iter().map(|entry| entry.at).collect::<Vec<_>>(), [20, 30]);
        history.remove(0);
        assert!(!history.duplicate(3, 20));
        assert!(history.duplicate(3, 19));
    }
}
