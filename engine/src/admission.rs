//! Admission: a part's recipients are looked up and merged, and what the kernels need is gathered into columns.
//!
//! Profiles are merged in request order, blocked requests included, and each row sees the profile as it was when
//! its turn came: the same recipient twice is decided twice, in order.

use std::sync::Arc;

use crate::answer::Answer;
use crate::campaign::Rules;
use crate::engagement::OwnCounts;
use crate::explanation::{Obstacles, Trace, obstacles};
use crate::frequency::DAY_S;
use crate::part::{NO_QUIET_HOURS, Part, given};
use crate::profile::{CAMPAIGN_ZONE, Profile};
use crate::roster::{AHEAD, Recipient};
use crate::send_time::Mode;
use crate::shard::{Shard, UnknownCampaign, refused_channels};
use crate::words::{CHANNEL_COUNT, ChannelMask, Reason, Urgency};

/// Not among the preferred channels.
pub const NOT_PREFERRED: u8 = u8::MAX;

/// What the kernels read: one row a recipient, and the costs.
#[derive(Debug, Default)]
pub struct Features {
    /// Candidate channels of step 2; 0 where steps 0 or 1 cannot pass.
    pub candidates: Vec<u8>,
    pub customer_type: Vec<u8>,
    pub device: Vec<u8>,
    pub zone: Vec<u16>,
    /// Minutes of the day; equal where nothing is quiet.
    pub quiet_start: Vec<i16>,
    pub quiet_end: Vec<i16>,
    /// Rows of CHANNEL_COUNT: place of the channel among the preferred ones, or NOT_PREFERRED.
    pub preference_rank: Vec<u8>,
    pub preference_count: Vec<u8>,
    /// Spreads recipients over the minutes of an hour.
    pub spread: Vec<u64>,
    /// Which row of the two tables below is this recipient's; 0, all zeros, of those without any counts.
    pub counts_row: Vec<u32>,
    /// Rows of CHANNEL_COUNT: the recipient's own messages delivered and engaged, decayed to now.
    pub delivered: Vec<f64>,
    pub engaged: Vec<f64>,
    /// What a message of this part costs on each channel.
    pub costs: Vec<i64>,
}

/// Name and numpy type of each column of [`Features`], in order.
pub const FEATURE_LAYOUT: &[(&str, &str)] = &[
    ("candidates", "uint8"),
    ("customer_type", "uint8"),
    ("device", "uint8"),
    ("zone", "uint16"),
    ("quiet_start", "int16"),
    ("quiet_end", "int16"),
    ("preference_rank", "uint8"),
    ("preference_count", "uint8"),
    ("spread", "uint64"),
    ("counts_row", "uint32"),
    ("delivered", "float64"),
    ("engaged", "float64"),
    ("costs", "int64"),
];

/// A row on its way to a decision.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    pub recipient: u32,
    /// Why it cannot pass step 0.
    pub standing: Option<Reason>,
    /// Channels that this very request opted out of.
    pub opted_out: ChannelMask,
    /// Channels that could not use the address that it gave for them.
    pub left_out: ChannelMask,
}

/// A part that is being decided.
#[derive(Debug)]
pub struct Admission {
    pub campaign: u32,
    pub now: i64,
    /// The deduplication key, and its number once a message has it: blocked requests leave no trace of theirs.
    pub key_text: String,
    pub key: Option<u32>,
    pub content: Option<Arc<[u8]>>,
    /// Of the short message that its recipients would get.
    pub segments: u8,
    /// What the request asked for; the kernels' caller reads it.
    pub urgency: Option<Urgency>,
    pub send_at: Option<i64>,
    pub mode: Mode,
    pub rows: Vec<Admitted>,
    /// Whether each row leaves a trace, and what is noted for it at admission and at its turn.
    pub explain: bool,
    pub obstacles: Vec<Obstacles>,
    pub traces: Vec<Trace>,
    pub features: Features,
    pub answer: Answer,
}

/// Quiet hours of those who named none, as minutes of the day.
pub type QuietHours = (u16, u16);

