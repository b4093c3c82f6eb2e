//! Commitment: the ten steps for each recipient of a part, in request order, on what the kernels worked out.
//!
//! A row whose decision hangs on money that only the ledger knows stops the walk before anything of it is written;
//! the walk goes on at the same row once the ledger has answered.

use crate::admission::Admission;
use crate::answer::{Decision, pack_channels};
use crate::budget_manager::{Fit, Needs};
use crate::campaign::Campaign;
use crate::deduplicator::Entry;
use crate::frequency::{Broken, Counted};
use crate::messages::{Message, link_to};
use crate::shard::Shard;
use crate::slot::slot_of;
use crate::words::{CHANNEL_COUNT, Channel, ChannelMask, MessageState, NO_CHANNEL, NONE, Reason, Status, channels_of};

/// What the kernels worked out, rows of CHANNEL_COUNT.
pub struct Plan<'a> {
    /// The instant of a message on each channel; NONE where no minute is permitted.
    pub instants: &'a [i64],
    /// The campaign's local day of that instant.
    pub days: &'a [i32],
    /// The recipient's offset from UTC at that instant, minutes.
    pub offsets: &'a [i16],
    /// Channels in step 3's order; those that are no candidates may stand anywhere.
    pub order: &'a [u8],
    /// Score plus boost in billionths.
    pub values: &'a [i64],
}

impl Plan<'_> {
    /// Whether every column has `rows` rows of channels and names only channels.
    pub fn fits(&self, rows: usize) -> bool {
        let cells = rows * CHANNEL_COUNT;
        [self.instants.len(), self.days.len(), self.offsets.len(), self.order.len(), self.values.len()]
            .iter()
            .all(|length| *length == cells)
    }
}

/// One row of a plan.
struct Choice<'a> {
    row: usize,
    plan: &'a Plan<'a>,
}

impl Choice<'_> {
    fn at(&self, channel: Channel) -> usize {
        self.row * CHANNEL_COUNT + channel as usize
    }

    fn instant(&self, channel: Channel) -> i64 {
        self.plan.instants[self.at(channel)]
    }

    fn day(&self, channel: Channel) -> i32 {
        self.plan.days[self.at(channel)]
    }

    /// Step 3: the channels of `viable`, best first.
    fn ranked(&self, viable: ChannelMask) -> impl Iterator<Item = Channel> {
        let start = self.row * CHANNEL_COUNT;
        self.plan.order[start..start + CHANNEL_COUNT]
            .iter()
            .filter_map(|code| Channel::from_code(*code))
            .filter(move |channel| viable & channel.bit() != 0)
    }
}

/// Where a row stands after steps 0 to 2.
enum Viability {
    Blocked(Reason),
    /// Caps or gaps left no channel.
    Held(Broken),
    Channels(ChannelMask),
}

/// Where a row stands after steps 0 to 5.
enum Outcome {
    Blocked(Reason, Option<i64>),
    Chosen(Channel, ChannelMask),
    AskLedger,
}

impl Shard {
    /// Decides rows until the end (None) or until the ledger must be asked (what the rest may need).
    pub fn commit(&mut self, admission: &mut Admission, plan: &Plan<'_>) -> Option<Needs> {
        for row in admission.answer.status.len()..admission.rows.len() {
            let admitted = admission.rows[row];
            self.cancel_waiting(admitted.recipient, admitted.opted_out);
            let choice = Choice { row, plan };
            let decision = match self.decide(admission, &choice) {
                Outcome::AskLedger => return Some(self.needs(admission, plan, row)),
                Outcome::Blocked(reason, next_eligible_at) => {
                    self.campaigns[admission.campaign as usize].tally.blocked[reason as usize] += 1;
                    Decision::blocked(reason, next_eligible_at)
                }
                Outcome::Chosen(channel, viable) => self.record(admission, &choice, channel, viable),
            };
            admission.answer.push(decision);
        }
        None
    }

