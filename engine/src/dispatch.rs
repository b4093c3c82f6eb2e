//! Dispatch: messages that are due are claimed, sent by whoever claimed them, and reported on.
//!
//! The rules (design, section 7; contract, section 4):
//! - A claim is durable before anybody hears of it, and so is its start before the provider is called. A claim that ends
//!   without a start is nothing: the message waits again. One that was started and not reported may have been sent: the
//!   message is `unknown`. Where the provider takes each attempt once (`deduplicates`) the same attempt is claimed again.
//! - A dispatcher that begins a new life gives up every claim: those of its former life are nobody's.
//! - What may have been sent is never cancelled, expired or tried elsewhere: only a definite no goes on.
//! - Only the claim made last counts, and once.
//! - A failed attempt gives back its cost, unless it was made and its channel charges for failures ([`crate::charges`]).
//! - What was sent and is not heard of in time goes on, too, where its channel has a limit ([`crate::silence`]).
//! - Stops hold at the moment of the start: a campaign that is not active, a person who is not reachable any more.
//! - An hour or more after its instant, after a provider put it off, or where its channel does not reach the person any
//!   more, a message goes through suppression, caps, quiet hours and budget again, on its own channel first; without a
//!   channel that passes it expires.
//! - What waits when its campaign ends expires.
//!
//! Money, the minute, the day and the local hour of a message are those of the instant it was scheduled for, which a sent
//! one passed by less than an hour; caps, gaps and duplicates count when it was sent.

use crate::admission::QuietHours;
use crate::answer::{pack_channels, unpack_channels};
use crate::budget_manager::Needs;
use crate::deliveries::{Claim, Note};
use crate::fallback::Next;
use crate::frequency::HOUR_S;
use crate::messages::{Attempt, Message};
use crate::shard::Shard;
use crate::words::{CHANNEL_COUNT, Channel, ChannelMask, MessageState};

/// How late a message may go without being looked at again.
const LATE_S: i64 = HOUR_S;

/// How many are looked at again in one call: others wait for the shard meanwhile.
pub(crate) const LOOKS_MAX: usize = 10_000;

/// What a dispatcher says of a call, or of what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took it.
    Accepted,
    /// It will not reach the person on this channel.
    Rejected,
    /// It was not taken, and will be from this instant on.
    Later(i64),
    /// It may have been taken.
    Unknown,
}

/// What only the ledger knows: what is needed of which campaign.
pub type Question = (u32, Needs);

/// Where a message stands that is due and whose campaign is active.
enum Standing {
    /// It waits elsewhere now, or for another instant, or has ended.
    Moved,
    Ready,
    AskLedger(Question),
}

impl Shard {
    /// What comes before claiming: claims, campaigns and limits that are over end. Stops where only the ledger knows;
    /// with its answer, call again. Without `asks` what hangs on the ledger stays as it is.
    pub fn prepare_claims(
        &mut self,
        now: i64,
        deduplicates: ChannelMask,
        asks: bool,
        default_quiet: QuietHours,
    ) -> Option<Question> {
        let now = self.advance(now);
        self.end_claims(now, now, deduplicates);
        self.expire(now);
        let question = self.end_silences(now, asks, default_quiet);
        if question.is_none() {
            self.sort_in_due(now);
        }
        question
    }

    /// Every claim ends now, as if its time were over: who made them has a new life, or none.
    pub fn abandon_claims(&mut self, now: i64, deduplicates: ChannelMask) {
        let now = self.advance(now);
        self.end_claims(i64::MAX, now, deduplicates);
    }

    /// Claims that hold until `until` or less end.
    fn end_claims(&mut self, until: i64, now: i64, deduplicates: ChannelMask) {
        while let Some(message) = self.deliveries.over(until) {
            self.lapse(message, now, deduplicates);
        }
    }

