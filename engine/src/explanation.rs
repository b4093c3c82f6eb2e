//! Explanation: what the walk read to decide a row, noted only where a request asks for it.
//!
//! A trace is taken at the row's turn, before anything of it is recorded, and changes nothing. It holds plain
//! numbers; `engine/explanation.py` puts them into words.

use crate::admission::Admission;
use crate::budget_manager::Balance;
use crate::commitment::Viability;
use crate::frequency::{Counted, DAY_S, WEEK_S};
use crate::minutes::Real;
use crate::plan::{Choice, Plan};
use crate::roster::Recipient;
use crate::shard::Shard;
use crate::words::{CHANNEL_COUNT, Channel, ChannelMask, Obstacle};

/// What kept each channel from being a candidate.
pub type Obstacles = [Option<Obstacle>; CHANNEL_COUNT];

/// What was read for a channel that has a permitted minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelTrace {
    pub channel: Channel,
    /// Where step 6 put it, and where it goes after a deferral.
    pub planned_at: i64,
    pub at: i64,
    /// The campaign's local day of `at`.
    pub day: i32,
    /// Counted instants that share a span of 24 and 168 hours with `planned_at`.
    pub daily_used: usize,
    pub weekly_used: usize,
    /// Seconds from `planned_at` to the nearest counted instant on the channel.
    pub nearest_s: Option<i64>,
    /// Keeps caps and gap.
    pub viable: bool,
    /// The budget here: in all, on the channel, on the day; and messages of the day.
    pub balances: [Balance; 4],
}

/// What a row's decision was made of.
#[derive(Clone, Debug)]
pub struct Trace {
    pub stopped: bool,
    /// The latest instant of a message with the request's key.
    pub same_key_at: Option<i64>,
    pub obstacles: Obstacles,
    /// In step 3's order.
    pub channels: Vec<ChannelTrace>,
}

/// Which of the rules before step 6 stops each channel; the first of several.
pub fn obstacles(recipient: &Recipient, allowed: ChannelMask, requested: ChannelMask, now: i64) -> Obstacles {
    let profile = &recipient.profile;
    std::array::from_fn(|code| {
        let bit = 1 << code;
        if allowed & bit == 0 {
            Some(Obstacle::NotAllowed)
        } else if requested & bit == 0 {
            Some(Obstacle::NotRequested)
        } else if profile.contacts & bit == 0 {
            Some(Obstacle::NoAddress)
        } else if profile.opt_out & bit != 0 {
            Some(Obstacle::OptedOut)
        } else if recipient.reachable(now) & bit == 0 {
            Some(Obstacle::Suppressed)
        } else {
            None
        }
    })
}

impl Shard {
    /// What is read for a row that is about to be decided.
    pub(crate) fn trace(&self, admission: &Admission, plan: &Plan<'_>, row: usize) -> Trace {
        let mut choice = Choice::new(row, plan);
        let campaign = &self.campaigns[admission.campaign as usize];
        let viable = match self.viable(admission, &mut choice, &mut Real::new(campaign, None)) {
            Viability::Channels(viable) => viable,
            Viability::Blocked(_) | Viability::Held(_) | Viability::AskLedger => 0,
        };
        let admitted = &admission.rows[row];
        let history = &self.roster.get(admitted.recipient).history;
        let counted = Counted::of(history, admission.now);
        let channels = choice.ranked(choice.permitted(admission.features.candidates[row]));
        let trace = |channel: Channel| {
            let (planned_at, slot) = (choice.planned_instant(channel), choice.slot(channel));
            ChannelTrace {
                channel,
                planned_at,
                at: slot.at,
                day: slot.day,
                daily_used: counted.used(DAY_S, planned_at),
                weekly_used: counted.used(WEEK_S, planned_at),
                nearest_s: counted.nearest_s(channel, planned_at),
                viable: viable & channel.bit() != 0,
                balances: campaign.balances.of(channel as usize, slot.day),
            }
        };
        Trace {
            stopped: self.roster.get(admitted.recipient).stopped(admission.now),
            same_key_at: history.newest_first().find(|entry| Some(entry.key) == admission.key).map(|entry| entry.at),
            obstacles: admission.obstacles.get(row).copied().unwrap_or_default(),
            channels: channels.map(trace).collect(),
        }
    }
}
