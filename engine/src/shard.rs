//! A shard's state: recipients, campaigns, messages; and the changes that are not decisions.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::budget_manager::Place;
use crate::campaign::{Campaign, Rules};
use crate::charges::Charge;
use crate::deliveries::Deliveries;
use crate::due::Due;
use crate::effects::Effects;
use crate::engagement::Decay;
use crate::event_ids::EventIds;
use crate::kept_answers::KeptAnswers;
use crate::keys::Keys;
use crate::messages::Messages;
use crate::part::Part;
use crate::rehearsal::Before;
use crate::roster::{Roster, Suppression};
use crate::secret::Secret;
use crate::slot::{hash_of, slot_of};
use crate::undoable::Undoable;
use crate::words::{ALL_CHANNELS, CHANNEL_COUNT, Channel, ChannelMask, MessageState, OPT_OUT_ALL};
use crate::zones::Zones;

/// Everything a shard knows. Time is an argument everywhere: the same calls in the same order give the same state.
#[derive(Debug, Default)]
pub struct Shard {
    pub roster: Roster,
    pub messages: Messages,
    pub deliveries: Deliveries,
    pub(crate) due: Due,
    pub keys: Keys,
    pub campaigns: Undoable<Campaign>,
    pub zones: Arc<Zones>,
    pub(crate) campaign_index: HashMap<String, u32>,
    pub event_ids: EventIds,
    pub kept_answers: KeptAnswers,
    /// Of all counts of engagement.
    pub decay: Decay,
    /// Channels whose failed attempts cost.
    pub charged: ChannelMask,
    /// How long what was sent on a channel has to be heard of; 0: for ever.
    pub success_within_s: [i64; CHANNEL_COUNT],
    /// Campaigns with a limit to which money came back since anybody asked.
    pub(crate) freed: BTreeSet<u32>,
    /// The latest `now` of any request: time never goes back on a shard.
    pub(crate) latest: i64,
    /// What a rehearsal puts back, while there is one.
    pub(crate) before: Option<Before>,
    /// What is to be written down, where somebody does.
    pub(crate) effects: Option<Effects>,
}

/// The campaign is not known here.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownCampaign(pub String);

impl Shard {
    pub fn new(incarnation: u64, zones: Arc<Zones>) -> Self {
        Shard { messages: Messages::new(incarnation), zones, latest: i64::MIN, ..Shard::default() }
    }

    /// The same, still empty, under the cluster's secret and with room for kept answers.
    pub fn keeping(self, secret: Secret, kept_answers_bytes_max: usize) -> Self {
        Shard {
            roster: Roster::new(secret),
            event_ids: EventIds::new(secret),
            kept_answers: KeptAnswers::new(secret, kept_answers_bytes_max),
            ..self
        }
    }

