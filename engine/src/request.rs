//! A request: what a body says, its recipients by the shards that decide on them.

use hashbrown::HashMap;

use crate::fault::{Fault, FieldError};
use crate::part::{Header, Part, RecipientRow, Recipients, TEXT_BYTES};
use crate::words::{CHANNEL_COUNT, ChannelMask};

/// How many one may have whose decisions are explained: an explanation is many times as long as a decision.
const EXPLAINED_MAX: usize = 1_000;

/// The shard of a recipient that goes to none.
const NO_SHARD: u32 = u32::MAX;

/// A recipient that no shard decides.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The id, where one was given that can be one.
    pub id: Option<Box<str>>,
    /// Paths from the recipient.
    pub errors: Vec<FieldError>,
}

/// A recipient of a request, in the order of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    Invalid(&'a Invalid),
    /// `row` counts within the part of its shard.
    Valid {
        id: &'a str,
        shard: u32,
        row: usize,
    },
}

/// A body that was read: what holds for all, the recipients by shard, and where each was.
#[derive(Debug)]
pub struct Request {
    pub header: Header,
    /// Of each recipient in the order of the input.
    shards: Vec<u32>,
    recipients: Vec<Recipients>,
    invalid: Vec<Invalid>,
}

impl Request {
    /// A request of nobody yet.
    pub fn new(header: Header, shards: usize) -> Self {
        Request { header, shards: Vec::new(), recipients: vec![Recipients::default(); shards], invalid: Vec::new() }
    }

    /// Room for so many recipients, an eighth more than its share for each shard, instead of what was there.
    pub fn make_room(&mut self, size: usize) {
        let rows = (size + size / 8) / self.recipients.len().max(1);
        self.recipients.fill_with(|| Recipients::with_capacity(rows, rows * TEXT_BYTES));
        self.shards.reserve(size);
    }

    /// Adds a recipient that its shard decides on.
    pub fn push(&mut self, shard: u32, row: RecipientRow, id: &str, contacts: &[Option<&str>; CHANNEL_COUNT]) {
        self.recipients[shard as usize].push(row, id, contacts);
        self.shards.push(shard);
    }

    /// Adds one that nobody decides on.
    pub fn push_invalid(&mut self, id: Option<&str>, errors: &[FieldError]) {
        self.invalid.push(Invalid { id: id.map(Into::into), errors: errors.to_vec() });
        self.shards.push(NO_SHARD);
    }

    /// How many recipients it has, the invalid ones too.
    pub fn size(&self) -> usize {
        self.shards.len()
    }

    /// Whether more decisions are to be explained than one request may ask for.
    pub fn explains_too_many(&self) -> bool {
        self.header.explain && self.size() > EXPLAINED_MAX
    }

    /// The shards with at least one valid recipient.
    pub fn shards(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.recipients).filter(|(_, recipients)| !recipients.is_empty()).map(|(shard, _)| shard)
    }

    pub fn invalid_count(&self) -> u32 {
        self.invalid.len() as u32
    }

    /// How many shards the recipients are spread over, those without any too.
    pub fn shard_count(&self) -> usize {
        self.recipients.len()
    }

    /// How many recipients go to a shard.
    pub fn rows(&self, shard: usize) -> usize {
        self.recipients.get(shard).map_or(0, Recipients::len)
    }

    /// The part of a shard, read at `now`; None if there is no such shard.
    pub fn part(&self, shard: usize, now: i64) -> Option<Vec<u8>> {
        let recipients = self.recipients.get(shard)?;
        Some(Part::encode(&Header { now, ..self.header.clone() }, recipients))
    }

    /// Single sends as few requests: those that differ in nothing but their recipient become one.
    ///
    /// With each the places of those it is made of, whose recipients it has in that order.
    pub fn together(sends: &[&Request]) -> Vec<(Request, Vec<usize>)> {
        let mut gathered: Vec<(Request, Vec<usize>)> = Vec::new();
        let mut by_header: HashMap<&Header, usize> = HashMap::new();
        for (place, send) in sends.iter().enumerate() {
            let index = *by_header.entry(&send.header).or_insert_with(|| {
                gathered.push((Request::new(send.header.clone(), send.shard_count()), Vec::new()));
                gathered.len() - 1
            });
            let (request, places) = &mut gathered[index];
            request.append(send);
            places.push(place);
        }
        gathered
    }

    /// Adds the recipients, all valid, of another request to the same shards.
    fn append(&mut self, other: &Request) {
        self.shards.extend(&other.shards);
        self.recipients.iter_mut().zip(&other.recipients).for_each(|(mine, others)| mine.append(others));
    }

    /// Every recipient in the order of the input.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut rows = vec![0_usize; self.recipients.len()];
        let mut invalid = self.invalid.iter();
        self.shards.iter().filter_map(move |&shard| {
            if shard == NO_SHARD {
                return invalid.next().map(Entry::Invalid);
            }
            let row = rows[shard as usize];
            rows[shard as usize] += 1;
            Some(Entry::Valid { id: self.recipients[shard as usize].id(row), shard, row })
        })
    }

    /// The channels that could not use the address given for a recipient; its shard says so, too, if it answers.
    pub fn left_out(&self, shard: u32, row: usize) -> ChannelMask {
        self.recipients.get(shard as usize).map_or(0, |recipients| recipients.left_out(row))
    }

    /// The request of one recipient, refused if it is invalid.
    pub fn all_valid(mut self, root: &str) -> Result<Self, Fault> {
        match self.invalid.pop() {
            None => Ok(self),
            Some(invalid) => {
                let below = |error: FieldError| FieldError { path: format!("{root}{}", error.path).into(), ..error };
                Err(Fault::many(422, invalid.errors.into_iter().map(below).collect()))
            }
        }
    }
}
