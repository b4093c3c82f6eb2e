//! Events: what the world says became of a message, taken once each, counted and acted upon.

use crate::admission::QuietHours;
use crate::budget_manager::Needs;
use crate::fallback::Next;
use crate::messages::{Attempt, Message, marks};
use crate::shard::Shard;
use crate::words::{Channel, EventStatus, EventType, MessageState};

/// An event, checked already.
pub struct Event<'a> {
    pub id: &'a str,
    pub kind: EventType,
    /// The message's number.
    pub message: u64,
    /// Of the attempt that it is about, where that is known: a message has one attempt a channel.
    pub channel: Option<Channel>,
    /// Micro-units of a conversion; the campaign's value if None.
    pub value: Option<i64>,
    /// When it happened; what lies ahead of the shard's time counts as happening now.
    pub at: i64,
}

/// What an event newly says of its message's success.
#[derive(Clone, Copy, Debug)]
pub struct Success {
    pub delivered: bool,
    pub engaged: bool,
}

/// The marks that an event of a kind sets.
fn marks_of(kind: EventType) -> u8 {
    use marks::{CLICKED, CONVERTED, DELIVERED, ENGAGED, OPENED};
    match kind {
        EventType::Delivered => DELIVERED,
        EventType::Opened => DELIVERED | ENGAGED | OPENED,
        EventType::Clicked => DELIVERED | ENGAGED | CLICKED,
        EventType::Replied => DELIVERED | ENGAGED,
        EventType::Converted => DELIVERED | ENGAGED | CONVERTED,
        EventType::Failed | EventType::Bounced | EventType::Complained | EventType::Unsubscribed => 0,
    }
}

/// Whether it says that the message did not arrive.
fn fails(kind: EventType) -> bool {
    matches!(kind, EventType::Failed | EventType::Bounced)
}

/// Whether nothing may go to this person on this channel any more.
fn stops_channel(kind: EventType) -> bool {
    matches!(kind, EventType::Bounced | EventType::Complained | EventType::Unsubscribed)
}

/// Whether a message in this state may still turn out delivered or failed.
fn undecided(state: MessageState) -> bool {
    use MessageState::{Claimed, Scheduled, Sent, Unknown};
    matches!(state, Scheduled | Claimed | Sent | Unknown)
}

impl Shard {
    /// Applies an event once: the same id again changes nothing, one for no message is not remembered.
    ///
    /// A failure ends the attempt of a message that was not delivered, and the next channel of its chain is tried. If
    /// only the ledger knows whether that can be paid, nothing has changed: what to ask it comes back as an error. One of
    /// an attempt before ends nothing: it names another channel, or none and comes when the attempt has failed already and
    /// the next was not reported on. What it says of an attempt that was given up: see [`crate::silence`].
    pub fn apply_event(
        &mut self,
        event: &Event<'_>,
        now: i64,
        default_quiet: QuietHours,
    ) -> Result<EventStatus, (u32, Needs)> {
        let now = self.advance(now);
        if self.event_ids.applied(event.id) {
            return Ok(EventStatus::Seen);
        }
        let Some(index) = self.find_message(event.message) else {
            return Ok(EventStatus::Unknown);
        };
        if !fails(event.kind) {
            self.hear_of(index, event.channel, stops_channel(event.kind));
        }
        let &Message { recipient, channel, state, chain, .. } = self.messages.get(index);
        let (at, bounced) = (event.at.min(now), event.kind == EventType::Bounced);
        let about = event.channel.or_else(|| self.earlier_attempt(index)).unwrap_or(channel);
        if fails(event.kind) && about != channel {
            self.fail_given_up(index, about, at, bounced);
        } else if fails(event.kind) && undecided(state) {
            let next = self.next_attempt(index, chain, now, default_quiet);
            if let Next::AskLedger { campaign, needs } = next {
                return Err((campaign, needs));
            }
            self.fail(index, Attempt { channel, state: MessageState::Failed, at, bounced }, &next);
        }
        self.event_ids.note_applied(event.id);
        self.count(index, event, now);
        let message = self.messages.get_mut(index);
        if message.state == MessageState::Delivered && undecided(state) {
            message.know_attempt(Attempt { channel, state: MessageState::Delivered, at, bounced: false });
        }
        if stops_channel(event.kind) {
            self.stop(recipient, about, event.kind.text());
        }
        Ok(EventStatus::Applied)
    }

    /// The channel of an attempt that failed, where bad news that names none is taken for news of that: dispatchers
    /// deliver the message, and of the attempt that follows nothing is known yet; or it was sent before that one, given
    /// up, and is the one under way again.
    fn earlier_attempt(&self, index: u32) -> Option<Channel> {
        let message = self.messages.get(index);
        let delivery = self.deliveries.get(index).filter(|delivery| delivery.claims > 0)?;
        let (before, since) = match message.state {
            MessageState::Scheduled | MessageState::Claimed => (message.attempts.last()?, i64::MIN),
            MessageState::Sent => (message.attempts.iter().nth_back(1)?, delivery.sent_at?),
            _ => return None,
        };
        (before.state == MessageState::Failed && before.at > since).then_some(before.channel)
    }

    /// What an event says of a message's success.
    fn count(&mut self, index: u32, event: &Event<'_>, now: i64) {
        let message = self.messages.get_mut(index);
        let campaign = &mut self.campaigns[message.campaign as usize];
        let tally = &mut campaign.tally;
        let new = marks_of(event.kind) & !message.marks;
        message.marks |= new;
        let success = Success { delivered: new & marks::DELIVERED != 0, engaged: new & marks::ENGAGED != 0 };
        if success.delivered || success.engaged {
            let (channel, at) = (message.channel, event.at.min(now));
            let own = self.roster.get_mut(message.recipient).engagement.get_or_insert_default();
            own.add(channel, success, at, self.decay);
            let hourly = campaign.engagement.get_or_insert_default();
            hourly.add(channel, message.local_hour(), success, at, self.decay);
        }
        let channel = &mut tally.channels[message.channel as usize];
        if new & marks::DELIVERED != 0 {
            channel.delivered += 1;
            if undecided(message.state) {
                tally.messages[message.state as usize] -= 1;
                if message.state != MessageState::Sent {
                    channel.spent += message.cost;
                }
                message.state = MessageState::Delivered;
                tally.messages[message.state as usize] += 1;
            }
        }
        channel.engaged += u64::from(new & marks::ENGAGED != 0);
        channel.converted += u64::from(new & marks::CONVERTED != 0);
        tally.opened += u64::from(new & marks::OPENED != 0);
        tally.clicked += u64::from(new & marks::CLICKED != 0);
        tally.converted += u64::from(new & marks::CONVERTED != 0);
        if event.kind == EventType::Converted {
            let value = event.value.unwrap_or(campaign.rules.conversion_value);
            tally.revenue += i128::from(value);
        }
    }
}

#[cfg(test)]
mod tests;
