//! Kept answers: a request that is repeated with its idempotency key is answered as the first time.
//!
//! The rule (contract, section 5): a key is bound to path and raw body and kept for 24 hours; the same again gets the
//! first answer, another request under the key is refused, an erased person's answers are forgotten.
//!
//! A key has a home shard, which binds it; what belongs together under one key has one name and one beginning there.
//! Decisions are kept where they are made, a part of the answer on each shard, and where the home says that a key is
//! new, what a shard still has from a time before counts for nothing. Parts are kept a little longer than bindings, so
//! that no part is missing that a binding promises. Keys, paths and bodies are kept as digests only, answers as codes
//! and numbers. Nothing is given up before its time: without room for an answer the request is refused.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Explained};
use crate::columns::Corrupt;
use crate::part::Part;
use crate::secret::Secret;
use crate::shard::Shard;
use crate::shelf::Shelf;
use crate::words::Status;

/// How long a key is bound.
pub const KEPT_S: i64 = 24 * 3600;

/// How much longer a part is kept: shards read the time one after the other.
const MARGIN_S: i64 = 3600;

/// About what a binding, or a part beside its answer, takes in memory.
const ENTRY_BYTES: usize = 256;

/// What a row takes: its decision, its recipient's index, and, where asked for, about its explanation.
const ROW_BYTES: usize = 64;
const EXPLANATION_BYTES: usize = 4096;

/// Digests of a key and of the request that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub key: [u8; 16],
    pub request: [u8; 16],
}

/// Why a request is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The key belongs to another path or body.
    OtherRequest,
    /// There is no room for its answer.
    Full,
    /// The answer held a person who was erased.
    Forgotten,
}

/// What the home shard says of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// The key was not bound before.
    pub first: bool,
    /// Another is at it, and whoever asks wants to be alone.
    pub running: bool,
    pub name: u128,
    pub began_at: i64,
    pub answer: Option<Box<[u8]>>,
}

/// What is to be decided of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    All,
    /// The rows that were unavailable the last time.
    Rows(Vec<u32>),
    Nothing,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Binding {
    request: u128,
    name: u128,
    began_at: i64,
    /// How many are at it, as far as is known: nobody, after a crash.
    #[serde(skip)]
    users: u32,
    answer: Option<Box<[u8]>>,
    bytes: usize,
}

#[derive(Debug, Hash, Serialize, Deserialize)]
pub struct KeptPart {
    request: u128,
    began_at: i64,
    /// None: forgotten.
    answer: Option<PartAnswer>,
    bytes: usize,
}

#[derive(Clone, Debug, Hash, Serialize, Deserialize)]
struct PartAnswer {
    /// Indices of the people in it.
    people: Vec<u32>,
    /// Rows that are unavailable, ascending.
    open: Vec<u32>,
    /// An [`Explained`].
    encoded: Box<[u8]>,
}

#[derive(Debug, Default)]
pub struct KeptAnswers {
    secret: Secret,
    bytes_max: usize,
    bytes: usize,
    pub(crate) bindings: Shelf<Binding>,
    pub(crate) parts: Shelf<KeptPart>,
    /// Of the part that is being decided, if some of it was kept so far: its key, and what was kept before.
    under_way: Option<(u128, Option<PartAnswer>)>,
}

/// Who is at it is no state.
impl Hash for Binding {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Binding { request, name, began_at, users: _, answer, bytes } = self;
        (request, name, began_at, answer, bytes).hash(state);
    }
}

/// What is kept; how many bytes that takes follows, and the rest is configured.
impl Hash for KeptAnswers {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let KeptAnswers { secret: _, bytes_max: _, bytes: _, bindings, parts, under_way: _ } = self;
        (bindings, parts).hash(state);
    }
}

impl KeptAnswers {
    pub fn new(secret: Secret, bytes_max: usize) -> Self {
        KeptAnswers { secret, bytes_max, ..KeptAnswers::default() }
    }

    /// The same with what was written down.
    pub fn restored(self, bindings: Shelf<Binding>, parts: Shelf<KeptPart>) -> Self {
        let of_bindings: usize = bindings.entries().values().map(|(_, binding)| binding.bytes).sum();
        let of_parts: usize = parts.entries().values().map(|(_, part)| part.bytes).sum();
        KeptAnswers { bytes: of_bindings + of_parts, bindings, parts, ..self }
    }

    /// How many bytes are taken, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Binds a key to a request, or finds it bound; counts one more at it unless there is an answer already.
    ///
    /// `alone` asks for it while nobody else is at it. `name` is its name if it is new, `size` what its answer may
    /// take.
    pub fn begin(&mut self, claim: &Claim, alone: bool, size: usize, name: u128, now: i64) -> Result<Begun, Refused> {
        self.forget_over(now);
        let (key, request) = (self.secret.digest(&claim.key), self.secret.digest(&claim.request));
        let Some(binding) = self.bindings.follow_mut(key) else {
            let bytes = ENTRY_BYTES.saturating_add(size);
            self.check_room(bytes)?;
            self.bytes += bytes;
            let binding = Binding { request, name, began_at: now, users: 1, answer: None, bytes };
            self.bindings.put(key, now.saturating_add(KEPT_S), binding);
            return Ok(Begun { first: true, name, began_at: now, ..Begun::default() });
        };
        if binding.request != request {
            return Err(Refused::OtherRequest);
        }
        let running = binding.answer.is_none() && alone && binding.users > 0;
        binding.users += u32::from(binding.answer.is_none() && !running);
        let Binding { name, began_at, .. } = *binding;
        Ok(Begun { first: false, running, name, began_at, answer: binding.answer.clone() })
    }