impl Shard {
    /// Steps 0 and the candidates of step 2, for every recipient of a part; `segments` are those of a short message.
    pub fn admit(
        &mut self,
        part: &Part,
        segments: u8,
        default_quiet: QuietHours,
    ) -> Result<Admission, UnknownCampaign> {
        let campaign = self.find_campaign(&part.header.campaign_id)?;
        let now = self.advance(part.header.now);
        let rules = &self.campaigns[campaign as usize].rules;
        let campaign_channels = rules.channels;
        let allowed = campaign_channels & part.header.channels;
        let inactive = (!rules.active(now)).then_some(Reason::CampaignInactive);
        let campaign_zone = rules.zone;
        let mode = mode_of(rules, part.header.urgency, part.header.send_at, now);
        let campaign_hash = crate::slot::hash_of(&rules.id);
        let key_text = part.header.dedup_key.as_ref().unwrap_or(&rules.dedup_key).clone();
        let count = part.recipients.len();
        let mut admission = Admission {
            campaign,
            now,
            key: self.keys.find(&key_text),
            key_text,
            content: (!part.header.content.is_empty()).then(|| part.header.content.as_slice().into()),
            segments,
            urgency: part.header.urgency,
            send_at: part.header.send_at,
            mode,
            rows: Vec::with_capacity(count),
            explain: part.header.explain,
            obstacles: Vec::new(),
            traces: Vec::new(),
            features: Features::with_capacity(count, rules.costs_of(segments)),
            answer: Answer::with_capacity(count),
        };
        for row in 0..count {
            if row % AHEAD == 0 {
                self.roster.approach(&part.recipients.columns.hash[row..count.min(row + AHEAD)]);
            }
            let (index, left_out) = self.merge_profile(part, row);
            let recipient = self.roster.get(index);
            if admission.explain {
                admission.obstacles.push(obstacles(recipient, campaign_channels, part.header.channels, now));
            }
            let standing = inactive.or_else(|| recipient.stopped(now).then_some(Reason::Suppressed));
            let gave_preferences = part.recipients.columns.given[row] & given::PREFERENCES != 0;
            let opted_out = if gave_preferences { refused_channels(recipient.profile.opt_out) } else { 0 };
            admission.rows.push(Admitted { recipient: index, standing, opted_out, left_out });
            let candidates = if standing.is_none() { recipient.reachable(now) & allowed } else { 0 };
            admission.features.push(recipient, candidates, campaign_zone, campaign_hash, default_quiet);
            let counts = recipient.engagement.as_deref().map(|own: &OwnCounts| own.at(now, self.decay));
            admission.features.push_counts(counts);
        }
        Ok(admission)
    }
}

impl Features {
    /// Quiet hours of a row, minutes of the day [start, end).
    pub fn quiet_hours(&self, row: usize) -> QuietHours {
        (self.quiet_start[row] as u16, self.quiet_end[row] as u16)
    }

    fn with_capacity(rows: usize, costs: Vec<i64>) -> Self {
        Features {
            candidates: Vec::with_capacity(rows),
            customer_type: Vec::with_capacity(rows),
            device: Vec::with_capacity(rows),
            zone: Vec::with_capacity(rows),
            quiet_start: Vec::with_capacity(rows),
            quiet_end: Vec::with_capacity(rows),
            preference_rank: Vec::with_capacity(rows * CHANNEL_COUNT),
            preference_count: Vec::with_capacity(rows),
            spread: Vec::with_capacity(rows),
            counts_row: Vec::with_capacity(rows),
            delivered: vec![0.0; CHANNEL_COUNT],
            engaged: vec![0.0; CHANNEL_COUNT],
            costs,
        }
    }

    /// Most people have no counts: they share a row.
    fn push_counts(&mut self, counts: Option<([f64; CHANNEL_COUNT], [f64; CHANNEL_COUNT])>) {
        let row = counts.map_or(0, |(delivered, engaged)| {
            self.delivered.extend_from_slice(&delivered);
            self.engaged.extend_from_slice(&engaged);
            self.delivered.len() / CHANNEL_COUNT - 1
        });
        self.counts_row.push(row as u32);
    }

    fn push(
        &mut self,
        recipient: &Recipient,
        candidates: ChannelMask,
        campaign_zone: u16,
        campaign_hash: u64,
        default_quiet: QuietHours,
    ) {
        let profile = &recipient.profile;
        let (zone, quiet) = local_rules(profile, campaign_zone, default_quiet);
        self.candidates.push(candidates);
        self.customer_type.push(profile.customer_type);
        self.device.push(profile.device);
        self.zone.push(zone);
        self.quiet_start.push(quiet.0 as i16);
        self.quiet_end.push(quiet.1 as i16);
        let mut rank = [NOT_PREFERRED; CHANNEL_COUNT];
        let mut count = 0;
        for channel in crate::answer::unpack_channels(profile.preferred) {
            rank[channel as usize] = count;
            count += 1;
        }
        self.preference_rank.extend_from_slice(&rank);
        self.preference_count.push(count);
        self.spread.push(spread(recipient.hash, campaign_hash));
    }
}

/// Zone and quiet hours of a person, the defaults filled in.
pub fn local_rules(profile: &Profile, campaign_zone: u16, default_quiet: QuietHours) -> (u16, QuietHours) {
    let zone = if profile.zone == CAMPAIGN_ZONE { campaign_zone } else { profile.zone };
    let quiet = match profile.quiet_start {
        NO_QUIET_HOURS => default_quiet,
        start => (start, profile.quiet_end),
    };
    (zone, quiet)
}

/// How the send times of a request are chosen.
fn mode_of(rules: &Rules, urgency: Option<Urgency>, send_at: Option<i64>, now: i64) -> Mode {
    let urgency = urgency.or_else(|| Urgency::from_code(rules.urgency)).unwrap_or(Urgency::Normal);
    match urgency {
        _ if rules.transactional || send_at.is_some() => Mode::Fixed,
        Urgency::High => Mode::First,
        Urgency::Normal => Mode::BestHour { horizon: now + DAY_S },
        Urgency::Low => Mode::BestHour { horizon: now + 3 * DAY_S },
    }
}

/// Mixes the hashes of recipient and campaign (the finaliser of SplitMix64, Steele et al. 2014), so that a person
/// does not get the same minute from every campaign.
fn spread(recipient_hash: u64, campaign_hash: u64) -> u64 {
    let mut mixed = (recipient_hash ^ campaign_hash).wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_splitmix64() {
        // First output of SplitMix64 seeded with 0, as published with the algorithm.
        assert_eq!(spread(0, 0), 0xE220_A839_7B1D_CDAF);
    }
}
