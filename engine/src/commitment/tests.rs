//! The walk through the rows, with columns made by hand.

use std::sync::Arc;

use super::*;
use crate::answer::unpack_channels;
use crate::budget_manager::Bucket;
use crate::campaign::{Limited, Rules};
use crate::part::{Header, Part, RecipientRow, Recipients, given};
use crate::slot::hash_of;
use crate::words::{ALL_CHANNELS, CHANNEL_COUNT, NO_CHANNEL};

pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn shard(limited: Limited) -> Shard {
    let mut shard = Shard::new(1, Arc::default());
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

pub(crate) fn part(ids: &[&str]) -> Part {
    let mut recipients = Recipients::default();
    for id in ids {
        let row = RecipientRow { hash: hash_of(id), given: given::CONTACTS, contacts: 0b11, ..RecipientRow::default() };
        let mut contacts = [None; CHANNEL_COUNT];
        contacts[0] = Some("ana@example.com");
        contacts[1] = Some("+15550100");
        recipients.push(row, id, &contacts);
    }
    Part { header: Header { now: NOW, ..Header::new("spring") }, recipients }
}

/// Everything goes now, sms first.
pub(crate) struct Columns {
    instants: Vec<i64>,
    days: Vec<i32>,
    offsets: Vec<i16>,
    order: Vec<u8>,
    values: Vec<i64>,
    hour_weights: Vec<f64>,
}

impl Columns {
    pub(crate) fn of(rows: usize) -> Self {
        Columns {
            instants: vec![NOW; rows * CHANNEL_COUNT],
            days: vec![20_833; rows * CHANNEL_COUNT],
            offsets: vec![0; rows * CHANNEL_COUNT],
            order: [1, 0, 2, 3, 4, 5, 6].repeat(rows),
            values: [300_000_000, 500_000_000, 0, 0, 0, 0, 0].repeat(rows),
            hour_weights: vec![1.0; CHANNEL_COUNT * 2 * 24],
        }
    }

    pub(crate) fn plan(&self) -> Plan<'_> {
        Plan {
            instants: &self.instants,
            days: &self.days,
            offsets: &self.offsets,
            order: &self.order,
            values: &self.values,
            hour_weights: &self.hour_weights,
        }
    }
}

pub(crate) fn reasons(admission: &Admission) -> Vec<Option<Reason>> {
    admission.answer.reason.iter().map(|code| Reason::from_code(*code)).collect()
}

#[test]
fn a_recipient_is_decided_twice_in_order() {
    let mut shard = shard(Limited::default());
    let mut admission = shard.admit(&part(&["c-1", "c-1", "c-2"]), 1, (0, 0)).unwrap();
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
    let mut admission = shard.admit(&part(&["c-1", "c-2", "c-3"]), 1, (0, 0)).unwrap();
    let columns = Columns::of(3);
    let needs = shard.commit(&mut admission, &columns.plan());
    assert_eq!(needs.map(|needs| needs.0.into_iter().collect::<Vec<_>>()), Some(vec![(Bucket::Total, 15)]));
    assert!(admission.answer.status.is_empty());
    shard.campaigns[0].balances.grant([(Bucket::Total, 12, true, 0)].into_iter());
    assert_eq!(shard.commit(&mut admission, &columns.plan()), None);
    assert_eq!(reasons(&admission), [None, None, Some(Reason::OverBudget)]);
    assert_eq!(shard.campaigns[0].balances.total.held, 2);
}

#[test]
fn a_channel_that_is_passed_over_is_asked_for_again() {
    let limited = Limited { channels: 0b11, ..Limited::default() };
    let mut shard = shard(limited);
    let mut admission = shard.admit(&part(&["c-1"]), 1, (0, 0)).unwrap();
    let columns = Columns::of(1);
    assert!(shard.commit(&mut admission, &columns.plan()).is_some());
    shard.campaigns[0].balances.grant([(Bucket::Channel(1), 0, true, 0)].into_iter());
    let needs = shard.commit(&mut admission, &columns.plan()).map(|needs| needs.0.into_keys().collect::<Vec<_>>());
    assert_eq!(needs, Some(vec![Bucket::Channel(0), Bucket::Channel(1)]));
}

#[test]
fn what_the_ledger_cannot_say_is_unavailable_and_changes_nothing() {
    let mut shard = shard(Limited { daily_messages: true, ..Limited::default() });
    let mut admission = shard.admit(&part(&["c-1", "c-2"]), 1, (0, 0)).unwrap();
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
    let mut admission = shard.admit(&part, 1, (0, 0)).unwrap();
    shard.campaigns[0].balances.grant([(Bucket::Total, 5, true, 0)].into_iter());
    assert_eq!(shard.commit(&mut admission, &columns.plan()), None);
    let mut opting_out = part.clone();
    opting_out.recipients.columns.given[0] = given::PREFERENCES;
    opting_out.recipients.columns.opt_out[0] = Channel::Sms.bit();
    let mut admission = shard.admit(&opting_out, 1, (0, 0)).unwrap();
    assert_eq!(shard.commit(&mut admission, &columns.plan()), None);
    assert_eq!(admission.answer.channel, [Channel::Email as u8]);
    let tally = &shard.campaigns[0].tally;
    assert_eq!((tally.messages[0], tally.messages[MessageState::Cancelled as usize]), (1, 1));
    assert_eq!(shard.campaigns[0].balances.total.spent, 5);
}

