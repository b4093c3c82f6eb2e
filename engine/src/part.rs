//! A part: the recipients of one request that live on one shard, on their way from a front end to it.

use crate::address::usable;
use crate::columns;
use crate::columns::{Corrupt, Reader, write_blob, write_count};
use crate::words::{ALL_CHANNELS, CHANNEL_COUNT, ChannelMask, NONE, Urgency, channels_of};

/// Fields of a recipient that a request gave, as bits of `given`.
pub mod given {
    pub const CUSTOMER_TYPE: u8 = 1;
    pub const DEVICE: u8 = 2;
    pub const TIMEZONE: u8 = 4;
    pub const CONTACTS: u8 = 8;
    pub const PREFERENCES: u8 = 16;
}

/// How many texts a recipient has, and how many bytes they take together, or about that.
const TEXTS: usize = 4;
pub const TEXT_BYTES: usize = 80;

/// No quiet hours given.
pub const NO_QUIET_HOURS: u16 = u16::MAX;

columns! {
    /// What requests say of recipients, without their texts. A field means something where `given` has its bit.
    RecipientColumns of RecipientRow {
        /// XXH3-64 of the id.
        hash: u64,
        /// Which top-level fields the request gave (module `given`).
        given: u8,
        customer_type: u8,
        device: u8,
        /// Index into the zone names.
        zone: u16,
        /// Channels with an address, usable or not; their texts follow in channel order.
        contacts: u8,
        /// Channels opted out of; bit 7 means all.
        opt_out: u8,
        /// Preferred channels, most wanted first: nibble i holds channel + 1, 0 ends the list.
        preferred: u32,
        /// Minute of the day [0, 1440), or NO_QUIET_HOURS.
        quiet_start: u16,
        quiet_end: u16,
    }
}

/// What holds for every recipient of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    pub campaign_id: String,
    /// When the request was read: seconds since the epoch.
    pub now: i64,
    pub dedup_key: Option<String>,
    pub urgency: Option<Urgency>,
    /// Only these channels.
    pub channels: ChannelMask,
    pub send_at: Option<i64>,
    /// JSON object passed to delivery; empty if none.
    pub content: Vec<u8>,
    /// Each decision says how it came about.
    pub explain: bool,
    /// Everything is decided and nothing is changed.
    pub dry_run: bool,
}

impl Header {
    pub fn new(campaign_id: impl Into<String>) -> Self {
        Header {
            campaign_id: campaign_id.into(),
            now: 0,
            dedup_key: None,
            urgency: None,
            channels: ALL_CHANNELS,
            send_at: None,
            content: Vec::new(),
            explain: false,
            dry_run: false,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_blob(self.campaign_id.as_bytes(), out);
        out.extend_from_slice(&self.now.to_le_bytes());
        match &self.dedup_key {
            None => out.push(0),
            Some(key) => {
                out.push(1);
                write_blob(key.as_bytes(), out);
            }
        }
        out.push(self.urgency.map_or(u8::MAX, |urgency| urgency as u8));
        out.push(self.channels);
        out.extend_from_slice(&self.send_at.unwrap_or(NONE).to_le_bytes());
        write_blob(&self.content, out);
        out.push(u8::from(self.explain));
        out.push(u8::from(self.dry_run));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Header {
            campaign_id: reader.text()?.to_owned(),
            now: reader.column::<i64>(1)?[0],
            dedup_key: match reader.take(1)?[0] {
                0 => None,
                _ => Some(reader.text()?.to_owned()),
            },
            urgency: Urgency::from_code(reader.take(1)?[0]),
            channels: reader.take(1)?[0] & ALL_CHANNELS,
            send_at: Some(reader.column::<i64>(1)?[0]).filter(|at| *at != NONE),
            content: reader.blob()?.to_vec(),
            explain: reader.take(1)?[0] != 0,
            dry_run: reader.take(1)?[0] != 0,
        })
    }
}

/// The recipients of one request on one shard: columns, and an arena of their texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients {
    pub columns: RecipientColumns,
    /// Where each text ends in `texts`: for each recipient its id, then its contacts in channel order.
    ends: Vec<u32>,
    texts: String,
    /// Where each recipient's texts begin in `ends`.
    first_text: Vec<u32>,
}

impl Recipients {
    /// With room for so many, and for so many bytes of their texts.
    pub fn with_capacity(rows: usize, text_bytes: usize) -> Self {
        Recipients {
            columns: RecipientColumns::with_capacity(rows),
            ends: Vec::with_capacity(rows * TEXTS),
            texts: String::with_capacity(text_bytes),
            first_text: Vec::with_capacity(rows),
        }
    }

    pub fn len(&self) -> usize {
        self.first_text.len()
    }

    pub fn is_empty(&self) -> bool {
        self.first_text.is_empty()
    }

    /// Adds a recipient; `contacts[c]` must be given exactly where `row.contacts` has the bit of `c`.
    pub fn push(&mut self, row: RecipientRow, id: &str, contacts: &[Option<&str>; CHANNEL_COUNT]) {
        self.first_text.push(self.ends.len() as u32);
        self.push_text(id);
        for channel in channels_of(row.contacts) {
            self.push_text(contacts[channel as usize].unwrap_or_default());
        }
        self.columns.push(row);
    }

    fn push_text(&mut self, text: &str) {
        self.texts.push_str(text);
        self.ends.push(self.texts.len() as u32);
    }

    fn text(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        self.texts.get(start..self.ends[index] as usize).unwrap_or_default()
    }