    /// Claims up to `room` messages of each channel that are due, until `until`: those due first, of equal ones the one
    /// made first. Stops where only the ledger knows; with its answer, call again with the room left. Without `asks`
    /// what hangs on the ledger goes on waiting.
    pub fn claim(
        &mut self,
        mut room: [usize; CHANNEL_COUNT],
        now: i64,
        until: i64,
        asks: bool,
        default_quiet: QuietHours,
    ) -> (Vec<u32>, Option<Question>) {
        let now = self.advance(now);
        let (mut claimed, mut left, mut looks) = (Vec::new(), Vec::new(), 0);
        let mut question = None;
        for channel in Channel::ALL.iter().copied() {
            let room = &mut room[channel as usize];
            while *room > 0 && question.is_none() && looks < LOOKS_MAX && until > now {
                let Some((at, index)) = self.take_due(channel, now) else { break };
                match self.standing(index, channel, now, default_quiet) {
                    Standing::Moved => looks += 1,
                    Standing::Ready => {
                        let repeats = self.messages.get(index).may_be_out();
                        self.turn(index, MessageState::Claimed);
                        self.deliveries.change(index, |delivery| {
                            delivery.claims += 1;
                            delivery.repeats = repeats;
                            delivery.claim = Some(Claim { until, started: false });
                        });
                        claimed.push(index);
                        *room -= 1;
                    }
                    Standing::AskLedger(asked) => {
                        left.push((channel, at, index));
                        looks += 1;
                        question = asks.then_some(asked);
                    }
                }
            }
        }
        left.into_iter().for_each(|(channel, at, index)| self.due.put(channel, at, index));
        (claimed, question)
    }

    /// The provider is about to be called; false where it must not be. Starting twice is starting once.
    pub fn start(&mut self, index: u32, claim: u32, now: i64) -> bool {
        let now = self.advance(now);
        let message = self.messages.get(index);
        let held = self.deliveries.claim(index, claim).filter(|held| now < held.until);
        if message.state != MessageState::Claimed || held.is_none() {
            return false;
        }
        let is_active = self.campaigns[message.campaign as usize].rules.active(now);
        if !is_active || !self.reaches(index, now) || self.is_late(index, now) {
            self.wait_again(index, now);
            return false;
        }
        self.deliveries.change(index, |delivery| {
            delivery.claim = delivery.claim.map(|held| Claim { started: true, ..held });
        });
        true
    }

    /// What became of a claimed message; false, and nothing changes, if the claim does not count any more. Where only
    /// the ledger knows what follows, nothing has changed: what to ask it comes back as an error.
    ///
    /// A definite word counts after the claim is over, too, while nobody else has claimed the message: of what is to be
    /// tried later only if no claim before may have made the same attempt. So does an acceptance after an event that said
    /// as much.
    pub fn report(
        &mut self,
        index: u32,
        claim: u32,
        outcome: &Outcome,
        note: Note,
        now: i64,
        default_quiet: QuietHours,
    ) -> Result<bool, Question> {
        let now = self.advance(now);
        let &Message { channel, state, chain, .. } = self.messages.get(index);
        let is_held = self.deliveries.claim(index, claim).is_some();
        let is_last = self.deliveries.get(index).is_some_and(|delivery| delivery.claims == claim);
        let repeats = self.deliveries.get(index).is_some_and(|delivery| delivery.repeats);
        let counts = match (outcome, state) {
            (_, MessageState::Claimed) => is_held,
            (Outcome::Accepted | Outcome::Rejected, MessageState::Unknown) => is_last,
            (Outcome::Later(_), MessageState::Unknown) => is_last && !repeats,
            (Outcome::Accepted, MessageState::Delivered) => is_last && self.deliveries.sent_at(index).is_none(),
            _ => false,
        };
        if !counts {
            return Ok(false);
        }
        match outcome {
            Outcome::Accepted => self.sent(index, note, now),
            Outcome::Unknown => self.lose_sight(index, note, now),
            Outcome::Later(at) => {
                let at = (*at).max(now.saturating_add(1));
                if state == MessageState::Unknown {
                    self.forget_attempt(index);
                }
                self.deliveries.change(index, |delivery| {
                    delivery.not_before = Some(at);
                    delivery.tries += 1;
                });
                self.wait_again(index, now);
            }
            Outcome::Rejected => {
                let next = self.next_attempt(index, chain, now, default_quiet);
                if let Next::AskLedger { campaign, needs } = next {
                    return Err((campaign, needs));
                }
                self.note_attempt(index, note);
                self.fail(index, Attempt { channel, state: MessageState::Failed, at: now, bounced: false }, &next);
            }
        }
        Ok(true)
    }