#[test]
fn whatever_ends_a_message_before_anybody_got_it_frees_all_it_took() {
    for state in [MessageState::Cancelled, MessageState::Failed, MessageState::Expired] {
        let mut shard = shard(Limited { total: true, daily: true, daily_messages: true, ..Limited::default() });
        let day = Columns::of(1).days[0];
        let decide = |shard: &mut Shard| {
            let mut admission = shard.admit(&part(&["c-1"]), 1, (0, 0)).unwrap();
            assert_eq!(shard.commit(&mut admission, &Columns::of(1).plan()), None);
            admission.answer.status[0]
        };
        let buckets = [Bucket::Total, Bucket::DayMoney(day), Bucket::DayMessages(day)];
        shard.campaigns[0].balances.grant(buckets.map(|bucket| (bucket, 5, true, 0)).into_iter());
        assert_eq!(decide(&mut shard), Status::Scheduled as u8);
        assert_eq!(decide(&mut shard), Status::Blocked as u8);
        shard.end(0, state);
        assert!(shard.roster.get(0).history.later_than(i64::MIN).is_empty(), "{state:?}");
        assert!(buckets.iter().all(|bucket| shard.campaigns[0].balances.balance(*bucket).spent == 0), "{state:?}");
        assert_eq!(decide(&mut shard), Status::Scheduled as u8, "{state:?}");
    }
}

#[test]
fn a_key_is_remembered_only_once_a_message_has_it() {
    let mut shard = shard(Limited::default());
    let mut blocked = part(&["c-1"]);
    blocked.header.dedup_key = Some("other".into());
    blocked.header.channels = 0b100;
    let mut admission = shard.admit(&blocked, 1, (0, 0)).unwrap();
    assert_eq!(shard.commit(&mut admission, &Columns::of(1).plan()), None);
    assert_eq!(reasons(&admission), [Some(Reason::NoViableChannel)]);
    assert_eq!(shard.keys.find("other"), None);
}

#[test]
fn money_that_comes_back_is_told_once_and_other_rules_keep_what_was_spent() {
    let limited = Limited { total: true, ..Limited::default() };
    let mut shard = shard(limited);
    let mut admission = shard.admit(&part(&["c-1"]), 1, (0, 0)).unwrap();
    shard.campaigns[0].balances.grant([(Bucket::Total, 5, true, 0)].into_iter());
    assert_eq!(shard.commit(&mut admission, &Columns::of(1).plan()), None);
    let rules = shard.campaigns[0].rules.clone();
    shard.put_campaign(rules);
    assert_eq!(shard.campaigns[0].balances.total.spent, 5);
    assert!(shard.take_freed().is_empty());
    shard.cancel_waiting(admission.rows[0].recipient, ALL_CHANNELS);
    assert_eq!(shard.take_freed(), ["spring"]);
    assert!(shard.take_freed().is_empty());
}

#[test]
fn a_day_without_a_message_left_blocks_even_where_another_channel_has_another_day() {
    let mut shard = shard(Limited { daily_messages: true, ..Limited::default() });
    let mut admission = shard.admit(&part(&["c-1"]), 1, (0, 0)).unwrap();
    let mut columns = Columns::of(1);
    columns.days[Channel::Email as usize] += 1;
    shard.campaigns[0].balances.grant([(Bucket::DayMessages(20_833), 0, true, 0)].into_iter());
    shard.campaigns[0].balances.grant([(Bucket::DayMessages(20_834), 1, false, 0)].into_iter());
    assert_eq!(shard.commit(&mut admission, &columns.plan()), None);
    assert_eq!(reasons(&admission), [Some(Reason::DailyLimit)]);
}

#[test]
fn rows_that_are_given_up_keep_what_they_opted_out_of_and_its_effect() {
    let mut shard = shard(Limited { total: true, ..Limited::default() });
    let columns = Columns::of(1);
    let mut admission = shard.admit(&part(&["c-1"]), 1, (0, 0)).unwrap();
    shard.campaigns[0].balances.grant([(Bucket::Total, 5, true, 0)].into_iter());
    assert_eq!(shard.commit(&mut admission, &columns.plan()), None);
    let mut opting_out = part(&["c-2", "c-1"]);
    opting_out.recipients.columns.given[1] |= given::PREFERENCES;
    opting_out.recipients.columns.opt_out[1] = Channel::Sms.bit();
    shard.campaigns[0].balances.release(true);
    let mut admission = shard.admit(&opting_out, 1, (0, 0)).unwrap();
    assert!(shard.commit(&mut admission, &Columns::of(2).plan()).is_some());
    shard.abandon(&mut admission);
    assert_eq!(shard.campaigns[0].tally.messages[MessageState::Cancelled as usize], 1);
    assert_eq!(shard.campaigns[0].balances.total.spent, 0);
}
