//! Deduplication keys as small numbers: a key is written once, its number everywhere.

use std::collections::HashMap;

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
}