    /// A provider took it: from now on its instant is now.
    fn sent(&mut self, index: u32, note: Note, now: i64) {
        self.note_attempt(index, note);
        let &Message { recipient, campaign, channel, cost, state, .. } = self.messages.get(index);
        if state != MessageState::Delivered {
            self.turn(index, MessageState::Sent);
            let attempt = Attempt { channel, state: MessageState::Sent, at: now, bounced: false };
            self.messages.get_mut(index).know_attempt(attempt);
            self.campaigns[campaign as usize].tally.channels[channel as usize].spent += cost;
        }
        let counted = !self.campaigns[campaign as usize].rules.transactional;
        let success_by = self.success_by(index, now).filter(|_| state != MessageState::Delivered);
        self.deliveries.change(index, |delivery| {
            delivery.claim = None;
            delivery.again = false;
            delivery.sent_at = Some(now);
            delivery.success_by = success_by;
        });
        if !self.roster.get(recipient).is_erased() {
            let history = &mut self.roster.follow_mut(recipient).history;
            history.remove(index);
            history.insert(self.messages.get(index).instant(index, now, counted));
        }
    }

    /// It may have been sent: it waits for an event, or for a person.
    fn lose_sight(&mut self, index: u32, note: Note, now: i64) {
        self.note_attempt(index, note);
        self.turn(index, MessageState::Unknown);
        let message = self.messages.get_mut(index);
        let channel = message.channel;
        message.know_attempt(Attempt { channel, state: MessageState::Unknown, at: now, bounced: false });
        self.deliveries.change(index, |delivery| {
            delivery.claim = None;
            delivery.again = false;
        });
    }

    /// What may have been sent was not: nothing is known of the attempt, which is still to be made.
    fn forget_attempt(&mut self, index: u32) {
        let message = self.messages.get_mut(index);
        message.attempts.pop();
        let known = message.attempts.len();
        self.deliveries.change(index, |delivery| {
            delivery.notes.truncate(known);
            delivery.again = false;
        });
    }

    fn lapse(&mut self, index: u32, now: i64, deduplicates: ChannelMask) {
        let message = self.messages.get(index);
        let claim = self.deliveries.get(index).and_then(|delivery| delivery.claim);
        if message.state != MessageState::Claimed {
            self.deliveries.change(index, |delivery| delivery.claim = None);
        } else if claim.is_some_and(|claim| claim.started) {
            let knows_it_again = deduplicates & message.channel.bit() != 0;
            self.lose_sight(index, Note { detail: Some("no report came".into()), ..Note::default() }, now);
            self.deliveries.change(index, |delivery| {
                delivery.again = knows_it_again;
                delivery.tries += 1;
            });
            self.due.add(index);
        } else {
            self.wait_again(index, now);
        }
    }

    /// What waits for campaigns that are over expires.
    fn expire(&mut self, now: i64) {
        let waiting = MessageState::Scheduled as usize;
        let is_over = |ends_at: i64| ends_at <= now;
        let over: Vec<bool> = self
            .campaigns
            .iter()
            .map(|campaign| campaign.rules.ends_at.is_some_and(is_over) && campaign.tally.messages[waiting] > 0)
            .collect();
        if !over.contains(&true) {
            return;
        }
        for index in 0..self.messages.len() as u32 {
            let message = self.messages.get(index);
            if message.state == MessageState::Scheduled && over[message.campaign as usize] {
                self.end(index, MessageState::Expired);
            }
        }
    }

