//! The contract's words and their codes. One table a word drives codes, texts and what Python sees.

use serde::{Deserialize, Serialize};

/// How many channels there are; every per-channel array has this length.
pub const CHANNEL_COUNT: usize = 7;

/// A set of channels: bit `i` stands for channel `i`.
pub type ChannelMask = u8;

/// Every channel.
pub const ALL_CHANNELS: ChannelMask = 0b0111_1111;

/// The bit in an opt-out mask that means "all".
pub const OPT_OUT_ALL: u8 = 0b1000_0000;

/// No instant, in columns of instants.
pub const NONE: i64 = i64::MIN;

/// No channel, in columns of channels.
pub const NO_CHANNEL: u8 = u8::MAX;

/// Defines an enum of codes with its texts, in order.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $texts:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum $name { $($variant),+ }

        /// The texts, in the order of the codes.
        pub const $texts: &[&str] = &[$($text),+];

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word as users write it.
            pub fn text(self) -> &'static str {
                $texts[self as usize]
            }

            /// The code of a word, if it is one.
            pub fn from_text(text: &str) -> Option<$name> {
                match text {
                    $($text => Some($name::$variant),)+
                    _ => None,
                }
            }

            /// The word of a code, if there is one.
            pub fn from_code(code: u8) -> Option<$name> {
                Self::ALL.get(code as usize).copied()
            }
        }
    };
}

words! {
    /// The seven channels, always in this order where an order is needed.
    Channel, CHANNELS {
        Email = "email",
        Sms = "sms",
        Whatsapp = "whatsapp",
        Instagram = "instagram",
        Facebook = "facebook",
        Linkedin = "linkedin",
        Twitter = "twitter",
    }
}

words! {
    CustomerType, CUSTOMER_TYPES { New = "new", Existing = "existing" }
}

words! {
    Device, DEVICES { Mobile = "mobile", Desktop = "desktop", Tablet = "tablet", Unknown = "unknown" }
}

words! {
    Urgency, URGENCIES { Low = "low", Normal = "normal", High = "high" }
}

words! {
    /// What became of a recipient.
    Status, STATUSES {
        Scheduled = "scheduled",
        Blocked = "blocked",
        Invalid = "invalid",
        Unavailable = "unavailable",
    }
}

words! {
    /// Why a recipient was blocked: the first step that failed.
    Reason, REASONS {
        CampaignInactive = "campaign_inactive",
        Suppressed = "suppressed",
        Duplicate = "duplicate",
        NoViableChannel = "no_viable_channel",
        NoSendWindow = "no_send_window",
        DailyCap = "daily_cap",
        WeeklyCap = "weekly_cap",
        ChannelGap = "channel_gap",
        OverBudget = "over_budget",
        DailyLimit = "daily_limit",
    }
}

impl Reason {
    /// The sentence a person reads.
    pub fn detail(self) -> &'static str {
        match self {
            Reason::CampaignInactive => "The campaign is not active: it is paused or outside its period.",
            Reason::Suppressed => "The recipient is suppressed or has opted out of every channel.",
            Reason::Duplicate => "The recipient already has a message with this dedup_key within the lookback.",
            Reason::NoViableChannel => "No channel is left that is allowed, has a usable address and is not opted out.",
            Reason::NoSendWindow => {
                "No minute is permitted on any channel by the period, the send window and the quiet hours."
            }
            Reason::DailyCap => "Another message would break the daily frequency cap.",
            Reason::WeeklyCap => "Another message would break the weekly frequency cap.",
            Reason::ChannelGap => "Another message on the channel would come too soon after the last one.",
            Reason::OverBudget => "What is left of the budget pays for none of the viable channels.",
            Reason::DailyLimit => "The campaign's messages of that day are used up.",
        }
    }
}

words! {
    /// Why a channel is no candidate.
    Obstacle, OBSTACLES {
        NotAllowed = "not_allowed",
        NotRequested = "not_requested",
        NoAddress = "no_address",
        OptedOut = "opted_out",
        Suppressed = "suppressed",
    }
}

impl Reason {
    /// What a person reads of a message that goes later because its first instant would have met this.
    pub fn deferral(self) -> Option<&'static str> {
        match self {
            Reason::DailyCap => Some("Deferred to the first permitted minute that keeps the daily frequency cap."),
            Reason::WeeklyCap => Some("Deferred to the first permitted minute that keeps the weekly frequency cap."),
            Reason::ChannelGap => Some("Deferred to the first permitted minute that keeps the gap on the channel."),
            _ => None,
        }
    }
}

words! {
    /// The life of a message.
    MessageState, MESSAGE_STATES {
        Scheduled = "scheduled",
        Claimed = "claimed",
        Sent = "sent",
        Delivered = "delivered",
        Failed = "failed",
        Unknown = "unknown",
        Cancelled = "cancelled",
        Expired = "expired",
    }
}

words! {
    EventType, EVENT_TYPES {
        Delivered = "delivered",
        Opened = "opened",
        Clicked = "clicked",
        Replied = "replied",
        Converted = "converted",
        Failed = "failed",
        Bounced = "bounced",
        Complained = "complained",
        Unsubscribed = "unsubscribed",
    }
}

words! {
    /// What became of an event.
    EventStatus, EVENT_STATUSES { Applied = "applied", Seen = "seen", Unknown = "unknown" }
}

words! {
    /// What a dispatcher says of an attempt.
    DeliveryOutcome, DELIVERY_OUTCOMES {
        Accepted = "accepted",
        Rejected = "rejected",
        Later = "later",
        Unknown = "unknown",
    }
}

/// The channels of a mask, in order.
pub fn channels_of(mask: ChannelMask) -> impl Iterator<Item = Channel> {
    Channel::ALL.iter().copied().filter(move |channel| mask & channel.bit() != 0)
}

impl Channel {
    /// This channel's bit in a [`ChannelMask`].
    pub fn bit(self) -> ChannelMask {
        1 << self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_codes_agree() {
        for (code, channel) in Channel::ALL.iter().enumerate() {
            assert_eq!(*channel as usize, code);
            assert_eq!(Channel::from_text(channel.text()), Some(*channel));
            assert_eq!(Channel::from_code(code as u8), Some(*channel));
        }
        assert_eq!(CHANNELS.len(), CHANNEL_COUNT);
        assert_eq!(Channel::from_text("fax"), None);
        assert_eq!(channels_of(0b101).collect::<Vec<_>>(), [Channel::Email, Channel::Whatsapp]);
    }
}
