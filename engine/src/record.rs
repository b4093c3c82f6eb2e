//! Records: the state of a shard as it is written down, thing by thing.
//!
//! A record holds one thing whole, as it is after a change (an after-image), or says that it is gone. So records may be
//! read more than once, and the last one of a thing is what holds. A thing's index is written as the step from that of
//! the record before, so a record is read behind all those before it. What follows from other things is not written:
//! indexes, histories, balances. Each begins with the byte of its kind; the fields are those that serde derives, in the
//! order of the structs, as postcard writes them. Whoever changes a struct that is written raises the version of the
//! file format (`actors.state_file`).

use std::sync::Arc;

use postcard::ser_flavors::Flavor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::campaign::{Campaign, Rules, Tally};
use crate::columns::Corrupt;
use crate::deliveries::Delivery;
use crate::effects::PageKey;
use crate::engagement::HourlyCounts;
use crate::kept_answers::{Binding, KeptPart};
use crate::messages::Message;
use crate::roster::{Recipient, Suppression};
use crate::shard::Shard;

/// What a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    Recipient,
    Message,
    Campaign,
    Key,
    /// The stops of an erased person.
    Trace,
    AppliedEvent,
    BoundEvent,
    Binding,
    KeptPart,
    Delivery,
}

impl Record {
    /// The page that it is on.
    pub fn page(&self) -> PageKey {
        match self {
            Record::Recipient(index, _) => PageKey::of_index(Kind::Recipient, *index),
            Record::Message(index, _) => PageKey::of_index(Kind::Message, *index),
            Record::Campaign(index, _) => PageKey::of_index(Kind::Campaign, *index),
            Record::Key(index, _) => PageKey::of_index(Kind::Key, *index),
            Record::Delivery(index, _) => PageKey::of_index(Kind::Delivery, *index),
            Record::Trace(digest, _) => PageKey::of_digest(Kind::Trace, *digest),
            Record::AppliedEvent(digest) => PageKey::of_digest(Kind::AppliedEvent, *digest),
            Record::BoundEvent(digest, _) => PageKey::of_digest(Kind::BoundEvent, *digest),
            Record::Binding(digest, _) => PageKey::of_digest(Kind::Binding, *digest),
            Record::KeptPart(digest, _) => PageKey::of_digest(Kind::KeptPart, *digest),
        }
    }
}

impl Kind {
    pub const ALL: [Kind; 10] = [
        Kind::Recipient,
        Kind::Message,
        Kind::Campaign,
        Kind::Key,
        Kind::Trace,
        Kind::AppliedEvent,
        Kind::BoundEvent,
        Kind::Binding,
        Kind::KeptPart,
        Kind::Delivery,
    ];

    pub fn from_code(code: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(code)).copied()
    }
}

/// A record that was read.
#[derive(Debug)]
pub enum Record {
    Recipient(u32, Recipient),
    Message(u32, Message),
    Campaign(u32, Box<Campaign>),
    /// Empty where no message has it any more.
    Key(u32, Box<str>),
    Trace(u128, Option<Vec<Suppression>>),
    AppliedEvent(u128),
    BoundEvent(u128, Option<u64>),
    Binding(u128, Option<(i64, Binding)>),
    KeptPart(u128, Option<(i64, KeptPart)>),
    /// By the message's index.
    Delivery(u32, Delivery),
}

/// What delivery gets of a message: mostly the same as of the record before.
#[derive(Serialize, Deserialize)]
enum Content<'a> {
    None,
    AsBefore,
    #[serde(borrow)]
    Bytes(&'a [u8]),
}

/// Writes records one after the other.
pub struct Writer<'s> {
    shard: &'s Shard,
    content: Option<&'s Arc<[u8]>>,
    /// Behind the index that was written last.
    next: u32,
    bytes: Vec<u8>,
}

impl<'s> Writer<'s> {
    /// Behind what was written before.
    pub fn after(bytes: Vec<u8>, shard: &'s Shard) -> Self {
        Writer { shard, content: None, next: 0, bytes }
    }

    pub fn new(shard: &'s Shard) -> Self {
        Writer::after(Vec::new(), shard)
    }

    /// A thing that has an index: recipients, messages, campaigns, deliveries, keys.
    pub fn write_indexed(&mut self, kind: Kind, index: u32) -> Result<(), Corrupt> {
        let shard = self.shard;
        match kind {
            Kind::Recipient => self.write_at(index, kind, shard.roster.get(index)),
            Kind::Message => {
                let message = shard.messages.get(index);
                let content = self.content_of(message);
                self.write_at(index, kind, &(message, content))
            }
            Kind::Campaign => {
                let Campaign { rules, tally, balances: _, engagement } = &shard.campaigns[index as usize];
                self.write_at(index, kind, &(rules, tally, engagement))
            }
            Kind::Delivery => match shard.deliveries.get(index) {
                Some(delivery) => self.write_at(index, kind, delivery),
                None => Ok(()),
            },
            _ => self.write_at(index, kind, shard.keys.text_or_empty(index)),
        }
    }

