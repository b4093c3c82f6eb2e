//! A shelf: entries by number, each up to an instant of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use crate::touched::TouchedKeys;

#[derive(Debug)]
pub struct Shelf<T> {
    entries: BTreeMap<u128, (i64, T)>,
    /// (until, number) of every entry.
    ends: BTreeSet<(i64, u128)>,
    pub(crate) touched: TouchedKeys,
}

/// The ends follow from the entries.
impl<T: Hash> Hash for Shelf<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Shelf { entries, ends: _, touched: _ } = self;
        entries.hash(state);
    }
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Shelf { entries: BTreeMap::new(), ends: BTreeSet::new(), touched: TouchedKeys::default() }
    }
}

impl<T> Shelf<T> {
    pub fn get(&self, number: u128) -> Option<&T> {
        self.entries.get(&number).map(|(_, entry)| entry)
    }

    /// To change what is not written down.
    pub fn follow_mut(&mut self, number: u128) -> Option<&mut T> {
        self.entries.get_mut(&number).map(|(_, entry)| entry)
    }

    pub fn get_mut(&mut self, number: u128) -> Option<&mut T> {
        self.touched.touch(number);
        self.entries.get_mut(&number).map(|(_, entry)| entry)
    }

    /// Puts an entry there for [.., until); gives the one whose place it takes.
    pub fn put(&mut self, number: u128, until: i64, entry: T) -> Option<T> {
        let before = self.take(number);
        self.ends.insert((until, number));
        self.touched.touch(number);
        self.entries.insert(number, (until, entry));
        before
    }

    pub fn take(&mut self, number: u128) -> Option<T> {
        let (until, entry) = self.entries.remove(&number)?;
        self.ends.remove(&(until, number));
        self.touched.touch(number);
        Some(entry)
    }

    /// Takes an entry whose time is over at `now`.
    pub fn take_over(&mut self, now: i64) -> Option<T> {
        let (_, number) = *self.ends.first().filter(|(until, _)| *until <= now)?;
        self.take(number)
    }

    /// Changes every entry that `change` says it changed.
    pub fn change_each(&mut self, mut change: impl FnMut(&mut T) -> bool) {
        for (number, (_, entry)) in &mut self.entries {
            if change(entry) {
                self.touched.touch(*number);
            }
        }
    }

    /// The entries by number, each with its end.
    pub fn entries(&self) -> &BTreeMap<u128, (i64, T)> {
        &self.entries
    }

    /// The entries as they were written down.
    pub fn restored(entries: BTreeMap<u128, (i64, T)>) -> Self {
        let ends = entries.iter().map(|(number, (until, _))| (*until, *number)).collect();
        Shelf { entries, ends, ..Shelf::default() }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_there_until_its_end() {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.put(1, 20, "a"), None);
        assert_eq!(shelf.put(2, 10, "b"), None);
        assert_eq!(shelf.take_over(9), None);
        assert_eq!(shelf.take_over(10), Some("b"));
        assert_eq!((shelf.take_over(19), shelf.get(1), shelf.get(2)), (None, Some(&"a"), None));
        assert_eq!(shelf.put(1, 30, "c"), Some("a"));
        assert_eq!(shelf.take_over(29), None);
        assert_eq!((shelf.take(1), shelf.take_over(99)), (Some("c"), None));
        assert!(shelf.is_empty() && shelf.ends.is_empty());
    }
}
