//! One recipient, as a request describes it: what each field takes, wherever it was read from. What is wrong with it
//! makes only it invalid.

use std::borrow::Cow;

use hashbrown::HashMap;

use crate::address;
use crate::answer::unpack_channels;
use crate::fault::Errors;
use crate::instant::minute_of_day;
use crate::part::{NO_QUIET_HOURS, RecipientRow, given};
use crate::words::{CHANNEL_COUNT, Channel, CustomerType, Device, OPT_OUT_ALL, channels_of};

pub mod json;

/// How many faults of one recipient are named.
const ERRORS_MAX: usize = 8;

/// The longest id, of a recipient or a campaign.
pub const ID_BYTES_MAX: usize = 128;

/// No zone has a longer name. Longer ones are not even looked up: in Arrow one text may stand for many people.
const ZONE_BYTES_MAX: usize = 64;

pub const ID_TAKES: &str = "takes 1 to 128 bytes of text without control characters";
pub const REQUIRED: &str = "is required";
pub const TWICE: &str = "is given twice";
pub const NO_FIELD: &str = "is not a field here";
pub const NO_CHANNEL: &str = "is not a channel";

const CHANNEL_TAKES: &str = "takes one of email, sms, whatsapp, instagram, facebook, linkedin, twitter";
const OPT_OUT_TAKES: &str = "takes one of email, sms, whatsapp, instagram, facebook, linkedin, twitter, all";
const TIME_TAKES: &str = "takes a time of day from \"00:00\" to \"23:59\"";

/// Zone names and their codes.
pub type Zones = HashMap<String, u16>;

/// Whether the text can be an id: 1 to 128 bytes, no control characters (Unicode Cc).
pub fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len()) && !has_control(text)
}

/// Whether a control character (Unicode Cc) is in the text.
pub fn has_control(text: &str) -> bool {
    // One look at each byte that never ends early is several times as fast: the compiler takes many at once.
    let (control, beyond_ascii) = text.bytes().fold((false, false), |(control, beyond_ascii), byte| {
        (control | byte.is_ascii_control(), beyond_ascii | !byte.is_ascii())
    });
    control || beyond_ascii && text.chars().any(char::is_control)
}

/// What a request says of one recipient.
pub struct Recipient<'j> {
    /// The id, where one was given that can be one.
    pub id: Option<Cow<'j, str>>,
    /// All but the hash.
    pub row: RecipientRow,
    /// Addresses by channel, given exactly where `row.contacts` has the channel's bit.
    pub contacts: [Option<Cow<'j, str>>; CHANNEL_COUNT],
    /// What makes it invalid; paths from the recipient.
    pub errors: Errors,
}

/// A time of `quiet_hours`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum QuietHour {
    Start,
    End,
}

impl QuietHour {
    pub const ALL: [QuietHour; 2] = [QuietHour::Start, QuietHour::End];

    pub fn path(self) -> &'static str {
        ["/preferences/quiet_hours/start", "/preferences/quiet_hours/end"][self as usize]
    }
}

/// The row of a recipient of whom nothing is said.
const UNSAID: RecipientRow = RecipientRow {
    hash: 0,
    given: 0,
    customer_type: 0,
    device: Device::Unknown as u8,
    zone: 0,
    contacts: 0,
    opt_out: 0,
    preferred: 0,
    quiet_start: NO_QUIET_HOURS,
    quiet_end: NO_QUIET_HOURS,
};

impl Default for Recipient<'_> {
    /// One of whom nothing is said.
    fn default() -> Self {
        Recipient {
            id: None,
            row: UNSAID,
            contacts: [const { None }; CHANNEL_COUNT],
            errors: Errors::at_most(ERRORS_MAX),
        }
    }
}

/// Takes the value of each field; None stands for what is there and no text.
impl<'j> Recipient<'j> {
    /// Makes it one of whom nothing is said, which is faster than another one: it is large to move about.
    pub fn clear(&mut self) {
        self.id = None;
        channels_of(self.row.contacts).for_each(|channel| self.contacts[channel as usize] = None);
        self.row = UNSAID;
        if !self.errors.is_empty() {
            self.errors = Errors::at_most(ERRORS_MAX);
        }
    }

