//! Which columns a stream of recipients may have, and of which types.

use arrow_schema::{DataType, Fields, Schema};
use hashbrown::HashSet;

use crate::fault::{ERRORS_MAX, Errors, Fault, path_of};
use crate::recipient::{NO_CHANNEL, NO_FIELD, REQUIRED, TWICE};
use crate::words::Channel;

/// What a column holds.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Texts,
    Contacts,
    Preferences,
    QuietHours,
}

/// The columns of a recipient by name.
fn column(name: &str) -> Option<Shape> {
    match name {
        "id" | "customer_type" | "timezone" | "device" => Some(Shape::Text),
        "contacts" => Some(Shape::Contacts),
        "preferences" => Some(Shape::Preferences),
        _ => None,
    }
}

impl Shape {
    /// A field of a struct by name.
    fn field(self, name: &str) -> Option<Shape> {
        match (self, name) {
            (Shape::Contacts, name) => Channel::from_text(name).map(|_| Shape::Text),
            (Shape::Preferences, "channels" | "opt_out") => Some(Shape::Texts),
            (Shape::Preferences, "quiet_hours") => Some(Shape::QuietHours),
            (Shape::QuietHours, "start" | "end") => Some(Shape::Text),
            _ => None,
        }
    }

    fn unknown(self) -> &'static str {
        if let Shape::Contacts = self { NO_CHANNEL } else { NO_FIELD }
    }

    fn takes(self) -> &'static str {
        match self {
            Shape::Text => "takes text: utf8, large_utf8, utf8_view, or a dictionary of the first two",
            Shape::Texts => {
                "takes lists of text: list or large_list of utf8, large_utf8, utf8_view, or a dictionary of the first two"
            }
            Shape::Contacts => "takes structs: addresses by channel",
            Shape::Preferences => "takes structs of channels, opt_out and quiet_hours",
            Shape::QuietHours => "takes structs of start and end",
        }
    }

    /// Checks a type, and of a struct its fields. A column of type null is one that nobody gives.
    fn check(self, data_type: &DataType, path: &str, errors: &mut Errors) {
        match (self, data_type) {
            (_, DataType::Null) => {}
            (Shape::Text, data_type) if is_text(data_type) => {}
            (Shape::Texts, DataType::List(item) | DataType::LargeList(item))
                if is_text(item.data_type()) || item.data_type().is_null() => {}
            (Shape::Contacts | Shape::Preferences | Shape::QuietHours, DataType::Struct(fields)) => {
                check_fields(fields, path, |name| self.field(name), self.unknown(), errors);
            }
            _ => errors.push(path.to_owned(), self.takes()),
        }
    }
}

/// Not views in dictionaries: these are set up again for each record batch, with all buffers that they name.
fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => {
            matches!(values.as_ref(), DataType::Utf8 | DataType::LargeUtf8)
        }
        _ => false,
    }
}

/// Refuses a schema that is not that of recipients; paths begin with `/schema`.
pub fn check(schema: &Schema) -> Result<(), Fault> {
    let mut errors = Errors::at_most(ERRORS_MAX);
    check_fields(schema.fields(), "/schema", column, "is not a column here", &mut errors);
    if schema.fields().find("id").is_none() {
        errors.push("/schema/id", REQUIRED);
    }
    if errors.is_empty() { Ok(()) } else { Err(Fault::many(400, errors.into_list())) }
}

fn check_fields(
    fields: &Fields,
    path: &str,
    shape_of: impl Fn(&str) -> Option<Shape>,
    unknown: &'static str,
    errors: &mut Errors,
) {
    let mut seen = HashSet::new();
    for field in fields {
        if errors.is_full() {
            return;
        }
        let below = path_of(path, field.name());
        match shape_of(field.name()) {
            None => errors.push(below, unknown),
            Some(_) if !seen.insert(field.name()) => errors.push(below, TWICE),
            Some(shape) => shape.check(field.data_type(), &below, errors),
        }
    }
}
