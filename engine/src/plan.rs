//! Plan: what the kernels worked out for every row, and one row of it as the walk sees it.

use smallvec::SmallVec;

use crate::words::{CHANNEL_COUNT, Channel, ChannelMask, NONE, Reason};

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
}

impl Plan<'_> {
    /// Whether every column has `rows` rows of channels and names only channels.
    pub fn fits(&self, rows: usize) -> bool {
        let cells = rows * CHANNEL_COUNT;
        [self.instants.len(), self.days.len(), self.offsets.len(), self.order.len(), self.values.len()]
            .iter()
            .all(|length| *length == cells)
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

/// A channel that goes later than planned.
#[derive(Clone, Copy, Debug)]
pub struct Deferral {
    pub channel: Channel,
    /// What the planned instant would have broken.
    pub reason: Reason,
    pub slot: Slot,
}

/// One row of a plan, with what the walk has put off.
pub struct Choice<'a> {
    pub row: usize,
    plan: &'a Plan<'a>,
    deferrals: SmallVec<[Deferral; 2]>,
}

impl<'a> Choice<'a> {
    pub fn new(row: usize, plan: &'a Plan<'a>) -> Self {
        Choice { row, plan, deferrals: SmallVec::new() }
    }

    fn at(&self, channel: Channel) -> usize {
        self.row * CHANNEL_COUNT + channel as usize
    }

    /// What the kernels found for a channel; NONE where no minute is permitted.
    pub fn planned_instant(&self, channel: Channel) -> i64 {
        self.plan.instants[self.at(channel)]
    }

    /// The channels of `candidates` with a permitted minute.
    pub fn permitted(&self, candidates: ChannelMask) -> ChannelMask {
        mask_where(candidates, |channel| self.planned_instant(channel) != NONE)
    }

    /// Has a channel go at another time than planned.
    pub fn defer(&mut self, deferral: Deferral) {
        self.deferrals.push(deferral);
    }

    pub fn deferral(&self, channel: Channel) -> Option<&Deferral> {
        self.deferrals.iter().find(|deferral| deferral.channel == channel)
    }

    /// When a message would go on a channel that has a permitted minute.
    pub fn slot(&self, channel: Channel) -> Slot {
        let at = self.at(channel);
        self.deferral(channel).map_or_else(
            || Slot { at: self.plan.instants[at], day: self.plan.days[at], offset_minutes: self.plan.offsets[at] },
            |deferral| deferral.slot,
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