    /// One that began got no answer. Unless something may have happened the key is free again once nobody is at it.
    pub fn leave(&mut self, claim: &Claim, name: u128, stays_bound: bool) {
        let key = self.secret.digest(&claim.key);
        let Some(binding) = self.bindings.follow_mut(key).filter(|binding| binding.name == name) else { return };
        binding.users = binding.users.saturating_sub(1);
        if binding.users == 0 && binding.answer.is_none() && !stays_bound {
            self.bytes -= self.bindings.take(key).map_or(0, |binding| binding.bytes);
        }
    }

    /// Keeps the answer of one that began, and gives the one that is kept: the first.
    pub fn finish(&mut self, claim: &Claim, name: u128, answer: &[u8]) -> Box<[u8]> {
        let key = self.secret.digest(&claim.key);
        let Some(binding) = self.bindings.get_mut(key).filter(|binding| binding.name == name) else {
            return answer.into();
        };
        if binding.answer.is_none() {
            self.bytes -= binding.bytes;
            binding.bytes = ENTRY_BYTES + answer.len();
            self.bytes += binding.bytes;
        }
        binding.answer.get_or_insert_with(|| answer.into()).clone()
    }

    /// The answer to a part, and whether every row of it is decided; None if there is none yet.
    pub fn part(&mut self, claim: &Claim, began_at: i64, now: i64) -> Result<Option<(&[u8], bool)>, Refused> {
        self.forget_over(now);
        let key = self.secret.digest(&claim.key);
        if !self.is_kept(key, claim, began_at)? {
            return Ok(None);
        }
        let answer = self.parts.get(key).and_then(|part| part.answer.as_ref());
        Ok(answer.map(|answer| (&*answer.encoded, answer.open.is_empty())))
    }

    /// What is to be decided of a part of `rows` rows.
    fn left(&mut self, claim: &Claim, began_at: i64, rows: usize, explain: bool, now: i64) -> Result<Left, Refused> {
        self.forget_over(now);
        self.under_way = None;
        let key = self.secret.digest(&claim.key);
        if !self.is_kept(key, claim, began_at)? {
            let explanations = if explain { EXPLANATION_BYTES * rows } else { 0 };
            self.check_room(ENTRY_BYTES + ROW_BYTES * rows + explanations)?;
            return Ok(Left::All);
        }
        let open = self.parts.get(key).and_then(|part| part.answer.as_ref()).map(|answer| &answer.open);
        Ok(match open {
            Some(open) if !open.is_empty() => Left::Rows(open.clone()),
            _ => Left::Nothing,
        })
    }

    /// Keeps what is decided so far of what was left of a part, while the rest waits for the ledger: what other calls
    /// have written down meanwhile holds these decisions, too. The next `keep` replaces it.
    fn keep_so_far(&mut self, claim: &Claim, began_at: i64, people: Vec<u32>, answer: &[u8]) -> Result<(), Corrupt> {
        let key = self.secret.digest(&claim.key);
        let before = match self.under_way.take() {
            Some((under_way, before)) if under_way == key => before,
            _ => self.kept_before(key, began_at),
        };
        self.under_way = Some((key, before.clone()));
        self.keep(claim, began_at, people, answer)?;
        self.under_way = Some((key, before));
        Ok(())
    }

    fn kept_before(&self, key: u128, began_at: i64) -> Option<PartAnswer> {
        let kept = self.parts.get(key).filter(|part| began_at.saturating_sub(part.began_at) < KEPT_S);
        kept.and_then(|part| part.answer.clone())
    }