    /// A thing that has a digest: all others.
    pub fn write_digested(&mut self, kind: Kind, digest: u128) -> Result<(), Corrupt> {
        let shard = self.shard;
        match kind {
            Kind::Trace => self.write(kind, &(digest, shard.roster.traces().get(&digest))),
            Kind::AppliedEvent => self.write(kind, &digest),
            Kind::BoundEvent => self.write(kind, &(digest, shard.event_ids.digests().1.get(&digest))),
            Kind::Binding => self.write(kind, &(digest, shard.kept_answers.bindings.entries().get(&digest))),
            _ => self.write(kind, &(digest, shard.kept_answers.parts.entries().get(&digest))),
        }
    }

    /// How many bytes it has written.
    pub fn bytes_so_far(&self) -> usize {
        self.bytes.len()
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn content_of(&mut self, message: &'s Message) -> Content<'s> {
        match &message.content {
            None => Content::None,
            Some(content) if self.content.is_some_and(|before| Arc::ptr_eq(before, content)) => Content::AsBefore,
            Some(content) => {
                self.content = Some(content);
                Content::Bytes(content)
            }
        }
    }

    /// The index as what lies between it and the one before: mostly nothing, in a byte.
    fn write_at(&mut self, index: u32, kind: Kind, value: &(impl Serialize + ?Sized)) -> Result<(), Corrupt> {
        let step = index.wrapping_sub(self.next);
        self.next = index.wrapping_add(1);
        self.write(kind, &(step, value))
    }

    fn write(&mut self, kind: Kind, value: &impl Serialize) -> Result<(), Corrupt> {
        self.bytes.push(kind as u8);
        append(value, &mut self.bytes)
    }
}

/// Appends a value.
pub fn append(value: &impl Serialize, bytes: &mut Vec<u8>) -> Result<(), Corrupt> {
    postcard::serialize_with_flavor(value, Behind(bytes)).map_err(|_| Corrupt("a record cannot be written"))
}

/// Writes behind what is there. Records are made of pieces of a few bytes, and a call that copies one takes longer than
/// a byte at a time.
struct Behind<'v>(&'v mut Vec<u8>);

/// The longest piece that is written a byte at a time.
const SHORT_BYTES: usize = 8;

impl Flavor for Behind<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, piece: &[u8]) -> postcard::Result<()> {
        match piece.len() {
            0..=SHORT_BYTES => piece.iter().for_each(|byte| self.0.push(*byte)),
            _ => self.0.extend_from_slice(piece),
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Reads records one after the other.
pub struct Reader<'b> {
    bytes: &'b [u8],
    content: Option<Arc<[u8]>>,
    /// Behind the index that was read last.
    next: u32,
}

impl<'b> Reader<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Reader { bytes, content: None, next: 0 }
    }

    /// A value that is no record.
    pub fn value<T: Deserialize<'b>>(&mut self) -> Result<T, Corrupt> {
        let (value, rest) = postcard::take_from_bytes(self.bytes).map_err(|_| Corrupt("a record cannot be read"))?;
        self.bytes = rest;
        Ok(value)
    }

    /// The next record; None at the end.
    pub fn record(&mut self) -> Result<Option<Record>, Corrupt> {
        let Some((code, rest)) = self.bytes.split_first() else { return Ok(None) };
        self.bytes = rest;
        let kind = Kind::from_code(*code).ok_or(Corrupt("there is no such kind of record"))?;
        Ok(Some(match kind {
            Kind::Recipient => Record::Recipient(self.index()?, self.value()?),
            Kind::Message => {
                let index = self.index()?;
                let (mut message, content): (Message, Content) = self.value()?;
                message.content = self.content(content)?;
                Record::Message(index, message)
            }
            Kind::Campaign => {
                let index = self.index()?;
                let (rules, tally, engagement): (Rules, Tally, Option<Box<HourlyCounts>>) = self.value()?;
                Record::Campaign(index, Box::new(Campaign { rules, tally, engagement, ..Campaign::default() }))
            }
            Kind::Key => Record::Key(self.index()?, self.value()?),
            Kind::Trace => self.pair(Record::Trace)?,
            Kind::AppliedEvent => Record::AppliedEvent(self.value()?),
            Kind::BoundEvent => self.pair(Record::BoundEvent)?,
            Kind::Binding => self.pair(Record::Binding)?,
            Kind::KeptPart => self.pair(Record::KeptPart)?,
            Kind::Delivery => Record::Delivery(self.index()?, self.value()?),
        }))
    }

    fn index(&mut self) -> Result<u32, Corrupt> {
        let index = self.next.wrapping_add(self.value()?);
        self.next = index.wrapping_add(1);
        Ok(index)
    }

    fn pair<K: DeserializeOwned, V: DeserializeOwned>(
        &mut self,
        record: fn(K, V) -> Record,
    ) -> Result<Record, Corrupt> {
        let (key, value) = self.value()?;
        Ok(record(key, value))
    }

    fn content(&mut self, content: Content<'_>) -> Result<Option<Arc<[u8]>>, Corrupt> {
        match content {
            Content::None => return Ok(None),
            Content::AsBefore if self.content.is_none() => return Err(Corrupt("there is no content before")),
            Content::AsBefore => {}
            Content::Bytes(bytes) => self.content = Some(bytes.into()),
        }
        Ok(self.content.clone())
    }
}
