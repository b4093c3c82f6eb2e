//! Deduplication keys as small numbers: a key is written once, its number everywhere.
//!
//! A key may name a person. Its text is kept while a message has it that can still be found, and dropped with the
//! last; its number is given to another text only then, when nothing that is looked at holds it any more. The smallest
//! free number is given first, so that which it is follows from those in use.

use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};

use crate::touched::Touched;

#[derive(Debug, Default)]
pub struct Keys {
    numbers: HashMap<Box<str>, u32>,
    /// By number.
    slots: Vec<Slot>,
    free: BTreeSet<u32>,
    /// Numbers that were given to a text or taken from one.
    pub(crate) touched: Touched,
    /// The uses that were counted since noting began; None while nothing is noted.
    noted: Option<Vec<Use>>,
}

/// A text, and how many messages have it; empty where no message has.
#[derive(Debug, Default, Hash)]
struct Slot {
    text: Box<str>,
    uses: u32,
}

/// One more message with a key.
#[derive(Clone, Copy, Debug)]
struct Use {
    number: u32,
    source: Source,
}

/// Where its number came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Known,
    Free,
    New,
}

impl Keys {
    /// The number of a key that a message has.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// The number of a key for one more message.
    pub fn number(&mut self, text: &str) -> u32 {
        match self.find(text) {
            Some(number) => self.count(number, Source::Known),
            None => self.add(text),
        }
    }

    /// As `number`, where the key was found before: most often its number is still the same.
    pub fn number_again(&mut self, found: Option<u32>, text: &str) -> u32 {
        let still = |slot: &Slot| slot.uses > 0 && *slot.text == *text;
        match found.filter(|number| self.slots.get(*number as usize).is_some_and(still)) {
            Some(number) => self.count(number, Source::Known),
            None => self.number(text),
        }
    }

    fn count(&mut self, number: u32, source: Source) -> u32 {
        self.slots[number as usize].uses += 1;
        if let Some(noted) = &mut self.noted {
            noted.push(Use { number, source });
        }
        number
    }

    /// A message that had the key cannot be found any more.
    pub fn release(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(number as usize).filter(|slot| slot.uses > 0) else { return };
        slot.uses -= 1;
        if slot.uses == 0 {
            self.numbers.remove(&slot.text);
            slot.text = Box::default();
            self.free.insert(number);
            self.touched.touch(number as usize);
        }
    }

    pub fn text(&self, number: u32) -> &str {
        &self.slots[number as usize].text
    }

    /// The text of a number; empty where no message has it.
    pub fn text_or_empty(&self, number: u32) -> &str {
        self.slots.get(number as usize).map_or("", |slot| &slot.text)
    }

    fn add(&mut self, text: &str) -> u32 {
        let (number, source) = match self.free.pop_first() {
            Some(number) => (number, Source::Free),
            None => (self.slots.len() as u32, Source::New),
        };
        if source == Source::New {
            self.slots.push(Slot::default());
        }
        self.numbers.insert(text.into(), number);
        self.slots[number as usize].text = text.into();
        if self.noted.is_none() {
            self.touched.touch(number as usize);
        }
        self.count(number, source)
    }

    /// How many numbers were ever given.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The keys as they were written down: texts by number, and the numbers that messages have.
    pub fn restored(texts: Vec<Box<str>>, used: impl Iterator<Item = u32>) -> Option<Self> {
        let mut slots: Vec<Slot> = texts.into_iter().map(|text| Slot { text, uses: 0 }).collect();
        for number in used {
            slots.get_mut(number as usize).filter(|slot| !slot.text.is_empty())?.uses += 1;
        }
        while slots.last().is_some_and(|slot| slot.uses == 0) {
            slots.pop();
        }
        let mut keys = Keys::default();
        for (slot, number) in slots.iter_mut().zip(0..) {
            if slot.uses == 0 {
                slot.text = Box::default();
                keys.free.insert(number);
            } else {
                keys.numbers.insert(slot.text.clone(), number);
            }
        }
        Some(Keys { slots, ..keys })
    }

    /// From now on uses are noted, to be undone; none may be released meanwhile.
    pub(crate) fn note(&mut self) {
        self.noted = Some(Vec::new());
    }

    /// Puts everything back as it was when noting began.
    pub(crate) fn undo(&mut self) {
        for Use { number, source } in self.noted.take().unwrap_or_default().into_iter().rev() {
            let slot = &mut self.slots[number as usize];
            slot.uses -= 1;
            if source != Source::Known {
                self.numbers.remove(&slot.text);
                slot.text = Box::default();
            }
            match source {
                Source::Known => {}
                Source::Free => {
                    self.free.insert(number);
                }
                Source::New => self.slots.truncate(number as usize),
            }
        }
    }
}

/// Which number a text has follows from the slots, as do those that are free.
impl Hash for Keys {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Keys { numbers: _, slots, free: _, touched: _, noted: _ } = self;
        let used = (0_u32..).zip(slots).filter(|(_, slot)| slot.uses > 0);
        used.collect::<Vec<_>>().hash(state);
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

    #[test]
    fn uses_that_are_undone_leave_everything_as_it_was() {
        let mut keys = Keys::default();
        let (ana, bo) = (keys.number("ana"), keys.number("bo"));
        keys.release(ana);
        let before = format!("{keys:?}");
        keys.note();
        assert_eq!((keys.number("bo"), keys.number("eve"), keys.number("ida")), (bo, ana, bo + 1));
        keys.number_again(Some(bo), "bo");
        keys.undo();
        assert_eq!((format!("{keys:?}"), keys.find("eve"), keys.find("bo")), (before, None, Some(bo)));
    }
}
