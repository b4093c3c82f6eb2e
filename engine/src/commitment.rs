//! Commitment: the ten steps for each recipient of a part, in request order, on what the kernels worked out.
//!
//! A row whose decision hangs on money that only the ledger knows stops the walk before anything of it is written;
//! the walk goes on at the same row once the ledger has answered.

use crate::admission::Admission;
use crate::answer::{Decision, pack_channels};
use crate::budget_manager::{Fit, Needs};
use crate::campaign::Campaign;
use crate::deduplicator::Entry;
use crate::frequency::{Broken, Counted, DAY_S};
use crate::messages::{Message, link_to};
use crate::permission::{MINUTE_S, Permission};
use crate::plan::{Choice, Deferral, Plan, Slot, mask_where};
use crate::shard::Shard;
use crate::slot::slot_of;
use crate::words::{Channel, ChannelMask, MessageState, NO_CHANNEL, NONE, Reason, Status, channels_of};

/// Where a row stands after steps 0 to 2.
pub(crate) enum Viability {
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
            let mut choice = Choice::new(row, plan);
            let outcome = self.decide(admission, &mut choice);
            if admission.explain && !matches!(outcome, Outcome::AskLedger) {
                let trace = self.trace(admission, plan, row);
                admission.traces.push(trace);
            }
            let decision = match outcome {
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

    /// Steps 0 to 5. Changes nothing but what `choice` puts off.
    fn decide(&self, admission: &Admission, choice: &mut Choice<'_>) -> Outcome {
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
    pub(crate) fn viable(&self, admission: &Admission, choice: &mut Choice<'_>) -> Viability {
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
        let permitted = choice.permitted(candidates);
        if permitted == 0 {
            return Viability::Blocked(Reason::NoSendWindow);
        }
        if rules.transactional {
            return Viability::Channels(permitted);
        }
        let caps = rules.caps();
        let counted = Counted::of(history, admission.now);
        let mut first_broken = None;
        let viable = mask_where(permitted, |channel| {
            let Some(broken) = counted.broken(&caps, channel, choice.planned_instant(channel)) else { return true };
            first_broken = Some(first_broken.map_or(broken, |first: Broken| first.min(broken)));
            rules.defers && self.defer(admission, choice, &counted, channel, broken)
        });
        match first_broken {
            Some(broken) if viable == 0 => Viability::Held(broken),
            _ => Viability::Channels(viable),
        }
    }

    /// Puts a channel off to the first permitted minute that keeps caps and gap; false if there is none.
    fn defer(
        &self,
        admission: &Admission,
        choice: &mut Choice<'_>,
        counted: &Counted,
        channel: Channel,
        broken: Broken,
    ) -> bool {
        let rules = &self.campaigns[admission.campaign as usize].rules;
        let clock = self.zones.clock(admission.features.zone[choice.row]);
        let quiet = match channel {
            Channel::Email => (0, 0),
            _ => admission.features.quiet_hours(choice.row),
        };
        let permission = Permission { ends_at: rules.ends_at, window: rules.window, quiet };
        let permitted = |from| permission.first_from(clock, from);
        let refused = choice.planned_instant(channel);
        let Some(at) = counted.defer(&rules.caps(), channel, refused, admission.now, permitted) else { return false };
        let campaign_offset_s = self.zones.clock(rules.zone).offset_at(at);
        let slot = Slot {
            at,
            day: (at + campaign_offset_s).div_euclid(DAY_S) as i32,
            offset_minutes: (clock.offset_at(at) / MINUTE_S) as i16,
        };
        choice.defer(Deferral { channel, reason: broken.reason(), slot });
        true
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
        let key = self.keys.number_again(admission.key, &admission.key_text);
        admission.key = Some(key);
        let campaign = &mut self.campaigns[admission.campaign as usize];
        let rules = &campaign.rules;
        let cost = rules.costs[channel as usize];
        let fallbacks = usize::from(rules.max_attempts.saturating_sub(1));
        let slot = choice.slot(channel);
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
            scheduled_at: slot.at,
            offset_minutes: slot.offset_minutes,
            day: slot.day,
            cost,
            content: admission.content.clone(),
        };
        campaign.balances.commit(rules.limited, channel as usize, slot.day, cost);
        campaign.tally.messages[MessageState::Scheduled as usize] += 1;
        campaign.tally.hours[message.local_hour()] += 1;
        let tally = &mut campaign.tally.channels[channel as usize];
        tally.messages += 1;
        tally.committed += cost;
        let counted = !rules.transactional;
        let index = self.messages.add(message);
        let recipient = self.roster.get_mut(recipient_index);
        recipient.latest_message = link_to(index);
        recipient.history.insert(Entry { at: slot.at, message: index, key, channel, counted });
        Decision {
            message_id: self.messages.number(index, slot_of(recipient.hash)),
            status: Status::Scheduled as u8,
            reason: choice.deferral(channel).map_or(u8::MAX, |deferral| deferral.reason as u8),
            channel: channel as u8,
            chain,
            scheduled_at: slot.at,
            offset_minutes: slot.offset_minutes,
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
            let mut choice = Choice::new(row, plan);
            let Viability::Channels(viable) = self.viable(admission, &mut choice) else { continue };
            for channel in choice.ranked(viable) {
                needs.add(rules.limited, channel as usize, choice.slot(channel).day, rules.costs[channel as usize]);
                if fit_money(campaign, &choice, channel) != Fit::No {
                    break;
                }
            }
        }
        needs
    }
}

fn fit_money(campaign: &Campaign, choice: &Choice<'_>, channel: Channel) -> Fit {
    let cost = campaign.rules.costs[channel as usize];
    campaign.balances.fit_money(campaign.rules.limited, channel as usize, choice.slot(channel).day, cost)
}

/// Steps 3 to 5: the best viable channel that can be paid, if its day has a message left.
fn choose(campaign: &Campaign, choice: &Choice<'_>, viable: ChannelMask) -> Outcome {
    for channel in choice.ranked(viable) {
        match fit_money(campaign, choice, channel) {
            Fit::No => {}
            Fit::Ask => return Outcome::AskLedger,
            Fit::Yes => {
                return match campaign.balances.fit_message(campaign.rules.limited, choice.slot(channel).day) {
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
    let rivals = viable & !channel.bit();
    match channels_of(rivals).map(|rival| choice.value(rival)).max() {
        None => 10_000,
        Some(best_rival) => {
            let doubled = 1_000_000_000 + (choice.value(channel) - best_rival).clamp(-1_000_000_000, 1_000_000_000);
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
