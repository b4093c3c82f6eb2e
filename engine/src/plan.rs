//! Plan: what the kernels worked out for every row, and one row of it as the walk sees it.

use smallvec::SmallVec;

use crate::words::{CHANNEL_COUNT, Channel, ChannelMask, CustomerType, NONE, Reason};

/// What the kernels worked out, rows of CHANNEL_COUNT.
pub struct Plan<'a> {
    /// The instant of a message on each channel; NONE where no minute is permitted.
    pub instants: &'a [i64],
    /// The campaign's local day of that instant.
    pub days: &'a [i32],
    /// The recipient's offset from UTC at that instant, minutes.
    pub offsets: &'a [i16],
    /// Channels in step 3's order; those that are no candidates may stand anywhere.
    pub order: &'a [u8],
    /// Score plus boost in billionths.
    pub values: &'a [i64],
    /// Not rows, but [CHANNEL_COUNT, customer types, 24]: how much each local hour weighs.
    pub hour_weights: &'a [f64],
}

/// Customer types times hours of the day.
const HOUR_CELLS: usize = CustomerType::ALL.len() * 24;

impl Plan<'_> {
    /// Whether every column has `rows` rows of channels and names only channels.
    pub fn fits(&self, rows: usize) -> bool {
        let cells = rows * CHANNEL_COUNT;
        [self.instants.len(), self.days.len(), self.offsets.len(), self.order.len(), self.values.len()]
            .iter()
            .all(|length| *length == cells)
            && self.hour_weights.len() == CHANNEL_COUNT * HOUR_CELLS
    }

    /// The weights of the local hours for a channel and a customer type.
    pub fn hours(&self, channel: Channel, customer_type: u8) -> &[f64] {
        let start = channel as usize * HOUR_CELLS + usize::from(customer_type) * 24;
        &self.hour_weights[start..start + 24]
    }
}

/// When a message would go on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Seconds since the epoch; NONE where no minute is permitted.
    pub at: i64,
    /// The campaign's local day of that instant.
    pub day: i32,
    /// The recipient's offset from UTC at that instant, minutes.
    pub offset_minutes: i16,
}

/// A channel that goes at another time than the kernels found.
#[derive(Clone, Copy, Debug)]
struct Move {
    channel: Channel,
    slot: Slot,
    /// For a deferral, what the instant before it would have broken; else its minute was full.
    reason: Option<Reason>,
}

/// One row of a plan, with what the walk has moved.
pub struct Choice<'a> {
    pub row: usize,
    pub plan: &'a Plan<'a>,
    moves: SmallVec<[Move; 2]>,
}

impl<'a> Choice<'a> {
    pub fn new(row: usize, plan: &'a Plan<'a>) -> Self {
        Choice { row, plan, moves: SmallVec::new() }
    }

    fn at(&self, channel: Channel) -> usize {
        self.row * CHANNEL_COUNT + channel as usize
    }

    /// When step 6 has a message go on a channel; NONE where no minute is permitted. Deferrals come after it.
    pub fn planned_instant(&self, channel: Channel) -> i64 {
        let moved = self.moves.iter().find(|step| step.channel == channel && step.reason.is_none());
        moved.map_or_else(|| self.plan.instants[self.at(channel)], |step| step.slot.at)
    }

    /// The channels of `candidates` with a permitted minute.
    pub fn permitted(&self, candidates: ChannelMask) -> ChannelMask {
        mask_where(candidates, |channel| self.planned_instant(channel) != NONE)
    }

    /// Has a channel go at another time, since the minute that was found is full.
    pub fn move_to(&mut self, channel: Channel, slot: Slot) {
        self.moves.push(Move { channel, slot, reason: None });
    }

    /// Has a channel go later than planned, which would have broken the rule `reason`.
    pub fn defer(&mut self, channel: Channel, slot: Slot, reason: Reason) {
        self.moves.push(Move { channel, slot, reason: Some(reason) });
    }

    /// Why a channel goes later than planned, if it does.
    pub fn deferral(&self, channel: Channel) -> Option<Reason> {
        self.moves.iter().filter(|step| step.channel == channel).find_map(|step| step.reason)
    }

    /// When a message would go on a channel that has a permitted minute.
    pub fn slot(&self, channel: Channel) -> Slot {
        let at = self.at(channel);
        let moved = self.moves.iter().rev().find(|step| step.channel == channel);
        moved.map_or_else(
            || Slot { at: self.plan.instants[at], day: self.plan.days[at], offset_minutes: self.plan.offsets[at] },
            |step| step.slot,
        )
    }

    /// Score plus boost in billionths.
    pub fn value(&self, channel: Channel) -> i64 {
        self.plan.values[self.at(channel)]
    }

    /// Step 3: the channels of `viable`, best first.
    pub fn ranked(&self, viable: ChannelMask) -> impl Iterator<Item = Channel> {
        let start = self.row * CHANNEL_COUNT;
        self.plan.order[start..start + CHANNEL_COUNT]
            .iter()
            .filter_map(|code| Channel::from_code(*code))
            .filter(move |channel| viable & channel.bit() != 0)
    }
}

/// The channels of a mask for which `keep` says so.
pub fn mask_where(mask: ChannelMask, mut keep: impl FnMut(Channel) -> bool) -> ChannelMask {
    crate::words::channels_of(mask).filter(|channel| keep(*channel)).fold(0, |kept, channel| kept | channel.bit())
}
