//! One recipient, read from JSON. What is wrong with it makes only it invalid; what is wrong with the JSON
//! breaks the body.

use std::borrow::Cow;

use hashbrown::HashMap;
use jiter::Peek;

use crate::address;
use crate::fault::{Errors, path_of};
use crate::instant::minute_of_day;
use crate::json::{Broken, Cursor};
use crate::part::{NO_QUIET_HOURS, RecipientRow, given};
use crate::words::{CHANNEL_COUNT, Channel, ChannelMask, CustomerType, Device, OPT_OUT_ALL};

/// How many faults of one recipient are named.
const ERRORS_MAX: usize = 8;

/// The longest id, of a recipient or a campaign.
pub const ID_BYTES_MAX: usize = 128;

pub const ID_TAKES: &str = "takes 1 to 128 bytes of text without control characters";
pub const REQUIRED: &str = "is required";
pub const TWICE: &str = "is given twice";

/// Zone names and their codes.
pub type Zones = HashMap<String, u16>;

/// Whether the text can be an id: 1 to 128 bytes, no control characters (Unicode Cc).
pub fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len()) && !has_control(text)
}

/// Whether a control character (Unicode Cc) is in the text.
pub fn has_control(text: &str) -> bool {
    if text.is_ascii() { text.bytes().any(|byte| byte.is_ascii_control()) } else { text.chars().any(char::is_control) }
}

/// What a request says of one recipient.
pub struct Recipient<'j> {
    /// The id, where one was given that can be one.
    pub id: Option<Cow<'j, str>>,
    /// All but the hash.
    pub row: RecipientRow,
    /// Usable addresses, by channel.
    pub contacts: [Option<Cow<'j, str>>; CHANNEL_COUNT],
    /// Channels whose address could not be used.
    pub left_out: ChannelMask,
    /// What makes it invalid; paths from the recipient.
    pub errors: Errors,
}

/// Reads the recipient that `peek` saw; `id_required` says whether it must name itself.
pub fn read<'j>(
    cursor: &mut Cursor<'j>,
    peek: Peek,
    zones: &Zones,
    id_required: bool,
) -> Result<Recipient<'j>, Broken> {
    let row = RecipientRow {
        device: Device::Unknown as u8,
        quiet_start: NO_QUIET_HOURS,
        quiet_end: NO_QUIET_HOURS,
        ..RecipientRow::default()
    };
    let errors = Errors::at_most(ERRORS_MAX);
    let recipient = Recipient { id: None, row, contacts: [const { None }; CHANNEL_COUNT], left_out: 0, errors };
    let mut reader = Reader { cursor, zones, recipient };
    reader.object(peek, id_required)?;
    Ok(reader.recipient)
}

/// A field by its name; another name is kept for the fault's path.
enum Named<F> {
    Known(F),
    Other(String),
}

impl<F> Named<F> {
    fn of(name: &str, known: Option<F>) -> Self {
        known.map_or_else(|| Named::Other(name.to_owned()), Named::Known)
    }
}

#[derive(Clone, Copy)]
#[repr(u8)]
enum Field {
    Id,
    CustomerType,
    Device,
    Timezone,
    Contacts,
    Preferences,
}

fn field(name: &str) -> Named<Field> {
    let known = match name {
        "id" => Some(Field::Id),
        "customer_type" => Some(Field::CustomerType),
        "device" => Some(Field::Device),
        "timezone" => Some(Field::Timezone),
        "contacts" => Some(Field::Contacts),
        "preferences" => Some(Field::Preferences),
        _ => None,
    };
    Named::of(name, known)
}

#[derive(Clone, Copy)]
#[repr(u8)]
enum Preference {
    Channels,
    OptOut,
    QuietHours,
}

fn preference(name: &str) -> Named<Preference> {
    let known = match name {
        "channels" => Some(Preference::Channels),
        "opt_out" => Some(Preference::OptOut),
        "quiet_hours" => Some(Preference::QuietHours),
        _ => None,
    };
    Named::of(name, known)
}

#[derive(Clone, Copy)]
#[repr(u8)]
enum QuietHour {
    Start,
    End,
}

fn quiet_hour(name: &str) -> Named<QuietHour> {
    let known = match name {
        "start" => Some(QuietHour::Start),
        "end" => Some(QuietHour::End),
        _ => None,
    };
    Named::of(name, known)
}

fn contact(name: &str) -> Named<Channel> {
    Named::of(name, Channel::from_text(name))
}

/// Notes a field in a mask of those seen; false if it was there already.
fn first_time(seen: &mut u8, field: u8) -> bool {
    let bit = 1 << field;
    let first = *seen & bit == 0;
    *seen |= bit;
    first
}

