//! The parser: the body of a batch, a single send or a profile, in JSON or Arrow, becomes a request.

use bytes::Bytes;
use jiter::Peek;

use crate::arrow;
use crate::fault::{ERRORS_MAX, Errors, Fault, path_of};
use crate::json::{Broken, Cursor, utf8};
use crate::options::Setting;
use crate::part::{Header, RecipientRow};
use crate::recipient::{self, ID_TAKES, NO_FIELD, REQUIRED, Recipient, TWICE, Zones, is_id};
use crate::request::Request;
use crate::slot::{hash_of, shard_of, slot_of};

/// How many recipients one request may have.
pub const RECIPIENTS_MAX: usize = 100_000;

const EXPLAIN_TAKES: &str = "takes true for up to 1,000 recipients";

/// Turns bodies into requests.
pub struct Parser {
    zones: Zones,
    shards: u32,
}

/// Why reading stopped.
enum Stop {
    Broken(Broken),
    Fault(Fault),
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Stop::Broken(broken)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl Stop {
    fn into_fault(self, body: &[u8]) -> Fault {
        match self {
            Stop::Broken(broken) => broken.into_fault(body),
            Stop::Fault(fault) => fault,
        }
    }
}

/// How a body holds its recipients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Batch,
    Send,
    /// It does not: they come beside it.
    Options,
}

impl Form {
    fn path(self) -> &'static str {
        match self {
            Form::Batch | Form::Options => "/recipients",
            Form::Send => "/recipient",
        }
    }

    fn has_recipients_as(self, name: &str) -> bool {
        self != Form::Options && self.path().strip_prefix('/') == Some(name)
    }
}

/// A field of a request.
enum Key {
    Setting(Setting),
    Recipients,
    Other(String),
}

const RECIPIENTS_BIT: u16 = 1 << 15;

impl Key {
    fn of(form: Form, name: &str) -> Self {
        match Setting::from_name(name) {
            Some(setting) => Key::Setting(setting),
            None if form.has_recipients_as(name) => Key::Recipients,
            None => Key::Other(name.to_owned()),
        }
    }

    fn bit(&self) -> u16 {
        match self {
            Key::Setting(setting) => 1 << *setting as u16,
            Key::Recipients => RECIPIENTS_BIT,
            Key::Other(_) => 0,
        }
    }

    fn path(&self, form: Form) -> String {
        match self {
            Key::Setting(setting) => setting.path().to_owned(),
            Key::Recipients => form.path().to_owned(),
            Key::Other(name) => path_of("", name),
        }
    }
}

impl Parser {
    /// A parser for zones by code and a number of shards, at least one.
    pub fn new(zones: impl IntoIterator<Item = String>, shards: u32) -> Self {
        Parser { zones: zones.into_iter().zip(0..).collect(), shards: shards.max(1) }
    }

    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// Reads the body of a batch. A wrong recipient is marked; anything else wrong refuses the whole.
    pub fn batch(&self, body: &[u8]) -> Result<Request, Fault> {
        let mut cursor = Cursor::new(utf8(body)?);
        self.whole(&mut cursor, Form::Batch).map_err(|stop| stop.into_fault(body))
    }

    /// Reads a batch whose recipients are an Arrow stream; `options` is a JSON object of all else.
    pub fn arrow_batch(&self, options: &[u8], stream: Bytes) -> Result<Request, Fault> {
        let mut cursor = Cursor::new(utf8(options)?);
        let mut request = self.whole(&mut cursor, Form::Options).map_err(|stop| stop.into_fault(options))?;
        arrow::stream::read(stream, RECIPIENTS_MAX, |batch| {
            let recipients = arrow::recipients::Recipients::of(batch);
            if request.size() == 0 && batch.num_rows() > 0 {
                request.make_room(batch.num_rows());
            }
            let mut recipient = Recipient::default();
            for row in 0..batch.num_rows() {
                recipients.read(row, &self.zones, &mut recipient);
                self.place(&recipient, &mut request);
            }
        })?;
        if request.explains_too_many() {
            return Err(Fault::one(400, Setting::Explain.path(), EXPLAIN_TAKES));
        }
        Ok(request)
    }

    /// Reads the body of a single send; a wrong recipient refuses it with 422.
    pub fn send(&self, body: &[u8]) -> Result<Request, Fault> {
        let mut cursor = Cursor::new(utf8(body)?);
        let request = self.whole(&mut cursor, Form::Send).map_err(|stop| stop.into_fault(body))?;
        request.all_valid("/recipient")
    }

