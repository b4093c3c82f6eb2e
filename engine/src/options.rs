//! What a request says for all its recipients: the campaign and the options. Whatever is wrong here makes the
//! whole request wrong.

use jiter::Peek;

use crate::fault::Errors;
use crate::instant::from_rfc3339;
use crate::json::{Broken, Cursor};
use crate::part::Header;
use crate::recipient::{ID_TAKES, is_id};
use crate::words::{Channel, ChannelMask, Urgency};

/// How many bytes of JSON a request may hand to delivery.
pub const CONTENT_BYTES_MAX: usize = 64 * 1024;

/// A field of a request beside its recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Setting {
    CampaignId,
    DedupKey,
    Urgency,
    Channels,
    SendAt,
    Content,
    DryRun,
    Explain,
}

impl Setting {
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "campaign_id" => Setting::CampaignId,
            "dedup_key" => Setting::DedupKey,
            "urgency" => Setting::Urgency,
            "channels" => Setting::Channels,
            "send_at" => Setting::SendAt,
            "content" => Setting::Content,
            "dry_run" => Setting::DryRun,
            "explain" => Setting::Explain,
            _ => return None,
        })
    }

    /// Where it is in the body.
    pub fn path(self) -> &'static str {
        const PATHS: [&str; 8] =
            ["/campaign_id", "/dedup_key", "/urgency", "/channels", "/send_at", "/content", "/dry_run", "/explain"];
        PATHS[self as usize]
    }

    /// Reads the value that `peek` saw into the header.
    pub fn read(
        self,
        cursor: &mut Cursor<'_>,
        peek: Peek,
        header: &mut Header,
        errors: &mut Errors,
    ) -> Result<(), Broken> {
        let taken = match self {
            Setting::CampaignId => put(text(cursor, peek)?.filter(|id| is_id(id)), &mut header.campaign_id),
            Setting::DedupKey => put(text(cursor, peek)?.filter(|key| is_id(key)).map(Some), &mut header.dedup_key),
            Setting::Urgency => {
                let urgency = text(cursor, peek)?.and_then(|word| Urgency::from_text(&word));
                put(urgency.map(Some), &mut header.urgency)
            }
            Setting::Channels => put(channels(cursor, peek)?, &mut header.channels),
            Setting::SendAt => {
                put(text(cursor, peek)?.and_then(|time| from_rfc3339(&time)).map(Some), &mut header.send_at)
            }
            Setting::Content => put(content(cursor, peek)?, &mut header.content),
            Setting::Explain => put(boolean(cursor, peek)?, &mut header.explain),
            Setting::DryRun => put(boolean(cursor, peek)?, &mut header.dry_run),
        };
        if !taken {
            errors.push(self.path(), self.takes());
        }
        Ok(())
    }

    fn takes(self) -> &'static str {
        match self {
            Setting::CampaignId | Setting::DedupKey => ID_TAKES,
            Setting::Urgency => "takes one of low, normal, high",
            Setting::Channels => {
                "takes a list of at least one of email, sms, whatsapp, instagram, facebook, linkedin, twitter"
            }
            Setting::SendAt => "takes an RFC 3339 time with an offset, such as \"2026-03-01T05:00:00Z\"",
            Setting::Content => "takes an object of up to 65,536 bytes of JSON",
            Setting::DryRun | Setting::Explain => "takes true or false",
        }
    }
}

/// Puts what was read in its place; false if nothing that fits was read.
fn put<T>(read: Option<T>, place: &mut T) -> bool {
    match read {
        Some(value) => {
            *place = value;
            true
        }
        None => false,
    }
}

fn boolean(cursor: &mut Cursor<'_>, peek: Peek) -> Result<Option<bool>, Broken> {
    cursor.skip(peek)?;
    Ok(match peek {
        Peek::True => Some(true),
        Peek::False => Some(false),
        _ => None,
    })
}

/// A string, or None for anything else, which is passed over.
fn text(cursor: &mut Cursor<'_>, peek: Peek) -> Result<Option<String>, Broken> {
    match peek {
        Peek::String => Ok(Some(cursor.text()?.into_owned())),
        _ => cursor.skip(peek).map(|()| None),
    }
}

fn channels(cursor: &mut Cursor<'_>, peek: Peek) -> Result<Option<ChannelMask>, Broken> {
    if peek != Peek::Array {
        return cursor.skip(peek).map(|()| None);
    }
    let mut mask = Some(0);
    let mut item = cursor.first_item()?;
    while let Some(peek) = item {
        let channel = match peek {
            Peek::String => Channel::from_text(&cursor.text()?),
            _ => cursor.skip(peek).map(|()| None)?,
        };
        mask = mask.zip(channel).map(|(mask, channel)| mask | channel.bit());
        item = cursor.next_item()?;
    }
    Ok(mask.filter(|mask| *mask != 0))
}

/// An object as it is written, checked down to its leaves since delivery gets it unread.
fn content(cursor: &mut Cursor<'_>, peek: Peek) -> Result<Option<Vec<u8>>, Broken> {
    let start = cursor.index();
    cursor.check(peek, &mut Setting::Content.path().to_owned())?;
    let raw = cursor.since(start);
    Ok((peek == Peek::Object && raw.len() <= CONTENT_BYTES_MAX).then(|| raw.to_vec()))
}
