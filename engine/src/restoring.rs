//! Restoring: a shard as it was written down, from its pages and the groups of effects after them.
//!
//! The rule (design, section 4): pages first, in any order, then the groups that are kept, in theirs. The last record
//! of a thing is what holds, and a page is later than the groups up to its own. What is not written is worked out at
//! the end: who is found by which id, whose message follows which, histories, uses of keys, balances. A restored shard
//! is the one that wrote: their state hashes are equal.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;

use crate::campaign::Campaign;
use crate::columns::Corrupt;
use crate::deliveries::{Deliveries, Delivery};
use crate::effects::{Effects, PageKey};
use crate::kept_answers::{Binding, KeptPart};
use crate::keys::Keys;
use crate::messages::{Message, Messages, link_to};
use crate::record::{Reader, Record};
use crate::roster::{Recipient, Roster, Suppression};
use crate::shard::Shard;
use crate::shelf::Shelf;
use crate::silence::GivenUp;

/// What was read so far.
#[derive(Debug, Default)]
pub struct Restoring {
    recipients: Vec<Option<Recipient>>,
    messages: Vec<Option<Message>>,
    deliveries: BTreeMap<u32, Delivery>,
    campaigns: Vec<Option<Campaign>>,
    keys: Vec<Option<Box<str>>>,
    traces: BTreeMap<u128, Vec<Suppression>>,
    applied: BTreeSet<u128>,
    bound: BTreeMap<u128, u64>,
    bindings: BTreeMap<u128, (i64, Binding)>,
    parts: BTreeMap<u128, (i64, KeptPart)>,
    /// The incarnation that numbers messages, and the latest time.
    head: Option<(u64, i64)>,
    /// The group that each page is as of.
    pages: HashMap<PageKey, u64>,
    effects: Effects,
}

impl Restoring {
    /// Takes a page as it was after the group `sequence`. All pages come before the first group.
    pub fn page(&mut self, number: i64, sequence: u64, bytes: &[u8]) -> Result<(), Corrupt> {
        let page = PageKey::from_number(number)?;
        self.pages.insert(page, sequence);
        let mut reader = Reader::new(bytes);
        while let Some(record) = reader.record()? {
            if record.page() != page {
                return Err(Corrupt("a record is on another page than its own"));
            }
            self.take(record)?;
        }
        Ok(())
    }

