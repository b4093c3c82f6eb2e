use super::*;
use crate::budget_manager::{Bucket, Place};
use crate::campaign::{Limited, Rules};
use crate::commitment::tests::{Columns, NOW, part, shard};
use crate::events::Event;
use crate::roster::Suppression;
use crate::words::{Channel, EventType};

const PLACE: Place = Place { channel: 0, day: 3, minute: 9, cost: 1 };
const PER_MINUTE: Limited =
    Limited { total: false, channels: 0, daily: false, daily_messages: false, per_minute: true };

/// A shard on which two people have a message each.
fn with_messages() -> (Shard, Vec<u64>) {
    let mut shard = shard(Limited::default());
    let mut admission = shard.admit(&part(&["ana", "bo"]), 1, (0, 0)).unwrap();
    assert_eq!(shard.commit(&mut admission, &Columns::of(2).plan()), None);
    (shard, admission.answer.message_id)
}

fn opened(shard: &mut Shard, message: u64, id: &str) {
    let event = Event { id, kind: EventType::Opened, message, channel: None, value: None, at: NOW };
    assert!(shard.apply_event(&event, NOW, (0, 0)).is_ok());
}

fn stop(channel: Option<Channel>) -> Suppression {
    Suppression { channel, until: None, reason: None }
}

#[test]
fn every_change_shows() {
    let changes: [fn(&mut Shard, u64); 14] = [
        |shard, _| {
            shard.roster.find_or_add("c", 7);
        },
        |shard, _| {
            shard.keys.number("another");
        },
        |shard, _| shard.suppress("ana", stop(Some(Channel::Twitter)), NOW),
        |shard, _| {
            shard.erase("bo", NOW);
        },
        |shard, _| {
            shard.advance(NOW + 1);
        },
        |shard, _| shard.put_campaign(Rules { id: "d".into(), ..Rules::default() }),
        |shard, _| shard.campaigns[0].rules.paused = true,
        |shard, _| shard.campaigns[0].tally.blocked[3] += 1,
        |shard, _| shard.campaigns[0].balances.commit(Limited::default(), &PLACE),
        |shard, _| {
            shard.campaigns[0].rules.limited = PER_MINUTE;
            shard.campaigns[0].balances.commit(PER_MINUTE, &PLACE);
        },
        |shard, _| {
            shard.campaigns[0].rules.limited = PER_MINUTE;
            shard.campaigns[0].balances.commit(Limited::default(), &PLACE);
        },
        |shard, _| shard.messages.get_mut(1).marks |= 1,
        |shard, message| opened(shard, message, "e-1"),
        |shard, _| {
            shard.cancel(0);
        },
    ];
    let (shard, _) = with_messages();
    let mut seen = vec![shard.state_hash()];
    for change in changes {
        let (mut shard, messages) = with_messages();
        assert_eq!(shard.state_hash(), seen[0]);
        change(&mut shard, messages[0]);
        seen.push(shard.state_hash());
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 15);
}

#[test]
fn the_order_of_tables_does_not_show() {
    let ids: Vec<String> = (0..50).map(|number| format!("e-{number}")).collect();
    let (mut one, messages) = with_messages();
    let (mut other, _) = with_messages();
    for shard in [&mut one, &mut other] {
        for id in &ids {
            shard.suppress(id, stop(None), NOW);
        }
    }
    for id in &ids {
        opened(&mut one, messages[0], id);
        assert!(one.erase(id, NOW));
    }
    assert_ne!(one.state_hash(), other.state_hash());
    for id in ids.iter().rev() {
        opened(&mut other, messages[0], id);
        assert!(other.erase(id, NOW));
    }
    assert_eq!(one.state_hash(), other.state_hash());
}

#[test]
fn what_lies_between_shard_and_ledger_is_no_state() {
    let (mut shard, _) = with_messages();
    let before = shard.state_hash();
    for bucket in [Bucket::Total, Bucket::Channel(1), Bucket::DayMoney(3), Bucket::DayMessages(4), Bucket::Minute(9)] {
        shard.campaigns[0].balances.grant([(bucket, 20, true, 20)].into_iter());
    }
    assert_eq!(shard.state_hash(), before);
    shard.campaigns[0].balances.release(false);
    shard.freed.insert(0);
    assert_eq!(shard.state_hash(), before);
}
