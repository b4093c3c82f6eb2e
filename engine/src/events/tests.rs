use super::*;
use crate::campaign::Rules;
use crate::deduplicator::Entry;
use crate::engagement::Decay;
use crate::roster::Suppression;
use crate::slot::{hash_of, slot_of};
use crate::words::Channel;

const COST: i64 = 7_500;

/// A shard with one e-mail in a state, as recorded and then delivered so far.
fn with_message(state: MessageState) -> (Shard, u64) {
    let mut shard = Shard::new(1, std::sync::Arc::default());
    shard.put_campaign(Rules { id: "c".into(), ..Rules::default() });
    let recipient = shard.roster.find_or_add("ana", hash_of("ana"));
    let message = Message {
        recipient,
        previous: None,
        campaign: 0,
        key: shard.keys.number("c"),
        state,
        channel: Channel::Email,
        marks: 0,
        chain: 0,
        scheduled_at: 0,
        offset_minutes: 0,
        day: 0,
        cost: COST,
        segments: 1,
        content: None,
        attempts: Vec::new(),
    };
    let place = message.place();
    let index = shard.messages.add(message);
    let entry = Entry { at: 0, message: index, key: 0, channel: Channel::Email, counted: true, given_up: false };
    shard.roster.get_mut(recipient).history.insert(entry);
    let campaign = &mut shard.campaigns[0];
    campaign.balances.commit(campaign.rules.limited, &place);
    campaign.tally.messages[state as usize] = 1;
    campaign.tally.hours[0] = 1;
    let channel = &mut campaign.tally.channels[0];
    (channel.messages, channel.committed) = (1, COST);
    channel.spent = if state == MessageState::Sent { COST } else { 0 };
    let number = shard.messages.number(index, slot_of(hash_of("ana")));
    (shard, number)
}

fn apply(shard: &mut Shard, kind: EventType, message: u64) -> MessageState {
    let event = Event { id: kind.text(), kind, message, channel: None, value: None, at: 0 };
    assert_eq!(shard.apply_event(&event, 0, (0, 0)), Ok(EventStatus::Applied));
    assert_eq!(shard.apply_event(&event, 0, (0, 0)), Ok(EventStatus::Seen));
    shard.messages.get(0).state
}

#[test]
fn a_failure_gives_back_what_a_message_took() {
    use MessageState::{Claimed, Failed, Scheduled, Sent, Unknown};
    for (state, kind) in [
        (Scheduled, EventType::Failed),
        (Claimed, EventType::Bounced),
        (Sent, EventType::Failed),
        (Unknown, EventType::Failed),
    ] {
        let (mut shard, message) = with_message(state);
        assert_eq!(apply(&mut shard, kind, message), Failed);
        assert!(shard.roster.get(0).history.later_than(-1).is_empty());
        let campaign = &shard.campaigns[0];
        let channel = campaign.tally.channels[0];
        assert_eq!((channel.messages, channel.committed, channel.spent), (0, 0, 0));
        assert_eq!((campaign.tally.messages[Failed as usize], campaign.tally.hours[0]), (1, 0));
        assert_eq!(campaign.days()[&0], (0, 0));
    }
}

#[test]
fn what_was_delivered_or_cancelled_does_not_fail() {
    for state in [MessageState::Delivered, MessageState::Cancelled] {
        let (mut shard, message) = with_message(state);
        assert_eq!(apply(&mut shard, EventType::Failed, message), state);
        assert_eq!(shard.campaigns[0].tally.channels[0].committed, COST);
    }
}

#[test]
fn a_stop_is_for_good_and_cancels_what_waits() {
    for kind in [EventType::Bounced, EventType::Complained, EventType::Unsubscribed] {
        let (mut shard, message) = with_message(MessageState::Scheduled);
        let ended = if fails(kind) { MessageState::Failed } else { MessageState::Cancelled };
        assert_eq!(apply(&mut shard, kind, message), ended);
        let stop = Suppression { channel: Some(Channel::Email), until: None, reason: Some(kind.text().into()) };
        assert_eq!(shard.roster.get(0).suppressions(), [stop]);
    }
}

#[test]
fn a_message_counts_once_as_delivered_and_once_as_engaged_when_it_happened() {
    const DAY_S: i64 = 86_400;
    let (mut shard, message) = with_message(MessageState::Sent);
    shard.decay = Decay::of_half_life(90.0 * DAY_S as f64);
    shard.messages.get_mut(0).scheduled_at = 12 * 3600;
    shard.messages.get_mut(0).offset_minutes = -300;
    let mut happen = |kind: EventType, at: i64, now: i64| {
        let event = Event { id: &format!("{} {at}", kind.text()), kind, message, channel: None, value: None, at };
        assert_eq!(shard.apply_event(&event, now, (0, 0)), Ok(EventStatus::Applied));
        let own = shard.roster.get(0).engagement.as_deref().map(|own| own.at(now, shard.decay));
        let (id, hourly) = shard.learned(now).next().unwrap_or_default();
        own.map(|(delivered, engaged)| {
            // Noon UTC is 7 o'clock there.
            assert_eq!((id, hourly[7], hourly[168 + 7]), ("c", delivered[0], engaged[0]));
            (delivered[0], engaged[0])
        })
    };
    assert_eq!(happen(EventType::Complained, 0, 0), None);
    assert_eq!(happen(EventType::Delivered, 90 * DAY_S, 0), Some((1.0, 0.0)));
    assert_eq!(happen(EventType::Delivered, 0, 90 * DAY_S), Some((0.5, 0.0)));
    assert_eq!(happen(EventType::Clicked, 0, 180 * DAY_S), Some((0.25, 0.25)));
    assert_eq!(happen(EventType::Replied, 180 * DAY_S, 180 * DAY_S), Some((0.25, 0.25)));
    assert!(shard.erase("ana", 180 * DAY_S));
    assert!(shard.roster.get(0).engagement.is_none());
    assert_eq!(shard.learned(180 * DAY_S).next().map(|(_, hourly)| hourly[7]), Some(0.25));
}
