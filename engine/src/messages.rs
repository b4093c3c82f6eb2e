//! The messages of a shard: what scheduled decisions created, and what became of it.

use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::budget_manager::Place;
use crate::deduplicator::Entry;
use crate::minutes::minute_of;
use crate::slot::{message_number, slot_of_message};
use crate::touched::Touched;
use crate::undoable::Undoable;
use crate::words::{Channel, MessageState};

/// Sequence numbers of one incarnation begin at it in these bits. They go on over all lives that read what was written.
const INCARNATION_SHIFT: u32 = 40;

/// First events of each kind, as bits of `Message::marks`.
pub mod marks {
    pub const DELIVERED: u8 = 1;
    pub const ENGAGED: u8 = 2;
    pub const OPENED: u8 = 4;
    pub const CLICKED: u8 = 8;
    pub const CONVERTED: u8 = 16;
}

/// A link to the message at an index.
pub fn link_to(index: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(index.wrapping_add(1))
}

fn index_of(link: NonZeroU32) -> u32 {
    link.get() - 1
}

/// What became of a delivery try on a channel.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub channel: Channel,
    /// Sent, delivered, failed or unknown.
    pub state: MessageState,
    /// Since when, seconds since the epoch.
    pub at: i64,
    /// Whether it failed because the address bounced.
    pub bounced: bool,
}

#[derive(Clone, Debug, Hash, Serialize, Deserialize)]
pub struct Message {
    pub recipient: u32,
    /// The same recipient's message before this one: follows from all of them.
    #[serde(skip)]
    pub previous: Option<NonZeroU32>,
    pub campaign: u32,
    /// Interned deduplication key.
    pub key: u32,
    pub state: MessageState,
    pub channel: Channel,
    /// Which events came already (module `marks`).
    pub marks: u8,
    pub chain: u32,
    pub scheduled_at: i64,
    pub offset_minutes: i16,
    /// The campaign's local day of its instant.
    pub day: i32,
    /// Micro-units.
    pub cost: i64,
    /// How many short messages its text is, should it go as one.
    pub segments: u8,
    /// What delivery gets; one copy a request.
    #[serde(skip)]
    pub content: Option<Arc<[u8]>>,
    /// Those of which anything is known, in order.
    pub attempts: Vec<Attempt>,
}

impl Message {
    /// What it takes of its campaign's buckets.
    pub fn place(&self) -> Place {
        let (channel, minute) = (self.channel as usize, minute_of(self.scheduled_at));
        Place { channel, day: self.day, minute, cost: self.cost }
    }

    /// The instant of the attempt under way of the message at `index`.
    pub fn instant(&self, index: u32, at: i64, counted: bool) -> Entry {
        let &Message { key, channel, .. } = self;
        Entry { at, message: index, key, channel, counted, given_up: false }
    }

    /// What is known of the attempt under way, of which something may have been known before.
    pub fn know_attempt(&mut self, attempt: Attempt) {
        if self.may_be_out() {
            self.attempts.pop();
        }
        self.attempts.push(attempt);
    }

    /// Whether the attempt under way was, or may have been, taken by a provider.
    pub fn may_be_out(&self) -> bool {
        use MessageState::{Sent, Unknown};
        self.attempts.last().is_some_and(|attempt| matches!(attempt.state, Sent | Unknown))
    }

    /// Whether it has an instant.
    pub fn is_live(&self) -> bool {
        use MessageState::{Cancelled, Expired, Failed};
        !matches!(self.state, Failed | Cancelled | Expired)
    }

    /// The hour of the recipient's day that it is scheduled for.
    pub fn local_hour(&self) -> usize {
        ((self.scheduled_at + i64::from(self.offset_minutes) * 60).rem_euclid(24 * 3600) / 3600) as usize
    }
}

/// All messages of a shard, in the order in which they were made.
#[derive(Debug, Default, Hash)]
pub struct Messages {
    incarnation: u64,
    list: Undoable<Message>,
}

impl Messages {
    pub fn new(incarnation: u64) -> Self {
        Messages { incarnation, list: Undoable::default() }
    }

    /// A recipient's messages, the latest made first, from the link to that one.
    pub fn from_latest(&self, latest: Option<NonZeroU32>) -> impl Iterator<Item = u32> {
        std::iter::successors(latest, |link| self.get(index_of(*link)).previous).map(index_of)
    }

    /// Keeps a message; gives its index.
    pub fn add(&mut self, message: Message) -> u32 {
        self.list.push(message);
        self.list.len() as u32 - 1
    }

    /// The number users see, from its index and its recipient's slot.
    pub fn number(&self, index: u32, slot: u64) -> u64 {
        message_number(slot, self.incarnation << INCARNATION_SHIFT | (u64::from(index) + 1))
    }

    /// The index of a number, if it is of this incarnation; the caller checks the slot against the recipient's.
    pub fn index(&self, number: u64) -> Option<u32> {
        let sequence = number & ((1 << INCARNATION_SHIFT) - 1);
        let index = sequence.checked_sub(1).filter(|index| *index < self.list.len() as u64)? as u32;
        (self.number(index, slot_of_message(number)) == number).then_some(index)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Message> {
        self.list.iter()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn get(&self, index: u32) -> &Message {
        &self.list[index as usize]
    }

    pub fn get_mut(&mut self, index: u32) -> &mut Message {
        &mut self.list[index as usize]
    }

    /// Those that were made or changed.
    pub(crate) fn touched(&mut self) -> &mut Touched {
        &mut self.list.touched
    }

    pub fn is_touched(&self) -> bool {
        !self.list.touched.is_empty()
    }

    /// What numbers them.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The messages as they were written down.
    pub fn restored(incarnation: u64, list: Vec<Message>) -> Self {
        Messages { incarnation, list: list.into() }
    }

    /// From now on changes are noted, to be undone.
    pub(crate) fn note(&mut self) {
        self.list.note();
    }

    /// Puts everything back as it was when noting began.
    pub(crate) fn undo(&mut self) {
        self.list.undo();
    }
}