    /// Reads the body of a profile, whose recipient the path names; a wrong recipient refuses it with 422.
    pub fn profile(&self, id: &str, body: &[u8]) -> Result<Request, Fault> {
        let text = utf8(body)?;
        if !is_id(id) {
            return Err(Fault::one(422, "/id", ID_TAKES));
        }
        let mut cursor = Cursor::new(text);
        let mut read = || {
            let peek = cursor.peek()?;
            let mut recipient = recipient::json::read(&mut cursor, peek, &self.zones, false)?;
            cursor.finish()?;
            if recipient.id.as_ref().is_some_and(|given| given != id) {
                recipient.errors.push("/id", "takes the id of the path, or may be left out");
            }
            recipient.id = Some(id.into());
            Ok(recipient)
        };
        let recipient = read().map_err(|broken: Broken| broken.into_fault(body))?;
        let mut request = self.empty();
        self.place(&recipient, &mut request);
        request.all_valid("")
    }

    fn empty(&self) -> Request {
        Request::new(Header::new(""), self.shards as usize)
    }

    fn whole(&self, cursor: &mut Cursor<'_>, form: Form) -> Result<Request, Stop> {
        let peek = cursor.peek()?;
        if peek != Peek::Object {
            cursor.skip(peek)?;
            cursor.finish()?;
            return Err(Fault::one(400, "", "takes an object").into());
        }
        let mut request = self.empty();
        let mut errors = Errors::at_most(ERRORS_MAX);
        let mut seen = 0;
        let mut next = cursor.first_key(|name| Key::of(form, name))?;
        while let Some(key) = next {
            let peek = cursor.peek()?;
            let again = seen & key.bit() != 0;
            seen |= key.bit();
            match key {
                _ if again => refuse(cursor, peek, &mut errors, key.path(form), TWICE)?,
                Key::Setting(setting) => setting.read(cursor, peek, &mut request.header, &mut errors)?,
                Key::Recipients => self.recipients(cursor, peek, form, &mut request, &mut errors)?,
                Key::Other(_) => refuse(cursor, peek, &mut errors, key.path(form), NO_FIELD)?,
            }
            next = cursor.next_key(|name| Key::of(form, name))?;
        }
        cursor.finish()?;
        for key in [Key::Setting(Setting::CampaignId), Key::Recipients] {
            if seen & key.bit() == 0 && (form, key.bit()) != (Form::Options, RECIPIENTS_BIT) {
                errors.push(key.path(form), REQUIRED);
            }
        }
        if request.explains_too_many() {
            errors.push(Setting::Explain.path(), EXPLAIN_TAKES);
        }
        if errors.is_empty() { Ok(request) } else { Err(Fault::many(400, errors.into_list()).into()) }
    }

    fn recipients(
        &self,
        cursor: &mut Cursor<'_>,
        peek: Peek,
        form: Form,
        request: &mut Request,
        errors: &mut Errors,
    ) -> Result<(), Stop> {
        if form == Form::Send {
            self.recipient(cursor, peek, request)?;
            return Ok(());
        }
        if peek != Peek::Array {
            return Ok(refuse(cursor, peek, errors, form.path().to_owned(), "takes a list of recipients")?);
        }
        let mut item = cursor.first_item()?;
        while let Some(peek) = item {
            if request.size() == RECIPIENTS_MAX {
                return Err(Fault::one(413, form.path(), "takes up to 100,000 recipients").into());
            }
            self.recipient(cursor, peek, request)?;
            item = cursor.next_item()?;
        }
        Ok(())
    }

    fn recipient(&self, cursor: &mut Cursor<'_>, peek: Peek, request: &mut Request) -> Result<(), Broken> {
        let recipient = recipient::json::read(cursor, peek, &self.zones, true)?;
        self.place(&recipient, request);
        Ok(())
    }

    fn place(&self, recipient: &Recipient<'_>, request: &mut Request) {
        let Recipient { id, row, contacts, errors } = recipient;
        match id.as_deref() {
            Some(id) if errors.is_empty() => {
                let row = RecipientRow { hash: hash_of(id), ..*row };
                let addresses = std::array::from_fn(|channel| contacts[channel].as_deref());
                request.push(shard_of(slot_of(row.hash), self.shards), row, id, &addresses);
            }
            id => request.push_invalid(id, errors.list()),
        }
    }
}

fn refuse(
    cursor: &mut Cursor<'_>,
    peek: Peek,
    errors: &mut Errors,
    path: String,
    message: &'static str,
) -> Result<(), Broken> {
    errors.push(path, message);
    cursor.skip(peek)
}

#[cfg(test)]
mod tests;