    /// Gives up on the rows that are not decided yet: the ledger could not be asked.
    /// An opt-out among them holds all the same.
    pub fn abandon(&mut self, admission: &mut Admission) {
        for row in admission.answer.status.len()..admission.rows.len() {
            self.cancel_waiting(admission.rows[row].recipient, admission.rows[row].opted_out);
            admission.answer.push(Decision {
                status: Status::Unavailable as u8,
                reason: u8::MAX,
                channel: NO_CHANNEL,
                scheduled_at: NONE,
                next_eligible_at: NONE,
                ..Decision::default()
            });
        }
    }

    /// Steps 0 to 5. Changes nothing.
    fn decide(&self, admission: &Admission, choice: &Choice<'_>) -> Outcome {
        let campaign = &self.campaigns[admission.campaign as usize];
        match self.viable(admission, choice) {
            Viability::Blocked(reason) => Outcome::Blocked(reason, None),
            Viability::Held(broken) => {
                let history = &self.roster.get(admission.rows[choice.row].recipient).history;
                let candidates = admission.features.candidates[choice.row];
                let caps = campaign.rules.caps();
                let next = Counted::of(history, admission.now).next_eligible(&caps, candidates, admission.now);
                Outcome::Blocked(broken.reason(), next)
            }
            Viability::Channels(viable) => choose(campaign, choice, viable),
        }
    }

    /// Steps 0 to 2: the channels that are left.
    fn viable(&self, admission: &Admission, choice: &Choice<'_>) -> Viability {
        let admitted = &admission.rows[choice.row];
        if let Some(reason) = admitted.standing {
            return Viability::Blocked(reason);
        }
        let rules = &self.campaigns[admission.campaign as usize].rules;
        let history = &self.roster.get(admitted.recipient).history;
        let later_than = admission.now.saturating_sub(rules.lookback_s);
        if admission.key.is_some_and(|key| history.duplicate(key, later_than)) {
            return Viability::Blocked(Reason::Duplicate);
        }
        let candidates = admission.features.candidates[choice.row];
        if candidates == 0 {
            return Viability::Blocked(Reason::NoViableChannel);
        }
        let permitted = mask_where(candidates, |channel| choice.instant(channel) != NONE);
        if permitted == 0 {
            return Viability::Blocked(Reason::NoSendWindow);
        }
        if rules.transactional {
            return Viability::Channels(permitted);
        }
        let caps = rules.caps();
        let counted = Counted::of(history, admission.now);
        let mut first_broken = None;
        let viable = mask_where(permitted, |channel| match counted.broken(&caps, channel, choice.instant(channel)) {
            None => true,
            Some(broken) => {
                first_broken = Some(first_broken.map_or(broken, |first: Broken| first.min(broken)));
                false
            }
        });
        match first_broken {
            Some(broken) if viable == 0 => Viability::Held(broken),
            _ => Viability::Channels(viable),
        }
    }

    /// Steps 7 to 10.
    fn record(
        &mut self,
        admission: &mut Admission,
        choice: &Choice<'_>,
        channel: Channel,
        viable: ChannelMask,
    ) -> Decision {
        let recipient_index = admission.rows[choice.row].recipient;
        let key = *admission.key.get_or_insert_with(|| self.keys.number(&admission.key_text));
        let campaign = &mut self.campaigns[admission.campaign as usize];
        let rules = &campaign.rules;
        let cost = rules.costs[channel as usize];
        let fallbacks = usize::from(rules.max_attempts.saturating_sub(1));
        let chain = pack_channels(choice.ranked(viable).skip_while(|other| *other != channel).skip(1).take(fallbacks));
        let message = Message {
            recipient: recipient_index,
            previous: self.roster.get(recipient_index).latest_message,
            campaign: admission.campaign,
            key,
            state: MessageState::Scheduled,
            channel,
            marks: 0,
            chain,
            scheduled_at: choice.instant(channel),
            offset_minutes: choice.plan.offsets[choice.at(channel)],
            day: choice.day(channel),
            cost,
            content: admission.content.clone(),
        };
        campaign.balances.commit(rules.limited, channel as usize, message.day, cost);
        campaign.tally.messages[MessageState::Scheduled as usize] += 1;
        campaign.tally.hours[message.local_hour()] += 1;
        let tally = &mut campaign.tally.channels[channel as usize];
        tally.messages += 1;
        tally.committed += cost;
        let counted = !rules.transactional;
        let (at, offset_minutes) = (message.scheduled_at, message.offset_minutes);
        let index = self.messages.add(message);
        let recipient = self.roster.get_mut(recipient_index);
        recipient.latest_message = link_to(index);
        recipient.history.insert(Entry { at, message: index, key, channel, counted });
        Decision {
            message_id: self.messages.number(index, slot_of(recipient.hash)),
            status: Status::Scheduled as u8,
            reason: u8::MAX,
            channel: channel as u8,
            chain,
            scheduled_at: at,
            offset_minutes,
            cost,
            confidence: confidence(choice, channel, viable),
            next_eligible_at: NONE,
        }
    }

