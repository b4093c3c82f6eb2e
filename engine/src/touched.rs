//! Touched: what changed since the last group of effects was taken. Until somebody watches nothing is noted.

use std::collections::BTreeSet;

/// Items of a list, by index.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    watched: bool,
    items: Vec<u32>,
    /// A bit an item: whether it is among them.
    marks: Vec<u64>,
}

impl Touched {
    /// From now on changes are noted.
    pub fn watch(&mut self) {
        self.watched = true;
    }

    pub fn touch(&mut self, index: usize) {
        if !self.watched {
            return;
        }
        let (word, bit) = (index / 64, 1 << (index % 64));
        if word >= self.marks.len() {
            self.marks.resize((word + 1).next_power_of_two(), 0);
        }
        if self.marks[word] & bit == 0 {
            self.marks[word] |= bit;
            self.items.push(index as u32);
        }
    }

    /// Those that changed, ascending; from now on none.
    pub fn take(&mut self) -> Vec<u32> {
        let mut items = std::mem::take(&mut self.items);
        for index in &items {
            self.marks[*index as usize / 64] &= !(1 << (index % 64));
        }
        items.sort_unstable();
        items
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// Entries of a map, by digest.
#[derive(Clone, Debug, Default)]
pub struct TouchedKeys {
    watched: bool,
    keys: BTreeSet<u128>,
}

impl TouchedKeys {
    /// From now on changes are noted.
    pub fn watch(&mut self) {
        self.watched = true;
    }

    pub fn touch(&mut self, key: u128) {
        if self.watched {
            self.keys.insert(key);
        }
    }

    /// Those that changed, ascending; from now on none.
    pub fn take(&mut self) -> BTreeSet<u128> {
        std::mem::take(&mut self.keys)
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_once_and_only_while_somebody_watches() {
        let mut touched = Touched::default();
        touched.touch(3);
        assert!(touched.is_empty());
        touched.watch();
        for index in [700, 3, 700, 64] {
            touched.touch(index);
        }
        assert_eq!(touched.take(), [3, 64, 700]);
        assert!(touched.is_empty());
        touched.touch(64);
        assert_eq!(touched.take(), [64]);
    }

    #[test]
    fn a_key_is_named_once() {
        let mut touched = TouchedKeys::default();
        touched.touch(1);
        touched.watch();
        touched.touch(9);
        touched.touch(9);
        assert_eq!(touched.take().into_iter().collect::<Vec<_>>(), [9]);
        assert!(touched.is_empty());
    }
}
