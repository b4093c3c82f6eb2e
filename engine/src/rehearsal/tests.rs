//! Rehearsals with columns made by hand: everything is put back, and the money adds up.

use super::*;
use crate::commitment::tests::{Columns, part, reasons, shard};
use crate::part::{Part, given};
use crate::roster::Suppression;
use crate::slot::hash_of;
use crate::words::{Channel, Reason, Status};

const TOTAL: Limited = Limited { total: true, channels: 0, daily: false, daily_messages: false, per_minute: false };

/// A shard that knows a person with a message that waits, and the stop of one who was erased.
fn with_history(limited: Limited) -> Shard {
    let mut shard = shard(limited);
    let stop = Suppression { channel: Some(Channel::Sms), until: None, reason: None };
    shard.suppress("gone", stop, 0);
    assert!(shard.erase("gone", 0));
    shard.campaigns[0].balances.grant([(Bucket::Total, 100, false, 0)].into_iter());
    let mut admission = shard.admit(&part(&["known"]), 1, (0, 0)).unwrap();
    assert_eq!(shard.commit(&mut admission, &Columns::of(1).plan()), None);
    shard
}

/// The person opts out of SMS, which cancels what waits, and comes again; strangers come, one of them erased before.
fn eventful() -> Part {
    let mut part = part(&["known", "new", "gone", "new", "known"]);
    part.header.dedup_key = Some("other".into());
    part.recipients.columns.given[0] |= given::PREFERENCES;
    part.recipients.columns.opt_out[0] = Channel::Sms.bit();
    part.header.now += 5;
    part
}

fn rehearse(shard: &mut Shard, part: &Part, taken: &Amounts) -> (Admission, Option<Amounts>) {
    shard.begin_rehearsal();
    let mut admission = shard.admit(part, 1, (0, 0)).unwrap();
    shard.lay_out(admission.campaign, taken);
    let rest = shard.commit(&mut admission, &Columns::of(part.recipients.len()).plan());
    let needs = rest.map(|rest| shard.rehearsal_needs(admission.campaign, rest.0));
    (admission, needs)
}

#[test]
fn everything_is_put_back_and_decided_as_it_is_for_real() {
    let mut shard = with_history(TOTAL);
    let before = (shard.state_hash(), format!("{:?}", shard.campaigns), shard.roster.len(), shard.messages.len());
    let (rehearsed, needs) = rehearse(&mut shard, &eventful(), &Amounts::new());
    assert_eq!(needs, None);
    assert_ne!(shard.state_hash(), before.0);
    assert_eq!(shard.freed.len(), 1);
    shard.end_rehearsal();
    assert_eq!(shard.state_hash(), before.0);
    assert_eq!(
        (before.1, before.2, before.3),
        (format!("{:?}", shard.campaigns), shard.roster.len(), shard.messages.len())
    );
    assert!(shard.freed.is_empty());
    assert_eq!((shard.roster.find("new", hash_of("new")), shard.keys.find("other")), (None, None));
    let mut admission = shard.admit(&eventful(), 1, (0, 0)).unwrap();
    assert_eq!(shard.commit(&mut admission, &Columns::of(5).plan()), None);
    assert_eq!(admission.answer, rehearsed.answer);
    assert_eq!(reasons(&admission)[3], Some(Reason::Duplicate));
    // The stranger who was erased before met the stop that was put back.
    assert_eq!(admission.answer.channel[2], Channel::Email as u8);
}

#[test]
fn a_rehearsal_that_was_not_ended_is_undone_by_the_next() {
    let mut shard = with_history(TOTAL);
    let before = shard.state_hash();
    rehearse(&mut shard, &eventful(), &Amounts::new());
    rehearse(&mut shard, &part(&["somebody"]), &Amounts::new());
    shard.end_rehearsal();
    assert_eq!(shard.state_hash(), before);
    shard.end_rehearsal();
    assert_eq!(shard.state_hash(), before);
}

#[test]
fn the_ledger_is_asked_for_what_the_whole_walk_needs() {
    let mut shard = shard(TOTAL);
    shard.campaigns[0].balances.grant([(Bucket::Total, 12, false, 0)].into_iter());
    let strangers = part(&["a", "b", "c", "d"]);
    let (_, needs) = rehearse(&mut shard, &strangers, &Amounts::from([(Bucket::Total, 1), (Bucket::Channel(0), 9)]));
    // One taken elsewhere, ten spent here, and the two rows that are left.
    assert_eq!(needs, Some(Amounts::from([(Bucket::Total, 21)])));
    shard.end_rehearsal();
    assert_eq!(shard.campaigns[0].balances.total, Balance { held: 12, ..Balance::default() });
}

#[test]
fn no_more_is_promised_than_others_left() {
    let mut shard = shard(TOTAL);
    shard.campaigns[0].balances.grant([(Bucket::Total, 12, true, 0)].into_iter());
    let strangers = part(&["a", "b"]);
    for (taken, spent, last) in [(0, 10, None), (7, 5, Some(Reason::OverBudget)), (-3, 10, None)] {
        let (admission, needs) = rehearse(&mut shard, &strangers, &Amounts::from([(Bucket::Total, taken)]));
        assert_eq!((needs, reasons(&admission)[1]), (None, last));
        assert_eq!(shard.rehearsal_spent(0), Amounts::from([(Bucket::Total, spent)]));
        shard.end_rehearsal();
    }
    let (admission, _) = rehearse(&mut shard, &strangers, &Amounts::from([(Bucket::Total, i64::MAX)]));
    assert_eq!(reasons(&admission), [Some(Reason::OverBudget); 2]);
}

#[test]
fn money_that_would_be_freed_pays_for_what_is_overdrawn_first() {
    for (excess, freed_elsewhere, status) in
        [(0, 0, Status::Scheduled), (1, 0, Status::Blocked), (1, 1, Status::Scheduled), (2, 1, Status::Blocked)]
    {
        let mut shard = with_history(TOTAL);
        shard.campaigns[0].balances.release(true);
        shard.campaigns[0].balances.grant([(Bucket::Total, 0, true, excess)].into_iter());
        let before = shard.state_hash();
        let taken = Amounts::from([(Bucket::Total, -freed_elsewhere)]);
        let (admission, needs) = rehearse(&mut shard, &eventful(), &taken);
        assert_eq!((needs, admission.answer.status[0]), (None, status as u8));
        shard.end_rehearsal();
        assert_eq!(shard.state_hash(), before);
    }
}

#[test]
fn what_was_rehearsed_touches_nothing_any_more() {
    let mut shard = shard(TOTAL);
    let (mut admission, needs) = rehearse(&mut shard, &eventful(), &Amounts::new());
    assert!(needs.is_some());
    shard.end_rehearsal();
    admission.detach();
    shard.abandon(&mut admission);
    assert_eq!(admission.answer.status, [Status::Unavailable as u8; 5]);
    assert!(shard.roster.is_empty());
}
