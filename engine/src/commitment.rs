//! Commitment: the ten steps for each recipient of a part, in request order, on what the kernels worked out.
//!
//! A row whose decision hangs on money that only the ledger knows stops the walk before anything of it is written;
//! the walk goes on at the same row once the ledger has answered.

use crate::admission::Admission;
use crate::answer::{Decision, pack_channels};
use crate::budget_manager::{Fit, Needs, Place};
use crate::campaign::{Campaign, Rules};
use crate::frequency::{Broken, Counted, DAY_S};
use crate::messages::{Message, link_to};
use crate::minutes::{Places, Real, Tentative, minute_of};
use crate::permission::{MINUTE_S, Permission};
use crate::plan::{Choice, Plan, Slot, mask_where};
use crate::send_time::{Found, Mode, SendTime};
use crate::shard::Shard;
use crate::slot::slot_of;
use crate::words::{Channel, ChannelMask, MessageState, NONE, Reason, Status, channels_of};
use crate::zones::Clock;

/// Where a row stands after steps 0 to 2.
pub(crate) enum Viability {
    Blocked(Reason),
    /// Caps or gaps left no channel.
    Held(Broken),
    Channels(ChannelMask),
    /// Only the ledger knows whether a minute has a place left.
    AskLedger,
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
            admission.answer.push(Decision { left_out: admitted.left_out, ..decision });
        }
        None
    }

    /// Gives up on the rows that are not decided yet: the ledger could not be asked.
    /// An opt-out among them holds all the same.
    pub fn abandon(&mut self, admission: &mut Admission) {
        for row in admission.answer.status.len()..admission.rows.len() {
            self.cancel_waiting(admission.rows[row].recipient, admission.rows[row].opted_out);
            admission.answer.push(Decision::unavailable());
        }
    }

    /// Steps 0 to 5. Changes nothing but what `choice` puts off.
    fn decide(&self, admission: &Admission, choice: &mut Choice<'_>) -> Outcome {
        let campaign = &self.campaigns[admission.campaign as usize];
        let mut places = Real::new(campaign, None);
        match self.viable(admission, choice, &mut places) {
            Viability::AskLedger => Outcome::AskLedger,
            Viability::Blocked(reason) => Outcome::Blocked(reason, None),
            Viability::Held(broken) => {
                let history = &self.roster.get(admission.rows[choice.row].recipient).history;
                let candidates = admission.features.candidates[choice.row];
                let caps = campaign.rules.caps();
                let next = Counted::of(history, admission.now).next_eligible(&caps, candidates, admission.now);
                Outcome::Blocked(broken.reason(), next)
            }
            Viability::Channels(viable) => choose(campaign, choice, viable, admission.segments),
        }
    }

    /// Steps 0 to 2: the channels that are left.
    pub(crate) fn viable(&self, admission: &Admission, choice: &mut Choice<'_>, places: &mut impl Places) -> Viability {
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
        if rules.limited.per_minute && !self.move_out_of_full_minutes(admission, choice, candidates, places) {
            return Viability::AskLedger;
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
        let (mut first_broken, mut asks) = (None, false);
        let viable = mask_where(permitted, |channel| {
            let Some(broken) = counted.broken(&caps, channel, choice.planned_instant(channel)) else { return true };
            first_broken = Some(first_broken.map_or(broken, |first: Broken| first.min(broken)));
            if !rules.defers {
                return false;
            }
            let send_time = self.send_time(admission, choice.row, channel);
            match deferred(rules, &counted, channel, choice.planned_instant(channel), &send_time, places) {
                Found::At(at) => choice.defer(channel, self.slot(rules, send_time.clock, at), broken.reason()),
                Found::Ask => asks = true,
                Found::Nowhere => return false,
            }
            true
        });
        match first_broken {
            _ if asks => Viability::AskLedger,
            Some(broken) if viable == 0 => Viability::Held(broken),
            _ => Viability::Channels(viable),
        }
    }

    /// Moves every candidate whose minute is full to where step 6 has it then; false if only the ledger knows.
    fn move_out_of_full_minutes(
        &self,
        admission: &Admission,
        choice: &mut Choice<'_>,
        candidates: ChannelMask,
        places: &mut impl Places,
    ) -> bool {
        let rules = &self.campaigns[admission.campaign as usize].rules;
        for channel in channels_of(choice.permitted(candidates)) {
            let planned = choice.planned_instant(channel);
            match places.fit(minute_of(planned)) {
                Fit::Yes => continue,
                Fit::Ask => return false,
                Fit::No => {}
            }
            let send_time = self.send_time(admission, choice.row, channel);
            let found = match admission.mode {
                Mode::BestHour { horizon } if planned < horizon => {
                    let features = &admission.features;
                    let weights = choice.plan.hours(channel, features.customer_type[choice.row]);
                    send_time.in_best_hour(horizon, weights, features.spread[choice.row], places)
                }
                _ => send_time.first_from((minute_of(planned) + 1) * MINUTE_S, places),
            };
            match found {
                Found::At(at) => choice.move_to(channel, self.slot(rules, send_time.clock, at)),
                Found::Nowhere => choice.move_to(channel, Slot { at: NONE, day: 0, offset_minutes: 0 }),
                Found::Ask => return false,
            }
        }
        true
    }

    /// When a row's recipient may be reached on a channel.
    fn send_time(&self, admission: &Admission, row: usize, channel: Channel) -> SendTime<'_> {
        let rules = &self.campaigns[admission.campaign as usize].rules;
        SendTime {
            clock: self.zones.clock(admission.features.zone[row]),
            permission: rules.permission(channel, admission.features.quiet_hours(row)),
            starts_at: rules.starts_at,
            now: admission.now,
        }
    }

    /// An instant with its local day for the campaign and its offset for the recipient.
    pub(crate) fn slot(&self, rules: &Rules, clock: Clock<'_>, at: i64) -> Slot {
        let campaign_offset_s = self.zones.clock(rules.zone).offset_at(at);
        Slot {
            at,
            day: (at + campaign_offset_s).div_euclid(DAY_S) as i32,
            offset_minutes: (clock.offset_at(at) / MINUTE_S) as i16,
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
        let key = self.keys.number_again(admission.key, &admission.key_text);
        admission.key = Some(key);
        let rules = &self.campaigns[admission.campaign as usize].rules;
        let cost = rules.cost(channel, admission.segments);
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
            segments: admission.segments,
            content: admission.content.clone(),
            attempts: Vec::new(),
        };
        let index = self.messages.add(message);
        self.roster.follow_mut(recipient_index).latest_message = link_to(index);
        self.begin(index);
        Decision {
            message_id: self.messages.number(index, slot_of(self.roster.get(recipient_index).hash)),
            status: Status::Scheduled as u8,
            reason: choice.deferral(channel).map_or(u8::MAX, |reason| reason as u8),
            channel: channel as u8,
            chain,
            scheduled_at: slot.at,
            offset_minutes: slot.offset_minutes,
            cost,
            confidence: confidence(choice, channel, viable),
            next_eligible_at: NONE,
            left_out: 0,
        }
    }

    /// What the rows from `first` on may want to spend. Channels that are passed over are asked for, too: the answer
    /// then holds for all that a row looks at, and the same row never asks twice about the same channel.
    fn needs(&self, admission: &Admission, plan: &Plan<'_>, first: usize) -> Needs {
        let campaign = &self.campaigns[admission.campaign as usize];
        let rules = &campaign.rules;
        let mut needs = Needs::default();
        let mut places = Tentative::new(campaign);
        for row in first..admission.rows.len() {
            let mut choice = Choice::new(row, plan);
            let Viability::Channels(viable) = self.viable(admission, &mut choice, &mut places) else { continue };
            for channel in choice.ranked(viable) {
                let place = rules.place(channel, choice.slot(channel), admission.segments);
                needs.add(rules.limited, &place);
                if campaign.balances.fit_money(rules.limited, &place, None) != Fit::No {
                    places.take(place.minute);
                    break;
                }
            }
        }
        needs.add_minutes(places.wanted());
        needs
    }
}