    /// Whether it must be looked at again before it goes. What may be out already only goes the same way again.
    fn is_late(&self, index: u32, now: i64) -> bool {
        let message = self.messages.get(index);
        let was_put_off = self.deliveries.get(index).is_some_and(|delivery| delivery.not_before.is_some());
        !message.may_be_out() && (was_put_off || now >= message.scheduled_at.saturating_add(LATE_S))
    }

    fn standing(&mut self, index: u32, channel: Channel, now: i64, default_quiet: QuietHours) -> Standing {
        let message = self.messages.get(index);
        if self.reaches(index, now) && !self.is_late(index, now) {
            return Standing::Ready;
        }
        if message.may_be_out() {
            self.deliveries.change(index, |delivery| delivery.again = false);
            return Standing::Moved;
        }
        let own_and_others = pack_channels(std::iter::once(channel).chain(unpack_channels(message.chain)));
        match self.next_attempt(index, own_and_others, now, default_quiet) {
            Next::AskLedger { campaign, needs } => return Standing::AskLedger((campaign, needs)),
            Next::Failed => {
                self.messages.get_mut(index).chain = 0;
                self.end(index, MessageState::Expired);
            }
            Next::Attempt { channel, chain, slot } => {
                if self.deliveries.get(index).is_some_and(|delivery| delivery.not_before.is_some()) {
                    self.deliveries.change(index, |delivery| delivery.not_before = None);
                }
                self.end_attempt(index, MessageState::Expired, self.messages.get(index).place());
                self.try_next(index, channel, chain, slot);
            }
        }
        Standing::Moved
    }

    /// Whether the message's channel is allowed and reaches its recipient, who does not refuse it.
    fn reaches(&self, index: u32, now: i64) -> bool {
        let message = self.messages.get(index);
        let recipient = self.roster.get(message.recipient);
        let allowed = self.campaigns[message.campaign as usize].rules.channels;
        !recipient.stopped(now) && recipient.reachable(now) & allowed & message.channel.bit() != 0
    }

    /// A claim is nothing: the message waits as before, unless the person has come to refuse it meanwhile, or was
    /// erased. What may be out already is so still.
    fn wait_again(&mut self, index: u32, now: i64) {
        self.deliveries.change(index, |delivery| delivery.claim = None);
        let message = self.messages.get(index);
        if message.may_be_out() {
            self.turn(index, MessageState::Unknown);
            self.deliveries.change(index, |delivery| delivery.again = true);
            self.due.add(index);
        } else {
            let recipient = self.roster.get(message.recipient);
            let (refused, is_erased) = (recipient.refuses(message.channel, now), recipient.is_erased());
            self.turn(index, MessageState::Scheduled);
            if refused || is_erased {
                self.end(index, if is_erased { MessageState::Expired } else { MessageState::Cancelled });
            } else {
                self.due.add(index);
            }
        }
    }

    /// What was said of the attempt under way, which may be known of already.
    fn note_attempt(&mut self, index: u32, note: Note) {
        let message = self.messages.get(index);
        if self.roster.get(message.recipient).is_erased() {
            return; // it may name the person
        }
        let is_known = message.may_be_out() || message.state == MessageState::Delivered;
        let place = message.attempts.len().saturating_sub(usize::from(is_known));
        self.deliveries.change(index, |delivery| *delivery.note_mut(place) = note);
    }

    /// Another state, which costs and counts the same.
    pub(crate) fn turn(&mut self, index: u32, state: MessageState) {
        let message = self.messages.get_mut(index);
        let counts = &mut self.campaigns[message.campaign as usize].tally.messages;
        counts[message.state as usize] -= 1;
        counts[state as usize] += 1;
        message.state = state;
    }
}
