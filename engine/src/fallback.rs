//! Fallback: where a message goes whose attempt failed.
//!
//! The rule (contract, section 4): a failed attempt gives back its place and, unless its channel charges for failures
//! ([`crate::charges`]), its cost; the next channel of the chain
//! must pass suppression, caps, gap and budget again, and goes at its first permitted minute. A channel that does not
//! pass is left out for good; with no channel left the message is `failed`.
//!
//! What the failed attempt gives back counts before the next channel is judged. That is worked out first, since only
//! the ledger may know the answer, and then nothing must have happened yet.

use crate::admission::{QuietHours, local_rules};
use crate::answer::{pack_channels, unpack_channels};
use crate::budget_manager::{Fit, Needs, Place};
use crate::commitment::deferred;
use crate::frequency::Counted;
use crate::messages::Attempt;
use crate::minutes::Real;
use crate::plan::Slot;
use crate::send_time::{Found, SendTime};
use crate::shard::Shard;
use crate::words::{Channel, MessageState};

/// What follows a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another channel, and those after it.
    Attempt { channel: Channel, chain: u32, slot: Slot },
    /// No channel is left.
    Failed,
    /// Only the ledger knows: what is needed of which campaign.
    AskLedger { campaign: u32, needs: Needs },
}

impl Shard {
    /// What follows if the message's attempt fails at `now` and these channels are left to be tried. Changes nothing.
    pub fn next_attempt(&self, index: u32, chain: u32, now: i64, default_quiet: QuietHours) -> Next {
        self.next_after(index, chain, Some(self.comes_back(index)), now, default_quiet)
    }

    /// The same for an attempt that ends and gives `back` this, and its instant; None if it keeps both.
    pub(crate) fn next_after(
        &self,
        index: u32,
        chain: u32,
        back: Option<Place>,
        now: i64,
        default_quiet: QuietHours,
    ) -> Next {
        let message = self.messages.get(index);
        let campaign = &self.campaigns[message.campaign as usize];
        let (rules, recipient) = (&campaign.rules, self.roster.get(message.recipient));
        if recipient.stopped(now) || rules.ends_at.is_some_and(|ends_at| ends_at <= now) {
            return Next::Failed;
        }
        let mut history = recipient.history.clone();
        if back.is_some() {
            history.remove(index);
        }
        let counted = Counted::of(&history, now);
        let mut places = Real::new(campaign, back.map(|back| back.minute));
        let reachable = recipient.reachable(now) & rules.channels;
        let (zone, quiet) = local_rules(&recipient.profile, rules.zone, default_quiet);
        let mut needs = Needs::default();
        let mut chain = unpack_channels(chain);
        while let Some(channel) = chain.find(|channel| reachable & channel.bit() != 0) {
            let permission = rules.permission(channel, quiet);
            let send_time = SendTime { clock: self.zones.clock(zone), permission, starts_at: rules.starts_at, now };
            let mut found = send_time.first_from(send_time.first_minute(), &mut places);
            if let Found::At(at) = found
                && !rules.transactional
                && counted.broken(&rules.caps(), channel, at).is_some()
            {
                found = match rules.defers {
                    true => deferred(rules, &counted, channel, at, &send_time, &mut places),
                    false => Found::Nowhere,
                };
            }
            let slot = match found {
                Found::Nowhere => continue,
                Found::Ask => {
                    needs.add_minutes(places.wanted());
                    return Next::AskLedger { campaign: message.campaign, needs };
                }
                Found::At(at) => self.slot(rules, send_time.clock, at),
            };
            let place = rules.place(channel, slot, message.segments);
            needs.add(rules.limited, &place);
            let message_fits = campaign.balances.fit_message(rules.limited, place.day, back.as_ref());
            match campaign.balances.fit_money(rules.limited, &place, back.as_ref()).and(message_fits) {
                Fit::No => {}
                Fit::Yes => return Next::Attempt { channel, chain: pack_channels(chain), slot },
                Fit::Ask => {
                    needs.add_minutes(places.wanted());
                    return Next::AskLedger { campaign: message.campaign, needs };
                }
            }
        }
        Next::Failed
    }

    /// Ends the message's attempt, and begins the next one or leaves the message failed.
    pub(crate) fn fail(&mut self, index: u32, attempt: Attempt, next: &Next) {
        let back = self.comes_back(index);
        self.messages.get_mut(index).know_attempt(attempt);
        if self.deliveries.get(index).is_some() {
            self.deliveries.change(index, |delivery| {
                delivery.claim = None;
                delivery.not_before = None;
                delivery.again = false;
                delivery.sent_at = None;
                delivery.success_by = None;
            });
        }
        self.end_attempt(index, MessageState::Failed, back);
        match next {
            Next::Attempt { channel, chain, slot } => self.try_next(index, *channel, *chain, *slot),
            _ => {
                self.messages.get_mut(index).chain = 0;
                self.settle(index);
            }
        }
    }

    /// A message that ended waits again, on another channel or at another time.
    pub(crate) fn try_next(&mut self, index: u32, channel: Channel, chain: u32, slot: Slot) {
        let message = self.messages.get_mut(index);
        let campaign = &mut self.campaigns[message.campaign as usize];
        campaign.tally.messages[message.state as usize] -= 1;
        if message.channel != channel && self.deliveries.get(index).is_some_and(|delivery| delivery.tries > 0) {
            self.deliveries.change(index, |delivery| delivery.tries = 0);
        }
        message.channel = channel;
        message.chain = chain;
        message.scheduled_at = slot.at;
        message.day = slot.day;
        message.offset_minutes = slot.offset_minutes;
        message.cost = campaign.rules.cost(channel, message.segments);
        self.begin(index);
        self.due.add(index);
    }
}