/// Where a channel goes whose instant breaks a cap or gap: the first permitted minute that keeps them.
pub(crate) fn deferred(
    rules: &Rules,
    counted: &Counted,
    channel: Channel,
    refused: i64,
    send_time: &SendTime<'_>,
    places: &mut impl Places,
) -> Found {
    let mut asks = false;
    let permitted = |from| match send_time.first_from(from, places) {
        Found::At(at) => Some(at),
        Found::Nowhere => None,
        Found::Ask => {
            asks = true;
            None
        }
    };
    match counted.defer(&rules.caps(), channel, refused, send_time.now, permitted) {
        Some(at) => Found::At(at),
        None if asks => Found::Ask,
        None => Found::Nowhere,
    }
}

/// Steps 3 to 5: the best viable channel that can be paid, if its day has a message left.
fn choose(campaign: &Campaign, choice: &Choice<'_>, viable: ChannelMask, segments: u8) -> Outcome {
    let limited = campaign.rules.limited;
    for channel in choice.ranked(viable) {
        let place = campaign.rules.place(channel, choice.slot(channel), segments);
        match campaign.balances.fit_money(limited, &place, None) {
            Fit::No => {}
            Fit::Ask => return Outcome::AskLedger,
            Fit::Yes => {
                return match campaign.balances.fit_message(limited, place.day, None) {
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

impl Rules {
    /// What a message would take of its campaign's buckets.
    pub(crate) fn place(&self, channel: Channel, slot: Slot, segments: u8) -> Place {
        let (minute, cost) = (minute_of(slot.at), self.cost(channel, segments));
        Place { channel: channel as usize, day: slot.day, minute, cost }
    }

    /// When somebody with these quiet hours may be reached on a channel.
    pub(crate) fn permission(&self, channel: Channel, quiet: (u16, u16)) -> Permission {
        let (window, quiet) = match channel {
            _ if self.transactional => ((0, 0), (0, 0)),
            Channel::Email => (self.window, (0, 0)),
            _ => (self.window, quiet),
        };
        Permission { ends_at: self.ends_at, window, quiet }
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
pub(crate) mod tests;
