//! A campaign's rules as Python hands them over.

use pyo3::prelude::*;

use crate::campaign::{Limited, Rules};
use crate::words::{CHANNEL_COUNT, ChannelMask};

/// A campaign's rules as attributes of a Python object; `_core.pyi` describes them.
#[derive(FromPyObject)]
pub(super) struct RulesInput {
    id: String,
    transactional: bool,
    paused: bool,
    starts_at: Option<i64>,
    ends_at: Option<i64>,
    channels: ChannelMask,
    costs: [i64; CHANNEL_COUNT],
    daily_cap: u32,
    weekly_cap: u32,
    lookback_s: i64,
    gaps_s: [i64; CHANNEL_COUNT],
    max_attempts: u8,
    dedup_key: String,
    defers: bool,
    window: (u16, u16),
    conversion_value: i64,
    zone: u16,
    limits_total: bool,
    limits_channels: ChannelMask,
    limits_daily: bool,
    limits_daily_messages: bool,
    per_minute: Option<i64>,
    urgency: u8,
}

impl From<RulesInput> for Rules {
    fn from(input: RulesInput) -> Rules {
        Rules {
            id: input.id,
            transactional: input.transactional,
            paused: input.paused,
            starts_at: input.starts_at,
            ends_at: input.ends_at,
            channels: input.channels,
            costs: input.costs,
            daily_cap: input.daily_cap,
            weekly_cap: input.weekly_cap,
            lookback_s: input.lookback_s,
            gaps_s: input.gaps_s,
            max_attempts: input.max_attempts,
            dedup_key: input.dedup_key,
            defers: input.defers,
            window: input.window,
            conversion_value: input.conversion_value,
            zone: input.zone,
            urgency: input.urgency,
            per_minute: input.per_minute.unwrap_or_default(),
            limited: Limited {
                total: input.limits_total,
                channels: input.limits_channels,
                daily: input.limits_daily,
                daily_messages: input.limits_daily_messages,
                per_minute: input.per_minute.is_some(),
            },
        }
    }
}