    /// `now`, or the latest time seen if that is later.
    pub fn advance(&mut self, now: i64) -> i64 {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// Creates a campaign or replaces its rules; what it did is kept. Its slices must have been given back.
    pub fn put_campaign(&mut self, rules: Rules) {
        match self.campaign_index.get(&rules.id) {
            Some(index) => {
                let campaign = &mut self.campaigns[*index as usize];
                if rules.limited.per_minute && !campaign.rules.limited.per_minute {
                    let theirs = self.messages.iter().filter(|message| message.campaign == *index && message.is_live());
                    let theirs = theirs.map(|message| message.place().minute);
                    let given_up = self.deliveries.given_up();
                    let given_up = given_up.filter(|(message, _)| self.messages.get(*message).campaign == *index);
                    let given_up = given_up.map(|(_, given_up)| given_up.place().minute);
                    campaign.balances.minutes.recount(theirs.chain(given_up));
                }
                campaign.rules = rules;
            }
            None => {
                self.campaign_index.insert(rules.id.clone(), self.campaigns.len() as u32);
                self.campaigns.push(Campaign { rules, ..Campaign::default() });
            }
        }
    }

    pub fn find_campaign(&self, id: &str) -> Result<u32, UnknownCampaign> {
        self.campaign_index.get(id).copied().ok_or_else(|| UnknownCampaign(id.to_owned()))
    }

    /// Keeps what a part says of its recipients, without deciding anything.
    pub fn merge_profiles(&mut self, part: &Part) {
        for row in 0..part.recipients.len() {
            let (recipient, _) = self.merge_profile(part, row);
            self.cancel_opted_out(recipient);
        }
    }

    /// Merges one row of a part into the roster: the recipient's index, and the channels that could not use the address
    /// given for them.
    pub(crate) fn merge_profile(&mut self, part: &Part, row: usize) -> (u32, ChannelMask) {
        let columns = part.recipients.columns.row(row);
        let index = self.roster.find_or_add(part.recipients.id(row), columns.hash);
        (index, self.roster.merge(index, &columns, part.recipients.contacts(row)))
    }

    fn cancel_opted_out(&mut self, recipient: u32) {
        let opt_out = self.roster.get(recipient).profile.opt_out;
        self.cancel_waiting(recipient, refused_channels(opt_out));
    }

    /// Sets a hard stop and cancels what it stops; one that is over already stops nothing. A stranger can be
    /// suppressed, too.
    pub fn suppress(&mut self, id: &str, suppression: Suppression, now: i64) {
        let channels = suppression.channel.map_or(ALL_CHANNELS, Channel::bit);
        let holds = suppression.holds(self.advance(now));
        let index = self.roster.find_or_add(id, hash_of(id));
        self.roster.get_mut(index).suppress(suppression);
        if holds {
            self.cancel_waiting(index, channels);
        }
    }

    /// Sets a hard stop for good on one channel, and cancels what waits there.
    pub(crate) fn stop(&mut self, recipient: u32, channel: Channel, reason: &str) {
        let suppression = Suppression { channel: Some(channel), until: None, reason: Some(reason.into()) };
        self.roster.get_mut(recipient).suppress(suppression);
        self.cancel_waiting(recipient, channel.bit());
    }

    /// Cancels the messages of a recipient that still wait on any of `channels`.
    pub(crate) fn cancel_waiting(&mut self, recipient: u32, channels: ChannelMask) {
        if channels == 0 {
            return;
        }
        let waiting: Vec<u32> = self
            .roster
            .get(recipient)
            .history
            .newest_first()
            .filter(|entry| channels & entry.channel.bit() != 0 && !entry.given_up)
            .map(|entry| entry.message)
            .collect();
        for message in waiting {
            self.cancel(message);
        }
    }

    /// Cancels a message if it still waits: its cost, its place, its caps and its key are free again. False, and
    /// nothing is changed, if it does not wait.
    pub fn cancel(&mut self, index: u32) -> bool {
        let waits = self.messages.get(index).state == MessageState::Scheduled;
        if waits {
            self.end(index, MessageState::Cancelled);
        }
        waits
    }

    /// The ids of campaigns with a limit to which money came back since the last call: other shards may have been
    /// told that there is no more.
    pub fn take_freed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.freed)
            .into_iter()
            .map(|index| self.campaigns[index as usize].rules.id.clone())
            .collect()
    }

    /// What there is to learn at `now` from the campaigns that have events: their ids and [`HourlyCounts::at`].
    ///
    /// [`HourlyCounts::at`]: crate::engagement::HourlyCounts::at
    pub fn learned(&self, now: i64) -> impl Iterator<Item = (&str, Vec<f64>)> {
        self.campaigns.iter().filter_map(move |campaign| {
            let counts = campaign.engagement.as_ref()?;
            Some((campaign.rules.id.as_str(), counts.at(now, self.decay)))
        })
    }

    /// Has a message wait for its instant: what it costs and where it counts is taken. [`Shard::end`] undoes it.
    pub(crate) fn begin(&mut self, index: u32) {
        let message = self.messages.get_mut(index);
        message.state = MessageState::Scheduled;
        let campaign = &mut self.campaigns[message.campaign as usize];
        let (rules, tally) = (&campaign.rules, &mut campaign.tally);
        tally.messages[message.state as usize] += 1;
        tally.hours[message.local_hour()] += 1;
        let channel = &mut tally.channels[message.channel as usize];
        channel.messages += 1;
        channel.committed += message.cost;
        campaign.balances.commit(rules.limited, &message.place());
        let instant = message.instant(index, message.scheduled_at, !rules.transactional);
        self.roster.follow_mut(message.recipient).history.insert(instant);
    }

    /// Ends a message without anybody having got it, unless it is sent by an attempt that was given up.
    pub(crate) fn end(&mut self, index: u32, state: MessageState) {
        self.end_attempt(index, state, self.messages.get(index).place());
        self.settle(index);
    }

    /// Ends the attempt under way: its place, and of its cost what may come back, is free again. The rest is spent.
    pub(crate) fn end_attempt(&mut self, index: u32, state: MessageState, back: Place) {
        let message = self.messages.get_mut(index);
        let charge = Charge { channel: message.channel, day: message.day, cost: message.cost - back.cost };
        let campaign = &mut self.campaigns[message.campaign as usize];
        if campaign.rules.limited.any() {
            self.freed.insert(message.campaign);
        }
        let tally = &mut campaign.tally;
        let channel = &mut tally.channels[message.channel as usize];
        if message.state == MessageState::Sent {
            channel.spent -= message.cost;
        }
        channel.spent += charge.cost;
        tally.messages[message.state as usize] -= 1;
        message.state = state;
        tally.messages[message.state as usize] += 1;
        channel.messages -= 1;
        channel.committed -= back.cost;
        tally.hours[message.local_hour()] -= 1;
        campaign.balances.give_back(campaign.rules.limited, &back);
        self.roster.follow_mut(message.recipient).history.remove(index);
        if charge.cost > 0 {
            self.deliveries.change(index, |delivery| delivery.charges.push(charge));
        }
    }

    /// The index of a message's number, if it is one of this shard's.
    pub fn find_message(&self, number: u64) -> Option<u32> {
        let index = self.find_claimed(number)?;
        (!self.roster.get(self.messages.get(index).recipient).is_erased()).then_some(index)
    }

    /// The same for whoever claimed the message, and may not know that the person was erased meanwhile.
    pub fn find_claimed(&self, number: u64) -> Option<u32> {
        let index = self.messages.index(number)?;
        let recipient = self.roster.get(self.messages.get(index).recipient);
        (recipient.is_erased() || self.messages.number(index, slot_of(recipient.hash)) == number).then_some(index)
    }
}

/// The channels that an opt-out mask refuses.
pub(crate) fn refused_channels(opt_out: u8) -> ChannelMask {
    if opt_out & OPT_OUT_ALL != 0 { ALL_CHANNELS } else { opt_out }
}
