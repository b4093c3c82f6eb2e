//! A recipient, read from JSON: what is wrong with the recipient makes only it invalid; what is wrong with the JSON
//! breaks the body.

use std::borrow::Cow;

use jiter::Peek;

use super::{NO_CHANNEL, NO_FIELD, QuietHour, REQUIRED, Recipient, TWICE, Zones};
use crate::fault::path_of;
use crate::json::{Broken, Cursor};
use crate::part::given;
use crate::words::Channel;

/// Reads the recipient that `peek` saw; `id_required` says whether it must name itself.
pub fn read<'j>(
    cursor: &mut Cursor<'j>,
    peek: Peek,
    zones: &Zones,
    id_required: bool,
) -> Result<Recipient<'j>, Broken> {
    let mut reader = Reader { cursor, zones, recipient: Recipient::default() };
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
        match field {
            Field::Id => {
                let text = self.text(peek)?;
                self.recipient.take_id(text);
            }
            Field::CustomerType => {
                let text = self.text(peek)?;
                self.recipient.take_customer_type(text.as_deref());
            }
            Field::Device => {
                let text = self.text(peek)?;
                self.recipient.take_device(text.as_deref());
            }
            Field::Timezone => {
                let text = self.text(peek)?;
                self.recipient.take_timezone(text.as_deref(), self.zones);
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
                Named::Known(channel) => {
                    let address = self.cursor.text()?;
                    self.recipient.take_address(channel, address);
                }
                Named::Other(name) => self.refuse(peek, path_of("/contacts", &name), NO_CHANNEL)?,
            }
            name = self.cursor.next_key(contact)?;
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
                    Preference::Channels => {
                        self.list(peek, preference, "takes a list of channels", Recipient::take_wanted)?;
                    }
                    Preference::OptOut => {
                        self.list(peek, preference, "takes a list of channels or all", Recipient::take_opt_out)?;
                    }
                    Preference::QuietHours => self.quiet_hours(peek)?,
                },
                Named::Known(preference) => self.refuse(peek, path_of_preference(preference), TWICE)?,
                Named::Other(name) => self.refuse(peek, path_of("/preferences", &name), NO_FIELD)?,
            }
            name = self.cursor.next_key(preference)?;
        }
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
                    let text = self.text(peek)?;
                    self.recipient.take_quiet_hour(hour, text.as_deref());
                }
                Named::Known(hour) => self.refuse(peek, hour.path(), TWICE)?,
                Named::Other(name) => self.refuse(peek, path_of(PATH, &name), NO_FIELD)?,
            }
            name = self.cursor.next_key(quiet_hour)?;
        }
        for hour in QuietHour::ALL {
            if first_time(&mut seen, hour as u8) {
                self.recipient.errors.push(hour.path(), REQUIRED);
            }
        }
        Ok(())
    }

    /// A list, each item of which `take` gets with its place.
    fn list(
        &mut self,
        peek: Peek,
        preference: Preference,
        takes: &'static str,
        take: fn(&mut Recipient<'j>, usize, Option<&str>),
    ) -> Result<(), Broken> {
        if peek != Peek::Array {
            return self.refuse(peek, path_of_preference(preference), takes);
        }
        let mut item = self.cursor.first_item()?;
        for index in 0_usize.. {
            let Some(peek) = item else { break };
            let text = self.text(peek)?;
            take(&mut self.recipient, index, text.as_deref());
            item = self.cursor.next_item()?;
        }
        Ok(())
    }

    /// A string; None for anything else, which is passed over.
    fn text(&mut self, peek: Peek) -> Result<Option<Cow<'j, str>>, Broken> {
        match peek {
            Peek::String => self.cursor.text().map(Some),
            _ => self.cursor.skip(peek).map(|()| None),
        }
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

#[cfg(test)]
mod tests;
