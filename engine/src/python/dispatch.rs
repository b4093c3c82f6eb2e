//! Claims and reports of dispatchers on their way to Python and back.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::amounts::{Question, amounts};
use crate::deliveries::Note;
use crate::dispatch::{self, Outcome};
use crate::shard::Shard;
use crate::slot::{message_text, slot_of};
use crate::words::DeliveryOutcome;

/// See `_core.pyi`.
pub(super) type ClaimedOutput<'py> =
    (String, u32, u32, bool, u32, u8, String, String, String, Option<Bound<'py, PyBytes>>, i64);

/// Id, kind, message id, channel, value, instant.
pub(super) type EventInput = (String, u8, String, Option<u8>, Option<i64>, i64);

/// Message id, claim, outcome, instant of `later`, provider's id, detail.
pub(super) type ReportInput = (String, u32, u8, i64, Option<String>, Option<String>);

pub(super) fn claimed_tuple<'py>(py: Python<'py>, shard: &Shard, index: u32) -> ClaimedOutput<'py> {
    let message = shard.messages.get(index);
    let recipient = shard.roster.get(message.recipient);
    let mut addresses = recipient.profile.addresses();
    let address = addresses.find(|(channel, _)| *channel == message.channel).map_or("", |(_, text)| text);
    (
        message_text(shard.messages.number(index, slot_of(recipient.hash))),
        shard.deliveries.get(index).map_or(0, |delivery| delivery.claims),
        shard.deliveries.get(index).map_or(0, |delivery| delivery.tries),
        shard.deliveries.get(index).is_some_and(|delivery| delivery.repeats),
        (message.attempts.len() - usize::from(message.may_be_out())) as u32,
        message.channel as u8,
        recipient.id.to_string(),
        shard.campaigns[message.campaign as usize].rules.id.clone(),
        address.to_owned(),
        message.content.as_ref().map(|content| PyBytes::new(py, content)),
        message.scheduled_at,
    )
}

pub(super) fn outcome_of(code: u8, later: i64) -> PyResult<Outcome> {
    let outcome = DeliveryOutcome::from_code(code).ok_or_else(|| PyValueError::new_err("no such outcome"))?;
    Ok(match outcome {
        DeliveryOutcome::Accepted => Outcome::Accepted,
        DeliveryOutcome::Rejected => Outcome::Rejected,
        DeliveryOutcome::Later => Outcome::Later(later),
        DeliveryOutcome::Unknown => Outcome::Unknown,
    })
}

pub(super) fn note_of(provider_id: &Option<String>, detail: &Option<String>) -> Note {
    Note { provider_id: provider_id.as_deref().map(Into::into), detail: detail.as_deref().map(Into::into) }
}

pub(super) fn question_of(shard: &Shard, (campaign, needs): dispatch::Question) -> Question {
    (shard.campaigns[campaign as usize].rules.id.clone(), amounts(needs.0))
}
