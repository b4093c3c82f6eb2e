//! An answer: what a shard decided, on its way back to the front end, one row a recipient in the part's order.

use crate::columns;
use crate::columns::{Corrupt, Reader, write_blob, write_count};
use crate::words::{Channel, NO_CHANNEL, NONE, Reason, Status};

columns! {
    /// Decisions. NONE (i64::MIN) and NO_CHANNEL (255) mark what does not apply.
    Answer of Decision {
        /// Slot in the top 10 bits; 0 where no message was made.
        message_id: u64,
        /// Code of the status.
        status: u8,
        /// Code of the reason; in a scheduled decision, of what deferred it; 255 where none.
        reason: u8,
        /// The chosen channel, 255 where none.
        channel: u8,
        /// Channels to try after it: nibble i holds channel + 1, 0 ends the list.
        chain: u32,
        /// The message's instant, seconds since the epoch.
        scheduled_at: i64,
        /// The recipient's offset from UTC at that instant, in minutes.
        offset_minutes: i16,
        /// Micro-units.
        cost: i64,
        /// Ten-thousandths.
        confidence: u16,
        /// First instant that caps and gap admit, seconds since the epoch.
        next_eligible_at: i64,
        /// Channels that could not use the address given for them.
        left_out: u8,
    }
}

impl Decision {
    /// A decision that makes no message.
    pub fn blocked(reason: Reason, next_eligible_at: Option<i64>) -> Self {
        Decision {
            status: Status::Blocked as u8,
            reason: reason as u8,
            channel: NO_CHANNEL,
            scheduled_at: NONE,
            next_eligible_at: next_eligible_at.unwrap_or(NONE),
            ..Decision::default()
        }
    }

    /// A row that could not be decided.
    pub fn unavailable() -> Self {
        Decision {
            status: Status::Unavailable as u8,
            reason: u8::MAX,
            channel: NO_CHANNEL,
            scheduled_at: NONE,
            next_eligible_at: NONE,
            ..Decision::default()
        }
    }
}

/// Packs channels, in order, into nibbles of channel + 1.
pub fn pack_channels(channels: impl IntoIterator<Item = Channel>) -> u32 {
    channels.into_iter().enumerate().fold(0, |packed, (index, channel)| packed | (channel as u32 + 1) << (4 * index))
}

/// The channels of nibbles, in order.
pub fn unpack_channels(packed: u32) -> impl Iterator<Item = Channel> {
    (0..8)
        .map(move |index| (packed >> (4 * index)) as u8 & 0xf)
        .take_while(|nibble| *nibble != 0)
        .filter_map(|nibble| Channel::from_code(nibble - 1))
}

/// An answer on its way: the decisions and, where asked for, how each came about.
#[derive(Debug, PartialEq, Eq)]
pub struct Explained {
    pub answer: Answer,
    /// JSON, one a row; none where nobody asked.
    pub explanations: Vec<Box<str>>,
}

impl Explained {
    /// The explanation of a row.
    pub fn explanation(&self, row: usize) -> Option<&str> {
        self.explanations.get(row).map(AsRef::as_ref)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        let answer = Answer::read(&mut reader)?;
        let count = reader.count()?;
        if count != 0 && count != answer.status.len() {
            return Err(Corrupt("the explanations do not match the decisions"));
        }
        let explanations = (0..count).map(|_| reader.text().map(Into::into)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Explained { answer, explanations })
    }
}

impl Answer {
    /// The bytes of an [`Explained`]; `explanations` are JSON, one a row, or none at all.
    pub fn encode(&self, explanations: &[String]) -> Vec<u8> {
        let texts: usize = explanations.iter().map(|text| text.len() + 4).sum();
        let mut out = Vec::with_capacity(12 + self.status.len() * 50 + texts);
        self.write(&mut out);
        write_count(explanations.len(), &mut out);
        explanations.iter().for_each(|text| write_blob(text.as_bytes(), &mut out));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_pack_in_order() {
        let chain = [Channel::Twitter, Channel::Email, Channel::Sms];
        assert_eq!(unpack_channels(pack_channels(chain)).collect::<Vec<_>>(), chain);
        assert_eq!(unpack_channels(0).count(), 0);
        assert_eq!(unpack_channels(pack_channels(Channel::ALL.iter().copied())).count(), 7);
    }

    #[test]
    fn an_answer_survives_the_way() {
        let mut answer = Answer::default();
        answer.push(Decision::blocked(Reason::DailyCap, Some(5)));
        answer.push(Decision { message_id: 7, cost: 100, ..Decision::default() });
        let texts = ["{}".to_owned(), "null".to_owned()];
        let explained = Explained::decode(&answer.encode(&texts));
        assert_eq!(explained.as_ref().map(|explained| explained.explanation(1)), Ok(Some("null")));
        assert_eq!(explained.map(|explained| explained.answer), Ok(answer.clone()));
        assert_eq!(Explained::decode(&answer.encode(&[])).map(|plain| plain.explanations.len()), Ok(0));
        assert!(Explained::decode(&answer.encode(&texts[..1])).is_err());
    }
}
