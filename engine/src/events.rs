//! Events: what the world says became of a message, taken once each, counted and acted upon.

use crate::messages::{Message, marks};
use crate::shard::Shard;
use crate::words::{EventStatus, EventType, MessageState};

/// An event, checked already.
pub struct Event<'a> {
    pub id: &'a str,
    pub kind: EventType,
    /// The message's number.
    pub message: u64,
    /// Micro-units of a conversion; the campaign's value if None.
    pub value: Option<i64>,
    /// When it happened; what lies ahead of the shard's time counts as happening now.
    pub at: i64,
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
    /// A failure ends the message unless it was delivered, and gives back its cost, its place, its caps and its key.
    /// Trying the next channel of its chain is delivery's part.
    pub fn apply_event(&mut self, event: &Event<'_>, now: i64) -> EventStatus {
        self.advance(now);
        if self.event_ids.applied(event.id) {
            return EventStatus::Seen;
        }
        let Some(index) = self.find_message(event.message) else {
            return EventStatus::Unknown;
        };
        self.event_ids.note_applied(event.id);
        self.count(index, event);
        let &Message { recipient, channel, state, .. } = self.messages.get(index);
        if fails(event.kind) && undecided(state) {
            self.end(index, MessageState::Failed);
        }
        if stops_channel(event.kind) {
            self.stop(recipient, channel, event.kind.text());
        }
        EventStatus::Applied
    }

    /// What an event says of a message's success.
    fn count(&mut self, index: u32, event: &Event<'_>) {
        let message = self.messages.get_mut(index);
        let campaign = &mut self.campaigns[message.campaign as usize];
        let tally = &mut campaign.tally;
        let new = marks_of(event.kind) & !message.marks;
        message.marks |= new;
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
