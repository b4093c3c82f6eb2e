//! What Python shows of messages, recipients and campaigns, as plain numbers.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::answer::unpack_channels;
use crate::campaign::Tally;
use crate::frequency::{Caps, Counted, DAY_S, WEEK_S};
use crate::part::NO_QUIET_HOURS;
use crate::profile::CAMPAIGN_ZONE;
use crate::shard::Shard;
use crate::slot::{message_text, slot_of};
use crate::words::{ALL_CHANNELS, REASONS, channels_of};

pub(super) fn message_dict<'py>(py: Python<'py>, shard: &Shard, index: u32) -> PyResult<Bound<'py, PyDict>> {
    let message = shard.messages.get(index);
    let recipient = shard.roster.get(message.recipient);
    let dict = PyDict::new(py);
    dict.set_item("message_id", message_text(shard.messages.number(index, slot_of(recipient.hash))))?;
    dict.set_item("recipient_id", &*recipient.id)?;
    dict.set_item("campaign_id", &shard.campaigns[message.campaign as usize].rules.id)?;
    dict.set_item("dedup_key", shard.keys.text(message.key))?;
    dict.set_item("state", message.state as u8)?;
    dict.set_item("channel", message.channel as u8)?;
    dict.set_item("scheduled_at", message.scheduled_at)?;
    dict.set_item("sent_at", shard.deliveries.sent_at(index))?;
    dict.set_item("cost", message.cost)?;
    let chain: Vec<u8> = unpack_channels(message.chain).map(|channel| channel as u8).collect();
    dict.set_item("chain", PyList::new(py, chain)?)?;
    let attempts: Vec<_> = message
        .attempts
        .iter()
        .enumerate()
        .map(|(place, attempt)| {
            let note = shard.deliveries.note_of(index, place);
            let provider_id = note.and_then(|note| note.provider_id.as_deref());
            let detail = note.and_then(|note| note.detail.as_deref());
            let detail = if attempt.bounced { Some("bounced") } else { detail };
            (attempt.channel as u8, attempt.state as u8, attempt.at, provider_id, detail)
        })
        .collect();
    dict.set_item("attempts", attempts)?;
    Ok(dict)
}

pub(super) fn recipient_dict<'py>(
    py: Python<'py>,
    shard: &Shard,
    index: u32,
    now: i64,
    caps: &Caps,
) -> PyResult<Bound<'py, PyDict>> {
    let recipient = shard.roster.get(index);
    let profile = &recipient.profile;
    let dict = PyDict::new(py);
    dict.set_item("id", &*recipient.id)?;
    dict.set_item("customer_type", profile.customer_type)?;
    dict.set_item("device", profile.device)?;
    dict.set_item("zone", (profile.zone != CAMPAIGN_ZONE).then_some(profile.zone))?;
    let contacts: Vec<(u8, &str)> = profile.addresses().map(|(channel, text)| (channel as u8, text)).collect();
    dict.set_item("contacts", contacts)?;
    let preferred: Vec<u8> = unpack_channels(profile.preferred).map(|channel| channel as u8).collect();
    dict.set_item("preferred", PyList::new(py, preferred)?)?;
    dict.set_item("opt_out", profile.opt_out)?;
    let quiet = (profile.quiet_start != NO_QUIET_HOURS).then_some((profile.quiet_start, profile.quiet_end));
    dict.set_item("quiet", quiet)?;
    let suppressions: Vec<_> = recipient
        .suppressions()
        .iter()
        .filter(|stop| stop.holds(now))
        .map(|stop| (stop.channel.map(|channel| channel as u8), stop.until, stop.reason.as_deref()))
        .collect();
    dict.set_item("suppressions", suppressions)?;
    let messages: Vec<_> = shard
        .messages
        .from_latest(recipient.latest_message)
        .map(|message| message_dict(py, shard, message))
        .collect::<PyResult<_>>()?;
    dict.set_item("messages", messages)?;
    let counted = Counted::of(&recipient.history, now);
    let reachable = if recipient.stopped(now) { 0 } else { recipient.reachable(now) };
    dict.set_item("daily_used", counted.used(DAY_S, now))?;
    dict.set_item("weekly_used", counted.used(WEEK_S, now))?;
    dict.set_item("next_eligible_at", counted.next_eligible(caps, reachable, now))?;
    Ok(dict)
}

pub(super) fn tally_dict<'py>(
    py: Python<'py>,
    tally: &Tally,
    days: std::collections::BTreeMap<i32, (i64, i64)>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("messages", tally.messages)?;
    dict.set_item("blocked", &tally.blocked[..REASONS.len()])?;
    let channels: Vec<Bound<'py, PyDict>> = channels_of(ALL_CHANNELS)
        .map(|channel| {
            let counts = &tally.channels[channel as usize];
            let dict = PyDict::new(py);
            dict.set_item("messages", counts.messages)?;
            dict.set_item("committed", counts.committed)?;
            dict.set_item("spent", counts.spent)?;
            dict.set_item("delivered", counts.delivered)?;
            dict.set_item("engaged", counts.engaged)?;
            dict.set_item("converted", counts.converted)?;
            Ok(dict)
        })
        .collect::<PyResult<_>>()?;
    dict.set_item("channels", channels)?;
    dict.set_item("opened", tally.opened)?;
    dict.set_item("clicked", tally.clicked)?;
    dict.set_item("converted", tally.converted)?;
    dict.set_item("revenue", tally.revenue)?;
    dict.set_item("days", days)?;
    dict.set_item("hours", &tally.hours[..])?;
    Ok(dict)
}
