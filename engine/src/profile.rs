//! A profile: what requests said of a person, merged, with the addresses that their channels can use.

use serde::{Deserialize, Serialize};

use crate::address::usable;
use crate::part::{NO_QUIET_HOURS, RecipientRow, given};
use crate::words::{ALL_CHANNELS, Channel, ChannelMask, CustomerType, Device, channels_of};

/// No zone of their own: the campaign's holds.
pub const CAMPAIGN_ZONE: u16 = u16::MAX;

/// What is known of a recipient.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Profile {
    pub customer_type: u8,
    pub device: u8,
    /// Index of the zone, or CAMPAIGN_ZONE.
    pub zone: u16,
    /// Channels with a usable address.
    pub contacts: ChannelMask,
    /// Channels opted out of; bit 7 means all.
    pub opt_out: u8,
    /// As in [`RecipientRow::preferred`].
    pub preferred: u32,
    /// Minutes of the day, or NO_QUIET_HOURS.
    pub quiet_start: u16,
    pub quiet_end: u16,
    /// The addresses in channel order, each ended by a line feed, which no usable address holds.
    pub(crate) addresses: Box<str>,
}

/// What a merge came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    pub changed: bool,
    /// Channels that could not use the address given for them.
    pub left_out: ChannelMask,
}

impl Default for Profile {
    fn default() -> Self {
        Profile {
            customer_type: CustomerType::New as u8,
            device: Device::Unknown as u8,
            zone: CAMPAIGN_ZONE,
            contacts: 0,
            opt_out: 0,
            preferred: 0,
            quiet_start: NO_QUIET_HOURS,
            quiet_end: NO_QUIET_HOURS,
            addresses: Box::default(),
        }
    }
}

impl Profile {
    /// Each top-level field that a request gave replaces the kept one whole; what it left out stays. An address that its
    /// channel could not use leaves that channel out.
    pub fn merge<'a>(&mut self, row: &RecipientRow, contacts: impl Iterator<Item = &'a str> + Clone) -> Merged {
        let codes = |profile: &Profile| {
            let &Profile { customer_type, device, zone, contacts, .. } = profile;
            let &Profile { opt_out, preferred, quiet_start, quiet_end, .. } = profile;
            (customer_type, device, zone, contacts, opt_out, preferred, quiet_start, quiet_end)
        };
        let before = codes(self);
        let mut merged = Merged::default();
        if row.given & given::CUSTOMER_TYPE != 0 {
            self.customer_type = row.customer_type;
        }
        if row.given & given::DEVICE != 0 {
            self.device = row.device;
        }
        if row.given & given::TIMEZONE != 0 {
            self.zone = row.zone;
        }
        if row.given & given::CONTACTS != 0 {
            merged = self.set_addresses(row.contacts & ALL_CHANNELS, contacts);
        }
        if row.given & given::PREFERENCES != 0 {
            self.opt_out = row.opt_out;
            self.preferred = row.preferred;
            self.quiet_start = row.quiet_start;
            self.quiet_end = row.quiet_end;
        }
        Merged { changed: merged.changed || codes(self) != before, ..merged }
    }

    // Most requests repeat what is known, which was usable then: compare before checking and allocating, and without
    // looking for the end of each text.
    fn set_addresses<'a>(&mut self, given: ChannelMask, texts: impl Iterator<Item = &'a str> + Clone) -> Merged {
        let mut known = texts.clone();
        let rest = known.try_fold(&*self.addresses, |rest, text| rest.strip_prefix(text)?.strip_prefix('\n'));
        if given == self.contacts && rest == Some("") {
            return Merged::default();
        }
        let mut joined = String::with_capacity(texts.clone().map(|text| text.len() + 1).sum());
        self.contacts = 0;
        for (channel, text) in usable(given, texts) {
            self.contacts |= channel.bit();
            joined.push_str(text);
            joined.push('\n');
        }
        let changed = *joined != *self.addresses;
        self.addresses = joined.into_boxed_str();
        Merged { changed, left_out: given & !self.contacts }
    }

    /// The usable addresses with their channels.
    pub fn addresses(&self) -> impl Iterator<Item = (Channel, &str)> {
        channels_of(self.contacts).zip(self.addresses.split_terminator('\n'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_given_replaces_the_kept_one_whole() {
        let mut profile = Profile::default();
        let both = RecipientRow { given: given::CONTACTS, contacts: 0b11, ..RecipientRow::default() };
        profile.merge(&both, ["ana@example.com", "+15550100"].into_iter());
        let one = RecipientRow {
            given: given::CONTACTS | given::TIMEZONE,
            contacts: 0b10,
            zone: 4,
            ..RecipientRow::default()
        };
        profile.merge(&one, ["+15550101"].into_iter());
        assert_eq!(profile.addresses().collect::<Vec<_>>(), [(Channel::Sms, "+15550101")]);
        profile.merge(&RecipientRow::default(), std::iter::empty());
        assert_eq!((profile.contacts, profile.zone), (0b10, 4));
    }

    fn row_with(contacts: ChannelMask) -> RecipientRow {
        RecipientRow { given: given::CONTACTS, contacts, ..RecipientRow::default() }
    }

    #[test]
    fn an_address_that_cannot_be_used_leaves_its_channel_out_each_time() {
        let mut profile = Profile::default();
        let row = row_with(0b1_0111);
        let texts = ["ana", "+15550100", "0937", "a\nb"];
        for changed in [true, false, false] {
            let merged = profile.merge(&row, texts.into_iter());
            assert_eq!(merged, Merged { changed, left_out: 0b1_0101 });
            assert_eq!(profile.addresses().collect::<Vec<_>>(), [(Channel::Sms, "+15550100")]);
        }
    }

    #[test]
    fn what_is_known_of_one_channel_says_nothing_of_another() {
        let mut profile = Profile::default();
        profile.merge(&row_with(Channel::Twitter.bit()), ["ana"].into_iter());
        let email = row_with(Channel::Email.bit());
        let left_out = Channel::Email.bit();
        assert_eq!(profile.merge(&email, ["ana"].into_iter()), Merged { changed: true, left_out });
        assert_eq!(profile.merge(&email, ["ana"].into_iter()), Merged { changed: false, left_out });
        assert_eq!(profile.addresses().count(), 0);
    }

    #[test]
    fn texts_that_only_together_are_what_is_known_are_no_addresses() {
        let mut profile = Profile::default();
        profile.merge(&row_with(0b11), ["ana@example.com", "+15550100"].into_iter());
        let merged = profile.merge(&row_with(0b11), ["ana@example.com\n+15550100", ""].into_iter());
        assert_eq!(merged, Merged { changed: true, left_out: 0b11 });
    }
}