    pub fn take_id(&mut self, text: Option<Cow<'j, str>>) {
        let id = text.filter(|text| is_id(text));
        self.id = self.checked(id, "/id", ID_TAKES);
    }

    pub fn take_customer_type(&mut self, text: Option<&str>) {
        let word = text.and_then(CustomerType::from_text);
        let word = self.checked(word, "/customer_type", "takes one of new, existing");
        self.row.customer_type = word.map_or(0, |word| word as u8);
        self.row.given |= given::CUSTOMER_TYPE;
    }

    pub fn take_device(&mut self, text: Option<&str>) {
        let word = text.and_then(Device::from_text);
        let word = self.checked(word, "/device", "takes one of mobile, desktop, tablet, unknown");
        self.row.device = word.map_or(0, |word| word as u8);
        self.row.given |= given::DEVICE;
    }

    pub fn take_timezone(&mut self, text: Option<&str>, zones: &Zones) {
        let zone = text.filter(|text| text.len() <= ZONE_BYTES_MAX).and_then(|text| zones.get(text).copied());
        let takes = "takes an IANA time zone such as \"America/Port-au-Prince\"";
        self.row.zone = self.checked(zone, "/timezone", takes).unwrap_or(0);
        self.row.given |= given::TIMEZONE;
    }

    /// An address, of which the profile that it goes into says whether its channel could use it. One that is too long
    /// for any goes on as an empty one: in Arrow one text may stand for many people, and each would carry it along.
    pub fn take_address(&mut self, channel: Channel, address: Cow<'j, str>) {
        self.row.contacts |= channel.bit();
        let is_short = address.len() <= address::BYTES_MAX;
        self.contacts[channel as usize] = Some(if is_short { address } else { Cow::Borrowed("") });
    }

    /// An item of the wanted channels, the most wanted first; of one named twice the first counts.
    pub fn take_wanted(&mut self, index: usize, text: Option<&str>) {
        match text.and_then(Channel::from_text) {
            None => self.refuse_item("/preferences/channels", index, CHANNEL_TAKES),
            Some(channel) if unpack_channels(self.row.preferred).any(|wanted| wanted == channel) => {}
            Some(channel) => {
                let nibbles = (u32::BITS - self.row.preferred.leading_zeros()).div_ceil(4);
                self.row.preferred |= (channel as u32 + 1) << (4 * nibbles);
            }
        }
    }

    /// An item of the channels opted out of.
    pub fn take_opt_out(&mut self, index: usize, text: Option<&str>) {
        match text {
            Some("all") => self.row.opt_out |= OPT_OUT_ALL,
            text => match text.and_then(Channel::from_text) {
                Some(channel) => self.row.opt_out |= channel.bit(),
                None => self.refuse_item("/preferences/opt_out", index, OPT_OUT_TAKES),
            },
        }
    }

    pub fn take_quiet_hour(&mut self, hour: QuietHour, text: Option<&str>) {
        let minute = self.checked(text.and_then(minute_of_day), hour.path(), TIME_TAKES);
        match hour {
            QuietHour::Start => self.row.quiet_start = minute.unwrap_or(NO_QUIET_HOURS),
            QuietHour::End => self.row.quiet_end = minute.unwrap_or(NO_QUIET_HOURS),
        }
    }

    /// Notes that what a field holds is not what it takes, if so.
    fn checked<T>(&mut self, taken: Option<T>, path: &'static str, takes: &'static str) -> Option<T> {
        if taken.is_none() {
            self.errors.push(path, takes);
        }
        taken
    }

    fn refuse_item(&mut self, path: &'static str, index: usize, takes: &'static str) {
        if !self.errors.is_full() {
            self.errors.push(format!("{path}/{index}"), takes);
        }
    }
}
