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
    pub fn abandon(&self, admission: &mut Admission) {
        for _ in admission.answer.status.len()..admission.rows.len() {
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
        if history.duplicate(admission.key, admission.now.saturating_sub(rules.lookback_s)) {
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
        admission: &Admission,
        choice: &Choice<'_>,
        channel: Channel,
        viable: ChannelMask,
    ) -> Decision {
        let recipient_index = admission.rows[choice.row].recipient;
        let campaign = &mut self.campaigns[admission.campaign as usize];
        let rules = &campaign.rules;
        let cost = rules.costs[channel as usize];
        let fallbacks = usize::from(rules.max_attempts.saturating_sub(1));
        let chain = pack_channels(choice.ranked(viable).skip_while(|other| *other != channel).skip(1).take(fallbacks));
        let message = Message {
            recipient: recipient_index,
            previous: self.roster.get(recipient_index).latest_message,
            campaign: admission.campaign,
            key: admission.key,
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
        campaign.balances.commit(rules.limited, channel as usize, message.day, cost, 1);
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
        recipient.history.insert(Entry { at, message: index, key: admission.key, channel, counted });
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
mod tests {
    use super::*;
    use crate::answer::unpack_channels;
    use crate::budget_manager::Bucket;
    use crate::campaign::{Limited, Rules};
    use crate::part::{Header, Part, RecipientRow, Recipients, given};
    use crate::slot::hash_of;
    use crate::words::ALL_CHANNELS;

    const NOW: i64 = 1_800_000_000;

    fn shard(limited: Limited) -> Shard {
        let mut shard = Shard::new(1);
        shard.put_campaign(Rules {
            id: "spring".into(),
            channels: ALL_CHANNELS,
            costs: [5; CHANNEL_COUNT],
            daily_cap: 3,
            weekly_cap: 10,
            lookback_s: 86_400,
            max_attempts: 3,
            dedup_key: "spring".into(),
            limited,
            ..Rules::default()
        });
        shard
    }

    fn part(ids: &[&str]) -> Part {
        let mut recipients = Recipients::default();
        for id in ids {
            let row =
                RecipientRow { hash: hash_of(id), given: given::CONTACTS, contacts: 0b11, ..RecipientRow::default() };
            let mut contacts = [None; CHANNEL_COUNT];
            contacts[0] = Some("ana@example.com");
            contacts[1] = Some("+15550100");
            recipients.push(row, id, &contacts);
        }
        Part { header: Header { now: NOW, ..Header::new("spring") }, recipients }
    }

    /// Everything goes now, sms first.
    struct Columns {
        instants: Vec<i64>,
        days: Vec<i32>,
        offsets: Vec<i16>,
        order: Vec<u8>,
        values: Vec<i64>,
    }

    impl Columns {
        fn of(rows: usize) -> Self {
            Columns {
                instants: vec![NOW; rows * CHANNEL_COUNT],
                days: vec![20_833; rows * CHANNEL_COUNT],
                offsets: vec![0; rows * CHANNEL_COUNT],
                order: [1, 0, 2, 3, 4, 5, 6].repeat(rows),
                values: [300_000_000, 500_000_000, 0, 0, 0, 0, 0].repeat(rows),
            }
        }

        fn plan(&self) -> Plan<'_> {
            Plan {
                instants: &self.instants,
                days: &self.days,
                offsets: &self.offsets,
                order: &self.order,
                values: &self.values,
            }
        }
    }

    fn reasons(admission: &Admission) -> Vec<Option<Reason>> {
        admission.answer.reason.iter().map(|code| Reason::from_code(*code)).collect()
    }

    #[test]
    fn a_recipient_is_decided_twice_in_order() {
        let mut shard = shard(Limited::default());
        let mut admission = shard.admit(&part(&["c-1", "c-1", "c-2"]), (0, 0)).unwrap();
        assert_eq!(shard.commit(&mut admission, &Columns::of(3).plan()), None);
        assert_eq!(reasons(&admission), [None, Some(Reason::Duplicate), None]);
        assert_eq!(admission.answer.channel, [1, NO_CHANNEL, 1]);
        assert_eq!(unpack_channels(admission.answer.chain[0]).collect::<Vec<_>>(), [Channel::Email]);
        assert_eq!(admission.answer.confidence[0], 6000);
        let message = shard.find_message(admission.answer.message_id[2]).map(|index| shard.messages.get(index));
        assert_eq!(message.map(|message| (message.channel, message.cost)), Some((Channel::Sms, 5)));
    }

    #[test]
    fn the_walk_stops_for_the_ledger_and_goes_on_where_it_stopped() {
        let limited = Limited { total: true, ..Limited::default() };
        let mut shard = shard(limited);
        let mut admission = shard.admit(&part(&["c-1", "c-2", "c-3"]), (0, 0)).unwrap();
        let columns = Columns::of(3);
        let needs = shard.commit(&mut admission, &columns.plan());
        assert_eq!(needs.map(|needs| needs.0.into_iter().collect::<Vec<_>>()), Some(vec![(Bucket::Total, 15)]));
        assert!(admission.answer.status.is_empty());
        shard.campaigns[0].balances.grant(Bucket::Total, 12, true);
        assert_eq!(shard.commit(&mut admission, &columns.plan()), None);
        assert_eq!(reasons(&admission), [None, None, Some(Reason::OverBudget)]);
        assert_eq!(shard.campaigns[0].balances.total.held, 2);
    }

    #[test]
    fn a_channel_that_is_passed_over_is_asked_for_again() {
        let limited = Limited { channels: 0b11, ..Limited::default() };
        let mut shard = shard(limited);
        let mut admission = shard.admit(&part(&["c-1"]), (0, 0)).unwrap();
        let columns = Columns::of(1);
        assert!(shard.commit(&mut admission, &columns.plan()).is_some());
        shard.campaigns[0].balances.grant(Bucket::Channel(1), 0, true);
        let needs = shard.commit(&mut admission, &columns.plan()).map(|needs| needs.0.into_keys().collect::<Vec<_>>());
        assert_eq!(needs, Some(vec![Bucket::Channel(0), Bucket::Channel(1)]));
    }

    #[test]
    fn what_the_ledger_cannot_say_is_unavailable_and_changes_nothing() {
        let mut shard = shard(Limited { daily_messages: true, ..Limited::default() });
        let mut admission = shard.admit(&part(&["c-1", "c-2"]), (0, 0)).unwrap();
        assert!(shard.commit(&mut admission, &Columns::of(2).plan()).is_some());
        shard.abandon(&mut admission);
        assert_eq!(admission.answer.status, [Status::Unavailable as u8; 2]);
        assert!(shard.messages.is_empty());
    }

    #[test]
    fn opting_out_cancels_what_waits_and_frees_its_place() {
        let mut shard = shard(Limited { total: true, ..Limited::default() });
        let part = part(&["c-1"]);
        let columns = Columns::of(1);
        let mut admission = shard.admit(&part, (0, 0)).unwrap();
        shard.campaigns[0].balances.grant(Bucket::Total, 5, true);
        assert_eq!(shard.commit(&mut admission, &columns.plan()), None);
        let mut opting_out = part.clone();
        opting_out.recipients.columns.given[0] = given::PREFERENCES;
        opting_out.recipients.columns.opt_out[0] = Channel::Sms.bit();
        let mut admission = shard.admit(&opting_out, (0, 0)).unwrap();
        assert_eq!(shard.commit(&mut admission, &columns.plan()), None);
        assert_eq!(admission.answer.channel, [Channel::Email as u8]);
        let tally = &shard.campaigns[0].tally;
        assert_eq!((tally.messages[0], tally.messages[MessageState::Cancelled as usize]), (1, 1));
        assert_eq!(shard.campaigns[0].balances.total.spent, 5);
    }
}