    /// What the rows from `first` on may want to spend. Channels that are passed over are asked for, too: the answer
    /// then holds for all that a row looks at, and the same row never asks twice about the same channel.
    fn needs(&self, admission: &Admission, plan: &Plan<'_>, first: usize) -> Needs {
        let campaign = &self.campaigns[admission.campaign as usize];
        let rules = &campaign.rules;
        let mut needs = Needs::default();
        for row in first..admission.rows.len() {
            let choice = Choice { row, plan };
            let Viability::Channels(viable) = self.viable(admission, &choice) else { continue };
            for channel in choice.ranked(viable) {
                needs.add(rules.limited, channel as usize, choice.day(channel), rules.costs[channel as usize]);
                if fit_money(campaign, &choice, channel) != Fit::No {
                    break;
                }
            }
        }
        needs
    }
}

/// The channels of a mask for which `keep` says so.
fn mask_where(mask: ChannelMask, mut keep: impl FnMut(Channel) -> bool) -> ChannelMask {
    channels_of(mask).filter(|channel| keep(*channel)).fold(0, |kept, channel| kept | channel.bit())
}

fn fit_money(campaign: &Campaign, choice: &Choice<'_>, channel: Channel) -> Fit {
    let cost = campaign.rules.costs[channel as usize];
    campaign.balances.fit_money(campaign.rules.limited, channel as usize, choice.day(channel), cost)
}

/// Steps 3 to 5: the best viable channel that can be paid, if its day has a message left.
fn choose(campaign: &Campaign, choice: &Choice<'_>, viable: ChannelMask) -> Outcome {
    for channel in choice.ranked(viable) {
        match fit_money(campaign, choice, channel) {
            Fit::No => {}
            Fit::Ask => return Outcome::AskLedger,
            Fit::Yes => {
                return match campaign.balances.fit_message(campaign.rules.limited, choice.day(channel)) {
                    Fit::Yes => Outcome::Chosen(channel, viable),
                    Fit::No => Outcome::Blocked(Reason::DailyLimit, None),
                    Fit::Ask => Outcome::AskLedger,
                };
            }
        }
    }
    Outcome::Blocked(Reason::OverBudget, None)
}

/// How sure the choice is, in ten-thousandths: 1 with no rival, else a half plus half the margin over the best rival.
fn confidence(choice: &Choice<'_>, channel: Channel, viable: ChannelMask) -> u16 {
    let value = |channel: Channel| choice.plan.values[choice.at(channel)];
    let rivals = viable & !channel.bit();
    match channels_of(rivals).map(value).max() {
        None => 10_000,
        Some(best_rival) => {
            let doubled = 1_000_000_000 + (value(channel) - best_rival).clamp(-1_000_000_000, 1_000_000_000);
            // Half of it, in ten-thousandths, rounded half up.
            ((doubled + 100_000) / 200_000) as u16
        }
    }
}

impl Broken {
    fn reason(self) -> Reason {
        match self {
            Broken::Daily => Reason::DailyCap,
            Broken::Weekly => Reason::WeeklyCap,
            Broken::Gap => Reason::ChannelGap,
        }
    }
}

#[cfg(test)]
mod tests;
