//! Deduplication keys as small numbers: a key is written once, its number everywhere.
//!
//! A key may name a person. Its text is kept while a message has it that can still be found, and dropped with the
//! last; its number is given to another text only then, when nothing that is looked at holds it any more.

use std::collections::HashMap;

#[derive(Debug, Default)]
pub struct Keys {
    numbers: HashMap<Box<str>, u32>,
    /// By number.
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// A text, and how many messages have it; empty where no message has.
#[derive(Debug, Default)]
struct Slot {
    text: Box<str>,
    uses: u32,
}

impl Keys {
    /// The number of a key that a message has.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// The number of a key for one more message.
    pub fn number(&mut self, text: &str) -> u32 {
        let number = self.find(text).unwrap_or_else(|| self.add(text));
        self.slots[number as usize].uses += 1;
        number
    }

    /// As `number`, where the key was found before: most often its number is still the same.
    pub fn number_again(&mut self, found: Option<u32>, text: &str) -> u32 {
        match found.and_then(|number| Some((number, self.slots.get_mut(number as usize)?))) {
            Some((number, slot)) if slot.uses > 0 && *slot.text == *text => {
                slot.uses += 1;
                number
            }
            _ => self.number(text),
        }
    }

    /// A message that had the key cannot be found any more.
    pub fn release(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(number as usize).filter(|slot| slot.uses > 0) else { return };
        slot.uses -= 1;
        if slot.uses == 0 {
            self.numbers.remove(&slot.text);
            slot.text = Box::default();
            self.free.push(number);
        }
    }

    pub fn text(&self, number: u32) -> &str {
        &self.slots[number as usize].text
    }

    fn add(&mut self, text: &str) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        self.numbers.insert(text.into(), number);
        self.slots[number as usize].text = text.into();
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_goes_with_the_last_message_that_has_it() {
        let mut keys = Keys::default();
        let ana = keys.number("ana");
        assert_eq!((keys.number("ana"), keys.find("ana")), (ana, Some(ana)));
        keys.release(ana);
        assert_eq!((keys.find("ana"), keys.text(ana)), (Some(ana), "ana"));
        keys.release(ana);
        keys.release(ana);
        assert_eq!(keys.find("ana"), None);
        assert!(!format!("{keys:?}").contains("ana"));
    }

    #[test]
    fn a_number_that_was_given_to_another_text_is_not_taken_for_the_first() {
        let mut keys = Keys::default();
        let ana = keys.number("ana");
        assert_eq!(keys.number_again(Some(ana), "ana"), ana);
        keys.release(ana);
        keys.release(ana);
        let bo = keys.number("bo");
        assert_eq!(bo, ana);
        let again = keys.number_again(Some(ana), "ana");
        assert_ne!(again, bo);
        assert_eq!((keys.text(again), keys.text(bo)), ("ana", "bo"));
        assert_eq!(keys.number_again(Some(99), "bo"), bo);
    }
}