    /// Takes a group of effects, but for what a page has as it was then or later: that page may be all that has it.
    pub fn group(&mut self, sequence: u64, bytes: &[u8]) -> Result<(), Corrupt> {
        let mut reader = Reader::new(bytes);
        self.head = Some(reader.value()?);
        while let Some(record) = reader.record()? {
            let page = record.page();
            if self.pages.get(&page).is_none_or(|as_of| *as_of < sequence) {
                self.effects.note(page, sequence);
                self.take(record)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, record: Record) -> Result<(), Corrupt> {
        match record {
            Record::Recipient(index, recipient) => put(&mut self.recipients, index, recipient)?,
            Record::Message(index, message) => put(&mut self.messages, index, message)?,
            Record::Delivery(index, delivery) => _ = self.deliveries.insert(index, delivery),
            Record::Campaign(index, campaign) => put(&mut self.campaigns, index, *campaign)?,
            Record::Key(number, text) => put(&mut self.keys, number, text)?,
            Record::Trace(trace, stops) => set(&mut self.traces, trace, stops),
            Record::AppliedEvent(id) => _ = self.applied.insert(id),
            Record::BoundEvent(id, message) => set(&mut self.bound, id, message),
            Record::Binding(key, binding) => set(&mut self.bindings, key, binding),
            Record::KeptPart(key, part) => set(&mut self.parts, key, part),
        }
        Ok(())
    }

    /// The shard, with the settings of an `empty` one. It goes on being written down.
    pub fn into_shard(self, empty: Shard) -> Result<Shard, Corrupt> {
        let (incarnation, latest) = self.head.unwrap_or((empty.messages.incarnation(), empty.latest));
        let mut recipients = all(self.recipients, "a recipient is missing")?;
        let mut campaigns = all(self.campaigns, "a campaign is missing")?;
        let mut messages = all(self.messages, "a message is missing")?;
        let mut used = Vec::with_capacity(messages.len());
        let mut minutes: Vec<Vec<i64>> = vec![Vec::new(); campaigns.len()];
        let mut latest_messages: Vec<Option<NonZeroU32>> = vec![None; recipients.len()];
        let deliveries = Deliveries::restored(self.deliveries);
        if deliveries.entries().last_key_value().is_some_and(|(last, _)| *last as usize >= messages.len()) {
            return Err(Corrupt("a delivery is of no message"));
        }
        for (index, message) in (0..).zip(&mut messages) {
            let whose = message.recipient as usize;
            let recipient = recipients.get_mut(whose).ok_or(Corrupt("a message is for nobody"))?;
            let campaign = campaigns.get_mut(message.campaign as usize);
            let campaign = campaign.ok_or(Corrupt("a message is of no campaign"))?;
            recount(campaign, message, deliveries.get(index), &mut minutes[message.campaign as usize])?;
            message.previous = std::mem::replace(&mut latest_messages[whose], link_to(index));
            if !recipient.is_erased() {
                used.push(message.key);
                recipient.latest_message = link_to(index);
                if message.is_live() {
                    let counted = !campaign.rules.transactional;
                    for given_up in deliveries.get(index).iter().flat_map(|delivery| &delivery.given_up) {
                        recipient.history.insert(given_up.instant(index, message.key, counted));
                    }
                    let at = deliveries.sent_at(index).unwrap_or(message.scheduled_at);
                    recipient.history.insert(message.instant(index, at, counted));
                }
            }
        }
        for (campaign, minutes) in campaigns.iter_mut().zip(minutes) {
            campaign.balances.minutes.recount(minutes.into_iter());
        }
        let texts = self.keys.into_iter().map(Option::unwrap_or_default).collect();
        let keys = Keys::restored(texts, used.into_iter()).ok_or(Corrupt("a message has an unknown key"))?;
        let campaign_index =
            (0..).zip(&campaigns).map(|(index, campaign)| (campaign.rules.id.clone(), index)).collect();
        let mut shard = Shard {
            roster: Roster::restored(recipients, self.traces, empty.roster.secret()),
            messages: Messages::restored(incarnation, messages),
            deliveries,
            keys,
            campaigns: campaigns.into(),
            campaign_index,
            event_ids: empty.event_ids.restored(self.applied, self.bound),
            kept_answers: empty.kept_answers.restored(Shelf::restored(self.bindings), Shelf::restored(self.parts)),
            latest,
            ..empty
        };
        shard.watch(self.effects.as_of(latest));
        Ok(shard)
    }
}

/// Counts again what a message and its attempts before take of their campaign's buckets; adds the minutes.
fn recount(
    campaign: &mut Campaign,
    message: &Message,
    delivery: Option<&Delivery>,
    minutes: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    let (charges, given_up) =
        delivery.map_or((&[][..], &[][..]), |delivery| (&delivery.charges[..], &delivery.given_up[..]));
    if given_up.iter().any(|given_up| given_up.attempt as usize >= message.attempts.len()) {
        return Err(Corrupt("an attempt that was given up is missing"));
    }
    let own = message.is_live().then(|| message.place());
    for place in own.into_iter().chain(given_up.iter().map(GivenUp::place)) {
        campaign.balances.recount(&place).ok_or(TOO_MUCH)?;
        if campaign.rules.limited.per_minute {
            minutes.push(place.minute);
        }
    }
    for charge in charges {
        campaign.balances.recount_cost(charge.channel as usize, charge.day, charge.cost).ok_or(TOO_MUCH)?;
    }
    Ok(())
}

const TOO_MUCH: Corrupt = Corrupt("messages cost more than can be counted");

/// An index far beyond what was read so far is a fault, not a reason to take all memory.
const GAP_MAX: usize = 1 << 22;

fn put<T>(list: &mut Vec<Option<T>>, index: u32, item: T) -> Result<(), Corrupt> {
    let index = index as usize;
    if index >= list.len() {
        if index - list.len() > GAP_MAX {
            return Err(Corrupt("an index is out of all order"));
        }
        list.resize_with(index + 1, || None);
    }
    list[index] = Some(item);
    Ok(())
}

fn set<V>(map: &mut BTreeMap<u128, V>, key: u128, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn all<T>(list: Vec<Option<T>>, missing: &'static str) -> Result<Vec<T>, Corrupt> {
    list.into_iter().map(|item| item.ok_or(Corrupt(missing))).collect()
}
