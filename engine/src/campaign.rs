//! A campaign as a shard sees it: its rules, and what it has done here.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::budget_manager::Balances;
use crate::engagement::HourlyCounts;
use crate::frequency::Caps;
use crate::words::{CHANNEL_COUNT, Channel, ChannelMask};

/// The highest amount that there is, in micro-units.
const AMOUNT_MAX: i64 = 999_999_999_999_999_999;

/// What a decision needs to know of a campaign.
#[derive(Clone, Debug, Default, Hash, Serialize, Deserialize)]
pub struct Rules {
    pub id: String,
    /// Neither held by nor counted in caps and gaps.
    pub transactional: bool,
    pub paused: bool,
    /// The period is [starts_at, ends_at), seconds since the epoch.
    pub starts_at: Option<i64>,
    pub ends_at: Option<i64>,
    pub channels: ChannelMask,
    /// Micro-units a message; see [`Rules::cost`].
    pub costs: [i64; CHANNEL_COUNT],
    pub daily_cap: u32,
    pub weekly_cap: u32,
    pub lookback_s: i64,
    pub gaps_s: [i64; CHANNEL_COUNT],
    /// The chosen channel and its fallbacks together.
    pub max_attempts: u8,
    pub dedup_key: String,
    /// A channel whose instant breaks a cap or gap takes a later one.
    pub defers: bool,
    /// Minutes of the recipient's day [start, end) in which it sends; equal ones hold nothing.
    pub window: (u16, u16),
    pub conversion_value: i64,
    /// Index of the campaign's zone.
    pub zone: u16,
    /// Where a request asks for none.
    pub urgency: u8,
    /// Messages that a UTC minute may hold, where `limited.per_minute` says so.
    pub per_minute: i64,
    pub limited: Limited,
}

impl Rules {
    /// What a message costs on a channel; a short message, each of its segments.
    pub fn cost(&self, channel: Channel, segments: u8) -> i64 {
        let cost = self.costs[channel as usize];
        match channel {
            Channel::Sms => cost.saturating_mul(i64::from(segments)).min(AMOUNT_MAX),
            _ => cost,
        }
    }

    /// The same, channel by channel.
    pub fn costs_of(&self, segments: u8) -> Vec<i64> {
        Channel::ALL.iter().map(|channel| self.cost(*channel, segments)).collect()
    }
}

/// Which amounts of a campaign have a limit.
#[derive(Clone, Copy, Debug, Default, Hash, Serialize, Deserialize)]
pub struct Limited {
    pub total: bool,
    pub channels: ChannelMask,
    pub daily: bool,
    pub daily_messages: bool,
    pub per_minute: bool,
}

impl Limited {
    /// Whether anything has a limit.
    pub fn any(self) -> bool {
        self.total || self.channels != 0 || self.daily || self.daily_messages || self.per_minute
    }
}

impl Rules {
    /// The caps and gaps that hold its messages.
    pub fn caps(&self) -> Caps {
        Caps { daily: self.daily_cap, weekly: self.weekly_cap, gaps_s: self.gaps_s }
    }

    /// Whether the campaign decides anything at `now`.
    pub fn active(&self, now: i64) -> bool {
        !self.paused
            && self.starts_at.is_none_or(|starts_at| starts_at <= now)
            && self.ends_at.is_none_or(|ends_at| now < ends_at)
    }
}

/// What a channel did for a campaign.
#[derive(Clone, Copy, Debug, Default, Hash, Serialize, Deserialize)]
pub struct ChannelTally {
    pub messages: u64,
    /// Micro-units of messages that have an instant, of charges, and of attempts that were given up.
    pub committed: i64,
    /// Micro-units of messages that were sent, of charges, and of attempts that were given up.
    pub spent: i64,
    pub delivered: u64,
    pub engaged: u64,
    pub converted: u64,
}

/// Everything counted for a campaign on a shard.
#[derive(Clone, Debug, Default, Hash, Serialize, Deserialize)]
pub struct Tally {
    /// Messages by state.
    pub messages: [u64; 8],
    /// Decisions by reason.
    pub blocked: [u64; 10],
    pub channels: [ChannelTally; CHANNEL_COUNT],
    /// Messages that were opened, clicked, converted at least once.
    pub opened: u64,
    pub clicked: u64,
    pub converted: u64,
    /// Micro-units of all conversions.
    pub revenue: i128,
    /// Instants by the recipients' local hour.
    pub hours: [u64; 24],
}

/// A campaign on a shard.
#[derive(Clone, Debug, Default)]
pub struct Campaign {
    pub rules: Rules,
    pub tally: Tally,
    pub balances: Balances,
    /// None until the first event of success.
    pub engagement: Option<Box<HourlyCounts>>,
}

impl Campaign {
    /// Committed micro-units and messages by the campaign's local day.
    pub fn days(&self) -> BTreeMap<i32, (i64, i64)> {
        self.balances.days.iter().map(|(day, balance)| (*day, (balance.money.spent, balance.messages.spent))).collect()
    }
}

/// Minutes count only while there is a `per_minute`; what is left of an earlier one is no state.
impl Hash for Campaign {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Campaign { rules, tally, balances, engagement } = self;
        (rules, tally, balances, engagement).hash(state);
        if rules.limited.per_minute {
            balances.minutes.taken().collect::<Vec<_>>().hash(state);
        }
    }
}