const CHANNEL_TAKES: &str = "takes one of email, sms, whatsapp, instagram, facebook, linkedin, twitter";
const OPT_OUT_TAKES: &str = "takes one of email, sms, whatsapp, instagram, facebook, linkedin, twitter, all";
const NO_FIELD: &str = "is not a field here";
const TIME_TAKES: &str = "takes a time of day from \"00:00\" to \"23:59\"";

struct Reader<'r, 'j> {
    cursor: &'r mut Cursor<'j>,
    zones: &'r Zones,
    recipient: Recipient<'j>,
}

impl<'j> Reader<'_, 'j> {
    fn object(&mut self, peek: Peek, id_required: bool) -> Result<(), Broken> {
        if peek != Peek::Object {
            return self.refuse(peek, "", "takes an object");
        }
        let mut seen = 0;
        let mut name = self.cursor.first_key(field)?;
        while let Some(named) = name {
            let peek = self.cursor.peek()?;
            match named {
                Named::Known(field) if first_time(&mut seen, field as u8) => self.field(field, peek)?,
                Named::Known(field) => self.refuse(peek, path_of_field(field), TWICE)?,
                Named::Other(name) => self.refuse(peek, path_of("", &name), NO_FIELD)?,
            }
            name = self.cursor.next_key(field)?;
        }
        if id_required && first_time(&mut seen, Field::Id as u8) {
            self.recipient.errors.push(path_of_field(Field::Id), REQUIRED);
        }
        Ok(())
    }

    fn field(&mut self, field: Field, peek: Peek) -> Result<(), Broken> {
        let path = path_of_field(field);
        match field {
            Field::Id => {
                self.recipient.id = self.text(peek, path, ID_TAKES, |text| is_id(&text).then_some(text))?;
            }
            Field::CustomerType => {
                let word =
                    self.text(peek, path, "takes one of new, existing", |text| CustomerType::from_text(&text))?;
                self.recipient.row.customer_type = word.map_or(0, |word| word as u8);
                self.recipient.row.given |= given::CUSTOMER_TYPE;
            }
            Field::Device => {
                let takes = "takes one of mobile, desktop, tablet, unknown";
                let word = self.text(peek, path, takes, |text| Device::from_text(&text))?;
                self.recipient.row.device = word.map_or(0, |word| word as u8);
                self.recipient.row.given |= given::DEVICE;
            }
            Field::Timezone => {
                let zones = self.zones;
                let takes = "takes an IANA time zone such as \"America/Port-au-Prince\"";
                let zone = self.text(peek, path, takes, |text| zones.get(text.as_ref()).copied())?;
                self.recipient.row.zone = zone.unwrap_or(0);
                self.recipient.row.given |= given::TIMEZONE;
            }
            Field::Contacts => {
                self.contacts(peek)?;
                self.recipient.row.given |= given::CONTACTS;
            }
            Field::Preferences => {
                self.preferences(peek)?;
                self.recipient.row.given |= given::PREFERENCES;
            }
        }
        Ok(())
    }

    fn contacts(&mut self, peek: Peek) -> Result<(), Broken> {
        if peek != Peek::Object {
            return self.refuse(peek, "/contacts", "takes an object of addresses by channel");
        }
        let mut seen = 0;
        let mut name = self.cursor.first_key(contact)?;
        while let Some(named) = name {
            let peek = self.cursor.peek()?;
            match named {
                Named::Known(channel) if !first_time(&mut seen, channel as u8) => {
                    self.refuse(peek, path_of("/contacts", channel.text()), TWICE)?;
                }
                Named::Known(channel) if peek != Peek::String => {
                    self.refuse(peek, path_of("/contacts", channel.text()), "takes a string")?;
                }
                Named::Known(channel) => self.address(channel)?,
                Named::Other(name) => self.refuse(peek, path_of("/contacts", &name), "is not a channel")?,
            }
            name = self.cursor.next_key(contact)?;
        }
        Ok(())
    }

    fn address(&mut self, channel: Channel) -> Result<(), Broken> {
        let address = self.cursor.text()?;
        if address::is_usable(channel, &address) {
            self.recipient.row.contacts |= channel.bit();
            self.recipient.contacts[channel as usize] = Some(address);
        } else {
            self.recipient.left_out |= channel.bit();
        }
        Ok(())
    }

    fn preferences(&mut self, peek: Peek) -> Result<(), Broken> {
        if peek != Peek::Object {
            return self.refuse(peek, "/preferences", "takes an object");
        }
        let mut seen = 0;
        let mut name = self.cursor.first_key(preference)?;
        while let Some(named) = name {
            let peek = self.cursor.peek()?;
            match named {
                Named::Known(preference) if first_time(&mut seen, preference as u8) => match preference {
                    Preference::Channels => self.preferred(peek)?,
                    Preference::OptOut => self.opt_out(peek)?,
                    Preference::QuietHours => self.quiet_hours(peek)?,
                },
                Named::Known(preference) => self.refuse(peek, path_of_preference(preference), TWICE)?,
                Named::Other(name) => self.refuse(peek, path_of("/preferences", &name), NO_FIELD)?,
            }
            name = self.cursor.next_key(preference)?;
        }
        Ok(())
    }

    /// Wanted channels, the most wanted first; of one named twice the first counts.
    fn preferred(&mut self, peek: Peek) -> Result<(), Broken> {
        let (mut seen, mut packed, mut count) = (0, 0, 0);
        self.list(peek, "/preferences/channels", "takes a list of channels", CHANNEL_TAKES, |text| {
            let channel = Channel::from_text(text)?;
            if first_time(&mut seen, channel as u8) {
                packed |= (channel as u32 + 1) << (4 * count);
                count += 1;
            }
            Some(())
        })?;
        self.recipient.row.preferred = packed;
        Ok(())
    }

    fn opt_out(&mut self, peek: Peek) -> Result<(), Broken> {
        let mut mask = 0;
        self.list(peek, "/preferences/opt_out", "takes a list of channels or all", OPT_OUT_TAKES, |text| {
            mask |= if text == "all" { OPT_OUT_ALL } else { Channel::from_text(text)?.bit() };
            Some(())
        })?;
        self.recipient.row.opt_out = mask;
        Ok(())
    }

    fn quiet_hours(&mut self, peek: Peek) -> Result<(), Broken> {
        const PATH: &str = "/preferences/quiet_hours";
        if peek != Peek::Object {
            return self.refuse(peek, PATH, "takes an object of start and end");
        }
        let mut seen = 0;
        let mut name = self.cursor.first_key(quiet_hour)?;
        while let Some(named) = name {
            let peek = self.cursor.peek()?;
            match named {
                Named::Known(hour) if first_time(&mut seen, hour as u8) => {
                    let minute = self.text(peek, path_of_quiet_hour(hour), TIME_TAKES, |text| minute_of_day(&text))?;
                    let minute = minute.unwrap_or(NO_QUIET_HOURS);
                    match hour {
                        QuietHour::Start => self.recipient.row.quiet_start = minute,
                        QuietHour::End => self.recipient.row.quiet_end = minute,
                    }
                }
                Named::Known(hour) => self.refuse(peek, path_of_quiet_hour(hour), TWICE)?,
                Named::Other(name) => self.refuse(peek, path_of(PATH, &name), NO_FIELD)?,
            }
            name = self.cursor.next_key(quiet_hour)?;
        }
        for hour in [QuietHour::Start, QuietHour::End] {
            if first_time(&mut seen, hour as u8) {
                self.recipient.errors.push(path_of_quiet_hour(hour), REQUIRED);
            }
        }
        Ok(())
    }

    /// A list of words, each of which `take` accepts or not.
    fn list(
        &mut self,
        peek: Peek,
        path: &'static str,
        list_takes: &'static str,
        item_takes: &'static str,
        mut take: impl FnMut(&str) -> Option<()>,
    ) -> Result<(), Broken> {
        if peek != Peek::Array {
            return self.refuse(peek, path, list_takes);
        }
        let mut item = self.cursor.first_item()?;
        for index in 0_usize.. {
            let Some(peek) = item else { break };
            let taken = match peek {
                Peek::String => take(&self.cursor.text()?),
                _ => self.cursor.skip(peek).map(|()| None)?,
            };
            if taken.is_none() && !self.recipient.errors.is_full() {
                self.recipient.errors.push(format!("{path}/{index}"), item_takes);
            }
            item = self.cursor.next_item()?;
        }
        Ok(())
    }

    /// A string that `take` accepts; anything else is a fault.
    fn text<T>(
        &mut self,
        peek: Peek,
        path: &'static str,
        takes: &'static str,
        take: impl FnOnce(Cow<'j, str>) -> Option<T>,
    ) -> Result<Option<T>, Broken> {
        if peek != Peek::String {
            self.refuse(peek, path, takes)?;
            return Ok(None);
        }
        let taken = take(self.cursor.text()?);
        if taken.is_none() {
            self.recipient.errors.push(path, takes);
        }
        Ok(taken)
    }

    /// Passes over a value that is not wanted and says why.
    fn refuse(&mut self, peek: Peek, path: impl Into<Cow<'static, str>>, message: &'static str) -> Result<(), Broken> {
        self.cursor.skip(peek)?;
        self.recipient.errors.push(path, message);
        Ok(())
    }
}

fn path_of_field(field: Field) -> &'static str {
    ["/id", "/customer_type", "/device", "/timezone", "/contacts", "/preferences"][field as usize]
}

fn path_of_preference(preference: Preference) -> &'static str {
    ["/preferences/channels", "/preferences/opt_out", "/preferences/quiet_hours"][preference as usize]
}

fn path_of_quiet_hour(hour: QuietHour) -> &'static str {
    ["/preferences/quiet_hours/start", "/preferences/quiet_hours/end"][hour as usize]
}

#[cfg(test)]
mod tests;
