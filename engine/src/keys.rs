//! Deduplication keys as small numbers: a key is written once, its number everywhere.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

#[derive(Debug, Default)]
pub struct Keys {
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

impl Keys {
    /// The number of a key that is known.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// The number of a key, new or known.
    pub fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.numbers.insert(text.into(), number);
        self.texts.push(text.into());
        number
    }

    pub fn text(&self, number: u32) -> &str {
        &self.texts[number as usize]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Forgets all but the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        for text in self.texts.drain(length.min(self.texts.len())..) {
            self.numbers.remove(&text);
        }
    }
}

/// The numbers follow from the texts.
impl Hash for Keys {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Keys { numbers: _, texts } = self;
        texts.hash(state);
    }
}
