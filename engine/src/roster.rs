//! The roster: every recipient that this shard knows, found by id, with profile and suppressions.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::hint::black_box;
use std::num::NonZeroU32;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::deduplicator::History;
use crate::engagement::OwnCounts;
use crate::part::RecipientRow;
use crate::profile::{Merged, Profile};
use crate::secret::Secret;
use crate::slot::hash_of;
use crate::touched::TouchedKeys;
use crate::undoable::Undoable;
use crate::words::{ALL_CHANNELS, Channel, ChannelMask, OPT_OUT_ALL};

/// Why a channel is stopped that a person had opted out of before they were erased.
const OPTED_OUT: &str = "opted out";

/// How many rows are approached together: enough for their waits to overlap, few enough for the cache.
pub const AHEAD: usize = 32;

/// A hard stop on one channel or, without one, on all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Suppression {
    pub channel: Option<Channel>,
    /// Holds in [.., until), or for good.
    pub until: Option<i64>,
    pub reason: Option<Box<str>>,
}

impl Suppression {
    pub fn holds(&self, now: i64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A recipient on this shard.
#[derive(Clone, Debug, Default, Hash, Serialize, Deserialize)]
pub struct Recipient {
    pub id: Box<str>,
    /// Follows from the id, as the history and the latest message do from the messages.
    #[serde(skip)]
    pub hash: u64,
    pub profile: Profile,
    #[serde(skip)]
    pub history: History,
    /// The message made last, cancelled ones included; each links to the one before.
    #[serde(skip)]
    pub latest_message: Option<NonZeroU32>,
    /// None until the first event of success.
    pub engagement: Option<Box<OwnCounts>>,
    suppressions: Vec<Suppression>,
}

impl Recipient {
    pub fn suppressions(&self) -> &[Suppression] {
        &self.suppressions
    }

    /// Sets the hard stop of a channel (or of all); one that is there is replaced.
    pub fn suppress(&mut self, suppression: Suppression) {
        self.lift(suppression.channel);
        self.suppressions.push(suppression);
    }

    /// Lifts the hard stop of a channel (or of all); false if there was none.
    pub fn lift(&mut self, channel: Option<Channel>) -> bool {
        let before = self.suppressions.len();
        self.suppressions.retain(|other| other.channel != channel);
        self.suppressions.len() < before
    }

    /// An erased person leaves a nameless place, to which messages that nobody finds any more belong.
    pub fn is_erased(&self) -> bool {
        self.id.is_empty()
    }

    /// What must go on holding after an erasure: suppressions in force, without their reasons, which may name the
    /// person; and opt-outs as suppressions for good, which the next profile cannot overwrite unawares.
    fn lasting_stops(&self, now: i64) -> Vec<Suppression> {
        let opted_out =
            Channel::ALL.iter().copied().filter(|channel| self.profile.opt_out & channel.bit() != 0).map(Some);
        let opted_out: Vec<_> = opted_out.chain((self.profile.opt_out & OPT_OUT_ALL != 0).then_some(None)).collect();
        self.suppressions
            .iter()
            .filter(|stop| stop.holds(now) && !opted_out.contains(&stop.channel))
            .map(|stop| Suppression { reason: None, ..stop.clone() })
            .chain(opted_out.iter().map(|channel| Suppression {
                channel: *channel,
                until: None,
                reason: Some(OPTED_OUT.into()),
            }))
            .collect()
    }

    /// Suppressed on all channels, or opted out of all.
    pub fn stopped(&self, now: i64) -> bool {
        self.profile.opt_out & OPT_OUT_ALL != 0
            || self.suppressions().iter().any(|stop| stop.channel.is_none() && stop.holds(now))
    }

    /// Whether nothing may go to this person on a channel.
    pub fn refuses(&self, channel: Channel, now: i64) -> bool {
        let stops = |stop: &Suppression| stop.channel == Some(channel) && stop.holds(now);
        self.stopped(now) || self.profile.opt_out & channel.bit() != 0 || self.suppressions().iter().any(stops)
    }

    /// The channels that this person can be reached on and does not refuse one by one; see `stopped` for all of them.
    pub fn reachable(&self, now: i64) -> ChannelMask {
        let stopped = self
            .suppressions()
            .iter()
            .filter(|stop| stop.holds(now))
            .filter_map(|stop| stop.channel)
            .fold(0, |mask, channel| mask | channel.bit());
        self.profile.contacts & !self.profile.opt_out & !stopped & ALL_CHANNELS
    }
}

/// All recipients of a shard.
#[derive(Debug, Default)]
pub struct Roster {
    recipients: Undoable<Recipient>,
    by_id: HashTable<u32>,
    /// What must go on holding for erased people, by a digest of their ids that only the secret gives.
    traces: BTreeMap<u128, Vec<Suppression>>,
    touched_traces: TouchedKeys,
    /// The traces that were taken since noting began; None while nothing is noted.
    taken: Option<Vec<(u128, Vec<Suppression>)>>,
    secret: Secret,
}

impl Roster {
    /// An empty one. Without a secret (the default) whoever reads the state can guess who was erased.
    pub fn new(secret: Secret) -> Self {
        Roster { secret, ..Roster::default() }
    }

    fn trace_of(&self, id: &str) -> u128 {
        self.secret.digest(id.as_bytes())
    }

    pub fn len(&self) -> usize {
        self.recipients.len()
    }

    pub fn is_empty(&self) -> bool {
        self.recipients.is_empty()
    }

    /// The index of an id.
    pub fn find(&self, id: &str, hash: u64) -> Option<u32> {
        self.by_id.find(hash, |index| *self.recipients[*index as usize].id == *id).copied()
    }

    /// Reads what lookups of ids with these hashes will read, and changes nothing. One by one each lookup waits for
    /// memory several times; together these waits overlap, and the lookups after it find all in the processor's cache.
    pub fn approach(&self, hashes: &[u64]) {
        let likely = hashes.iter().filter_map(|hash| self.by_id.find(*hash, |_| true));
        let likely: SmallVec<[&Recipient; AHEAD]> = likely.map(|index| &self.recipients[*index as usize]).collect();
        let read = likely.iter().map(|recipient| recipient.suppressions.len() + recipient.profile.addresses.len());
        black_box(read.sum::<usize>());
        let first = |text: &str| usize::from(text.as_bytes().first().copied().unwrap_or_default());
        let read = likely.iter().map(|recipient| first(&recipient.id) + first(&recipient.profile.addresses));
        black_box(read.sum::<usize>());
    }

    /// The index of an id; a stranger gets an empty profile, and meets the stops of the person erased under this id.
    pub fn find_or_add(&mut self, id: &str, hash: u64) -> u32 {
        if let Some(index) = self.find(id, hash) {
            return index;
        }
        let index = self.recipients.len() as u32;
        let suppressions = self.take_trace(self.trace_of(id));
        self.recipients.push(Recipient { id: id.into(), hash, suppressions, ..Recipient::default() });
        let recipients = &self.recipients;
        self.by_id.insert_unique(hash, index, |other| recipients[*other as usize].hash);
        index
    }

    /// The stops of whoever was erased under the id of this trace; they are the person's own again.
    fn take_trace(&mut self, trace: u128) -> Vec<Suppression> {
        let Some(stops) = self.traces.remove(&trace) else { return Vec::new() };
        match &mut self.taken {
            Some(taken) => taken.push((trace, stops.clone())),
            None => self.touched_traces.touch(trace),
        }
        stops
    }

    /// From now on changes are noted, to be undone; nobody may be erased meanwhile.
    pub(crate) fn note(&mut self) {
        self.recipients.note();
        self.taken = Some(Vec::new());
    }

    /// Puts everything back as it was when noting began.
    pub(crate) fn undo(&mut self) {
        let added = self.recipients.undo();
        for (recipient, index) in added.iter().zip(self.recipients.len() as u32..) {
            if let Ok(place) = self.by_id.find_entry(recipient.hash, |other| *other == index) {
                place.remove();
            }
        }
        self.traces.extend(self.taken.take().unwrap_or_default());
    }

    /// Forgets a person but for a trace of their stops, if any hold, under a digest of the id.
    pub fn erase(&mut self, index: u32, now: i64) {
        let erased = std::mem::take(self.get_mut(index));
        if let Ok(place) = self.by_id.find_entry(erased.hash, |other| *other == index) {
            place.remove();
        }
        let stops = erased.lasting_stops(now);
        if !stops.is_empty() {
            let trace = self.trace_of(&erased.id);
            self.traces.insert(trace, stops);
            self.touched_traces.touch(trace);
        }
    }

    /// Lifts the hard stop of a channel (or of all); false if there was none. Who was erased is known again by this:
    /// it names them.
    pub fn lift(&mut self, id: &str, channel: Option<Channel>) -> bool {
        if self.find_id(id).is_none() && !self.traces.contains_key(&self.trace_of(id)) {
            return false;
        }
        let index = self.find_or_add(id, hash_of(id));
        self.get_mut(index).lift(channel)
    }

    pub fn find_id(&self, id: &str) -> Option<u32> {
        self.find(id, hash_of(id))
    }

    pub fn get(&self, index: u32) -> &Recipient {
        &self.recipients[index as usize]
    }

    pub fn get_mut(&mut self, index: u32) -> &mut Recipient {
        &mut self.recipients[index as usize]
    }

    /// To change what follows from the messages.
    pub fn follow_mut(&mut self, index: u32) -> &mut Recipient {
        self.recipients.follow_mut(index as usize)
    }

    /// Merges into a profile what a request says of it; the channels that could not use the address given for them.
    pub fn merge<'a>(
        &mut self,
        index: u32,
        row: &RecipientRow,
        contacts: impl Iterator<Item = &'a str> + Clone,
    ) -> ChannelMask {
        let Merged { changed, left_out } = self.follow_mut(index).profile.merge(row, contacts);
        if changed {
            self.recipients.touch(index as usize);
        }
        left_out
    }

    /// From now on what changes is named.
    pub fn watch(&mut self) {
        self.recipients.touched.watch();
        self.touched_traces.watch();
    }

    /// The recipients, and the traces of erased ones, that changed since the last call.
    pub fn take_touched(&mut self) -> (Vec<u32>, BTreeSet<u128>) {
        (self.recipients.touched.take(), self.touched_traces.take())
    }

    pub fn is_touched(&self) -> bool {
        !self.recipients.touched.is_empty() || !self.touched_traces.is_empty()
    }

    /// What must go on holding for erased people, by trace.
    pub fn traces(&self) -> &BTreeMap<u128, Vec<Suppression>> {
        &self.traces
    }

    /// The roster as it was written down.
    pub fn restored(mut recipients: Vec<Recipient>, traces: BTreeMap<u128, Vec<Suppression>>, secret: Secret) -> Self {
        let mut by_id = HashTable::with_capacity(recipients.len());
        for recipient in recipients.iter_mut().filter(|recipient| !recipient.is_erased()) {
            recipient.hash = hash_of(&recipient.id);
        }
        for (index, recipient) in (0..).zip(&recipients).filter(|(_, recipient)| !recipient.is_erased()) {
            by_id.insert_unique(recipient.hash, index, |other: &u32| recipients[*other as usize].hash);
        }
        Roster { recipients: recipients.into(), by_id, traces, secret, ..Roster::default() }
    }

    /// The secret that traces are made with.
    pub fn secret(&self) -> Secret {
        self.secret
    }
}

/// Who is found by which id follows from the recipients.
impl Hash for Roster {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Roster { recipients, by_id: _, traces, touched_traces: _, taken: _, secret: _ } = self;
        (recipients, traces).hash(state);
    }
}

#[cfg(test)]
mod tests;