    /// Keeps the answer to what was left of a part; gives the answer to the whole part.
    fn keep(&mut self, claim: &Claim, began_at: i64, people: Vec<u32>, answer: &[u8]) -> Result<&[u8], Corrupt> {
        let key = self.secret.digest(&claim.key);
        let added = Explained::decode(answer)?;
        let before = match self.under_way.take() {
            Some((under_way, before)) if under_way == key => before,
            _ => self.kept_before(key, began_at),
        };
        let kept = match before {
            None => PartAnswer { people, open: open_rows(&added.answer), encoded: answer.into() },
            Some(kept) => {
                let whole = completed(Explained::decode(&kept.encoded)?, &kept.open, added)?;
                let texts: Vec<String> = whole.explanations.into_iter().map(String::from).collect();
                let mut all = [&*kept.people, &people].concat();
                all.sort_unstable();
                all.dedup();
                PartAnswer {
                    people: all,
                    open: open_rows(&whole.answer),
                    encoded: whole.answer.encode(&texts).into_boxed_slice(),
                }
            }
        };
        let bytes = ENTRY_BYTES + kept.encoded.len() + 4 * (kept.people.len() + kept.open.len());
        self.bytes += bytes;
        let part = KeptPart { request: self.secret.digest(&claim.request), began_at, answer: Some(kept), bytes };
        let until = began_at.saturating_add(KEPT_S + MARGIN_S);
        self.bytes -= self.parts.put(key, until, part).map_or(0, |before| before.bytes);
        let kept = self.parts.get(key).and_then(|part| part.answer.as_ref());
        kept.map(|answer| &*answer.encoded).ok_or(Corrupt("a kept answer is gone"))
    }

    /// Forgets every answer that holds a person: who repeats the request is told so.
    pub fn forget_person(&mut self, person: u32) {
        let freed = &mut 0;
        self.parts.change_each(|part| {
            let holds = part.answer.as_ref().is_some_and(|answer| answer.people.contains(&person));
            if holds {
                part.answer = None;
                *freed += part.bytes - ENTRY_BYTES;
                part.bytes = ENTRY_BYTES;
            }
            holds
        });
        self.bytes -= *freed;
    }

    /// Whether there is an answer to this very part, made since the key was bound.
    fn is_kept(&self, key: u128, claim: &Claim, began_at: i64) -> Result<bool, Refused> {
        match self.parts.get(key) {
            None => Ok(false),
            Some(part) if began_at.saturating_sub(part.began_at) >= KEPT_S => Ok(false),
            Some(part) if part.request != self.secret.digest(&claim.request) => Err(Refused::OtherRequest),
            Some(part) if part.answer.is_none() => Err(Refused::Forgotten),
            Some(_) => Ok(true),
        }
    }

    fn check_room(&self, bytes: usize) -> Result<(), Refused> {
        if self.bytes.saturating_add(bytes) > self.bytes_max { Err(Refused::Full) } else { Ok(()) }
    }

    fn forget_over(&mut self, now: i64) {
        while let Some(binding) = self.bindings.take_over(now) {
            self.bytes -= binding.bytes;
        }
        while let Some(part) = self.parts.take_over(now) {
            self.bytes -= part.bytes;
        }
    }
}

fn open_rows(answer: &Answer) -> Vec<u32> {
    (0..).zip(&answer.status).filter(|(_, status)| **status == Status::Unavailable as u8).map(|(row, _)| row).collect()
}

/// An answer with its open rows replaced, in order, by those of another.
fn completed(mut kept: Explained, open: &[u32], added: Explained) -> Result<Explained, Corrupt> {
    let unfit = Corrupt("an answer does not fit the rows that were open");
    if added.answer.status.len() != open.len() {
        return Err(unfit);
    }
    let mut answer = Answer::with_capacity(kept.answer.status.len());
    let mut next = 0;
    for row in 0..kept.answer.status.len() {
        if open.get(next).is_some_and(|open| *open as usize == row) {
            answer.push(added.answer.row(next));
            next += 1;
        } else {
            answer.push(kept.answer.row(row));
        }
    }
    if !added.explanations.is_empty() && kept.explanations.is_empty() {
        kept.explanations = vec!["null".into(); answer.status.len()];
    }
    for (row, text) in open.iter().zip(added.explanations) {
        *kept.explanations.get_mut(*row as usize).ok_or(Corrupt("an open row is none of the answer's"))? = text;
    }
    if next == open.len() { Ok(Explained { answer, ..kept }) } else { Err(unfit) }
}

impl Shard {
    /// What is to be decided of a part that is claimed: all of it, what was unavailable the last time, or nothing.
    pub fn left_of_part(&mut self, part: &Part, claim: &Claim, began_at: i64) -> Result<Left, Refused> {
        let now = self.advance(part.header.now);
        self.kept_answers.left(claim, began_at, part.recipients.len(), part.header.explain, now)
    }

    /// Keeps the answer to what was left of a part, once that is decided; gives the answer to the whole part.
    pub fn keep_part(&mut self, left: &Part, claim: &Claim, began_at: i64, answer: &[u8]) -> Result<&[u8], Corrupt> {
        let people = self.people_of(left);
        self.kept_answers.keep(claim, began_at, people, answer)
    }

    /// Keeps what is decided of it so far.
    pub fn keep_so_far(&mut self, left: &Part, claim: &Claim, began_at: i64, answer: &[u8]) -> Result<(), Corrupt> {
        let people = self.people_of(left);
        self.kept_answers.keep_so_far(claim, began_at, people, answer)
    }

    fn people_of(&self, part: &Part) -> Vec<u32> {
        let rows = 0..part.recipients.len();
        rows.filter_map(|row| self.roster.find(part.recipients.id(row), part.recipients.columns.hash[row])).collect()
    }
}

#[cfg(test)]
mod tests;
