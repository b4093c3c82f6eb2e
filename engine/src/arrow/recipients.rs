//! Recipients, a row each. Null means left out: a column is there for everybody, so it cannot say more.

use std::borrow::Cow;

use arrow_array::RecordBatch;

use super::columns::{Structs, Text, Texts};
use crate::part::given;
use crate::recipient::{QuietHour, REQUIRED, Recipient, Zones};
use crate::words::{CHANNEL_COUNT, Channel};

/// The columns of a record batch.
pub struct Recipients<'a> {
    id: Text<'a>,
    customer_type: Text<'a>,
    timezone: Text<'a>,
    device: Text<'a>,
    contacts: Structs<'a>,
    addresses: [Text<'a>; CHANNEL_COUNT],
    preferences: Structs<'a>,
    wanted: Texts<'a>,
    opt_out: Texts<'a>,
    quiet_hours: Structs<'a>,
    quiet: [Text<'a>; 2],
}

impl<'a> Recipients<'a> {
    pub fn of(batch: &'a RecordBatch) -> Self {
        let text = |name| Text::of(batch.column_by_name(name));
        let contacts = Structs::of(batch.column_by_name("contacts"));
        let preferences = Structs::of(batch.column_by_name("preferences"));
        let quiet_hours = Structs::of(preferences.field("quiet_hours"));
        Recipients {
            id: text("id"),
            customer_type: text("customer_type"),
            timezone: text("timezone"),
            device: text("device"),
            contacts,
            addresses: std::array::from_fn(|channel| Text::of(contacts.field(Channel::ALL[channel].text()))),
            preferences,
            wanted: Texts::of(preferences.field("channels")),
            opt_out: Texts::of(preferences.field("opt_out")),
            quiet_hours,
            quiet: ["start", "end"].map(|name| Text::of(quiet_hours.field(name))),
        }
    }

    /// Reads the recipient of a row into `recipient`, its faults in the order of the contract's fields.
    pub fn read(&self, row: usize, zones: &Zones, recipient: &mut Recipient<'a>) {
        recipient.clear();
        let id = self.id.get(row);
        if id.is_some() {
            recipient.take_id(id.map(Cow::Borrowed));
        }
        if let Some(text) = self.customer_type.get(row) {
            recipient.take_customer_type(Some(text));
        }
        if let Some(text) = self.timezone.get(row) {
            recipient.take_timezone(Some(text), zones);
        }
        if let Some(text) = self.device.get(row) {
            recipient.take_device(Some(text));
        }
        if self.contacts.is_given(row) {
            for (channel, addresses) in Channel::ALL.iter().zip(&self.addresses) {
                if let Some(address) = addresses.get(row) {
                    recipient.take_address(*channel, Cow::Borrowed(address));
                }
            }
            recipient.row.given |= given::CONTACTS;
        }
        if self.preferences.is_given(row) {
            self.preferences(row, recipient);
        }
        if id.is_none() {
            recipient.errors.push("/id", REQUIRED);
        }
    }

    fn preferences(&self, row: usize, recipient: &mut Recipient<'a>) {
        self.wanted.get(row).enumerate().for_each(|(index, text)| recipient.take_wanted(index, text));
        self.opt_out.get(row).enumerate().for_each(|(index, text)| recipient.take_opt_out(index, text));
        if self.quiet_hours.is_given(row) {
            let texts = QuietHour::ALL.map(|hour| (hour, self.quiet[hour as usize].get(row)));
            for (hour, text) in texts.iter().filter(|(_, text)| text.is_some()) {
                recipient.take_quiet_hour(*hour, *text);
            }
            for (hour, _) in texts.iter().filter(|(_, text)| text.is_none()) {
                recipient.errors.push(hour.path(), REQUIRED);
            }
        }
        recipient.row.given |= given::PREFERENCES;
    }
}