    pub fn id(&self, row: usize) -> &str {
        self.text(self.first_text[row] as usize)
    }

    /// Some of the recipients, in the order of `rows`; one that is not there is left out.
    pub fn pick(&self, rows: &[u32]) -> Self {
        let mut picked = Recipients::with_capacity(rows.len(), rows.len() * TEXT_BYTES);
        rows.iter().map(|row| *row as usize).filter(|row| *row < self.len()).for_each(|row| picked.copy(self, row));
        picked
    }

    /// Adds all recipients of another request.
    pub fn append(&mut self, others: &Recipients) {
        (0..others.len()).for_each(|row| self.copy(others, row));
    }

    fn copy(&mut self, others: &Recipients, row: usize) {
        let columns = others.columns.row(row);
        let mut contacts = [None; CHANNEL_COUNT];
        for (channel, text) in channels_of(columns.contacts).zip(others.contacts(row)) {
            contacts[channel as usize] = Some(text);
        }
        self.push(columns, others.id(row), &contacts);
    }

    /// The channels that could not use the address given for them.
    pub fn left_out(&self, row: usize) -> ChannelMask {
        let given = self.columns.contacts[row] & ALL_CHANNELS;
        usable(given, self.contacts(row)).fold(given, |left, (channel, _)| left & !channel.bit())
    }

    /// The addresses given for a recipient, one a channel of its `contacts` mask, in channel order.
    pub fn contacts(&self, row: usize) -> impl Iterator<Item = &str> + Clone {
        let first = self.first_text[row] as usize + 1;
        let count = self.columns.contacts[row].count_ones() as usize;
        (first..first + count).map(|index| self.text(index))
    }
}

/// A request's recipients on one shard with what holds for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub header: Header,
    pub recipients: Recipients,
}

impl Part {
    pub fn encode(header: &Header, recipients: &Recipients) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + recipients.len() * 48 + recipients.texts.len());
        header.write(&mut out);
        recipients.columns.write(&mut out);
        write_count(recipients.ends.len(), &mut out);
        columns::Element::write_all(&recipients.ends, &mut out);
        write_blob(recipients.texts.as_bytes(), &mut out);
        out
    }

    /// What holds for all recipients, without reading them.
    pub fn header(bytes: &[u8]) -> Result<Header, Corrupt> {
        Header::read(&mut Reader::new(bytes))
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        let header = Header::read(&mut reader)?;
        let columns = RecipientColumns::read(&mut reader)?;
        let texts_count = reader.count()?;
        let ends: Vec<u32> = reader.column(texts_count)?;
        let texts = reader.text()?.to_owned();
        reader.end()?;
        let mut first_text = Vec::with_capacity(columns.contacts.len());
        let mut next = 0;
        for contacts in &columns.contacts {
            first_text.push(next);
            next += 1 + (contacts & ALL_CHANNELS).count_ones();
        }
        let in_order = ends.windows(2).all(|pair| pair[0] <= pair[1]);
        if next as usize != ends.len() || !in_order || ends.last().is_some_and(|end| *end as usize > texts.len()) {
            return Err(Corrupt("the texts of a part do not match its columns"));
        }
        Ok(Part { header, recipients: Recipients { columns, ends, texts, first_text } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> Part {
        let mut header = Header::new("spring");
        header.now = 1_700_000_000;
        header.dedup_key = Some("key".into());
        header.urgency = Some(Urgency::High);
        header.explain = true;
        header.dry_run = true;
        header.content = b"{\"a\":1}".to_vec();
        let mut recipients = Recipients::default();
        let row = RecipientRow { hash: 9, given: given::CONTACTS, contacts: 0b101, ..RecipientRow::default() };
        let addresses = [Some("ana@example.com"), None, Some("+50937001234"), None, None, None, None];
        recipients.push(row, "c-1", &addresses);
        recipients.push(RecipientRow::default(), "é", &[None; CHANNEL_COUNT]);
        Part { header, recipients }
    }

    #[test]
    fn a_part_survives_the_way() {
        let part = part();
        let read = Part::decode(&Part::encode(&part.header, &part.recipients));
        assert_eq!(read.as_ref(), Ok(&part));
        assert_eq!(Part::header(&Part::encode(&part.header, &part.recipients)).as_ref(), Ok(&part.header));
        assert_eq!(part.recipients.id(1), "é");
        assert_eq!(part.recipients.contacts(0).collect::<Vec<_>>(), ["ana@example.com", "+50937001234"]);
        assert_eq!(part.recipients.contacts(1).count(), 0);
    }

    #[test]
    fn picked_recipients_are_whole() {
        let Part { recipients, .. } = part();
        assert_eq!(recipients.pick(&[0, 1]), recipients);
        let picked = recipients.pick(&[1, 0, 2]);
        assert_eq!((picked.len(), picked.id(0), picked.id(1)), (2, "é", "c-1"));
        assert_eq!(picked.contacts(1).collect::<Vec<_>>(), ["ana@example.com", "+50937001234"]);
        let mut appended = recipients.pick(&[1]);
        appended.append(&recipients.pick(&[0]));
        assert_eq!(appended, picked);
    }

    #[test]
    fn cut_bytes_are_refused() {
        let part = part();
        let bytes = Part::encode(&part.header, &part.recipients);
        for length in 0..bytes.len() {
            assert!(Part::decode(&bytes[..length]).is_err(), "{length}");
        }
    }
}
