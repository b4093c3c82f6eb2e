//! Decisions as an Arrow IPC stream of one record batch, a row each in the order of the input. What holds for the whole
//! answer is in the metadata of the schema: `batch_id` (none of a dry run), `counts` and `reasons` as JSON.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, Decimal128Array, DictionaryArray, Float64Array, Int8Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampSecondArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, OffsetBufferBuilder};
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{ArrowError, DataType, Field, Fields, Metadata, Schema};

use crate::address::warning;
use crate::answer::{Decision, unpack_channels};
use crate::instant::write_local;
use crate::render::{self, INVALID_DETAIL, UNAVAILABLE_DETAIL};
use crate::replies::{Outcome, Replies, Verdict};
use crate::request::{Invalid, Request};
use crate::words::{CHANNELS, Channel, REASONS, Reason, STATUSES, Status, channels_of};

/// Digits of an amount in all, and behind the point.
const AMOUNT_DIGITS: (u8, i8) = (18, 6);

const CONFIDENCE_ONE: f64 = 10_000.0;

/// How long texts of a row are, or about that.
const MESSAGE_ID_BYTES: usize = 18;
const RECIPIENT_ID_BYTES: usize = 36;
const LOCAL_TIME_BYTES: usize = 25;
const CHAIN_BYTES: usize = 24;

/// The answer to a batch, in pieces that follow one another: put together here, it would be copied once more. An error
/// is a bug: the columns are made here.
pub fn batch(request: &Request, replies: &Replies, batch_id: Option<&str>) -> Result<Vec<Buffer>, ArrowError> {
    let mut rows = Rows::new(request.header.explain, request.size());
    replies.verdicts(request).for_each(|verdict| rows.push(&verdict));
    let counts = replies.counts();
    let told = [("counts", render::counts(counts)), ("reasons", render::reasons(counts))];
    let told = told.map(|(name, json)| (name, String::from_utf8_lossy(&json).into_owned()));
    let metadata: Metadata = told.into_iter().chain(batch_id.map(|id| ("batch_id", id.to_owned()))).collect();
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = rows
        .into_columns()?
        .into_iter()
        .map(|(name, nullable, column)| (Field::new(name, column.data_type().clone(), nullable), column))
        .unzip();
    let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
    let mut encoder = StreamEncoder::try_new(&schema)?;
    let mut pieces = encoder.encode(&RecordBatch::try_new(schema, columns)?)?;
    pieces.extend(encoder.finish()?);
    Ok(pieces)
}

/// Texts written here, one behind the other; an empty one is none. That they are texts is checked of all at once.
struct Texts {
    bytes: Vec<u8>,
    offsets: OffsetBufferBuilder<i32>,
}

impl Texts {
    fn with_capacity(texts: usize, bytes: usize) -> Self {
        Texts { bytes: Vec::with_capacity(bytes), offsets: OffsetBufferBuilder::new(texts) }
    }

    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.offsets.push_length(self.bytes.len() - before);
    }

    fn push_none(&mut self) {
        self.offsets.push_length(0);
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        let offsets = self.offsets.finish();
        let given = BooleanBuffer::collect_bool(offsets.len() - 1, |row| offsets[row] < offsets[row + 1]);
        Ok(Arc::new(StringArray::try_new(offsets, self.bytes.into(), Some(given.into()))?))
    }
}

/// Lists of words, one behind the other.
struct WordLists {
    offsets: OffsetBufferBuilder<i32>,
    words: Texts,
}

impl WordLists {
    fn with_capacity(lists: usize, bytes: usize) -> Self {
        WordLists { offsets: OffsetBufferBuilder::new(lists), words: Texts::with_capacity(lists, bytes) }
    }

    fn push(&mut self, words: impl Iterator<Item = &'static str>) {
        let mut count = 0;
        for word in words {
            self.words.push(|out| out.extend_from_slice(word.as_bytes()));
            count += 1;
        }
        self.offsets.push_length(count);
    }

    fn push_none(&mut self) {
        self.offsets.push_length(0);
    }

    fn finish(self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        lists(self.offsets.finish(), self.words.finish()?, nulls)
    }
}

/// The columns while they grow; those that only some statuses have hold a zero elsewhere. Words are kept as their places
/// in a table.
struct Rows {
    message_id: Texts,
    recipient_id: StringBuilder,
    status: Vec<i8>,
    reason: Vec<i8>,
    details: Vec<&'static str>,
    detail: Vec<Option<i8>>,
    channel: Vec<i8>,
    scheduled_at: Vec<i64>,
    scheduled_local: Texts,
    chain: WordLists,
    cost: Vec<i128>,
    confidence: Vec<f64>,
    next_eligible_at: Vec<Option<i64>>,
    warnings: WordLists,
    errors: OffsetBufferBuilder<i32>,
    error_paths: StringBuilder,
    error_messages: StringBuilder,
    explanation: Option<StringBuilder>,
}

impl Rows {
    fn new(explain: bool, rows: usize) -> Self {
        let reasons = Reason::ALL.iter();
        let details = reasons.clone().map(|reason| reason.detail()).chain(reasons.filter_map(|one| one.deferral()));
        Rows {
            message_id: Texts::with_capacity(rows, rows * MESSAGE_ID_BYTES),
            recipient_id: StringBuilder::with_capacity(rows, rows * RECIPIENT_ID_BYTES),
            status: Vec::with_capacity(rows),
            reason: Vec::with_capacity(rows),
            details: details.chain([UNAVAILABLE_DETAIL, INVALID_DETAIL]).collect(),
            detail: Vec::with_capacity(rows),
            channel: Vec::with_capacity(rows),
            scheduled_at: Vec::with_capacity(rows),
            scheduled_local: Texts::with_capacity(rows, rows * LOCAL_TIME_BYTES),
            chain: WordLists::with_capacity(rows, rows * CHAIN_BYTES),
            cost: Vec::with_capacity(rows),
            confidence: Vec::with_capacity(rows),
            next_eligible_at: Vec::with_capacity(rows),
            warnings: WordLists::with_capacity(rows, 0),
            errors: OffsetBufferBuilder::new(rows),
            error_paths: StringBuilder::new(),
            error_messages: StringBuilder::new(),
            explanation: explain.then(StringBuilder::new),
        }
    }

    fn push(&mut self, verdict: &Verdict<'_>) {
        let (left_out, explanation) = match verdict {
            Verdict::Invalid { index, invalid } => {
                self.push_invalid(*index, invalid);
                (0, None)
            }
            Verdict::Valid { id, left_out, outcome, explanation } => {
                self.recipient_id.append_value(id);
                self.errors.push_length(0);
                match outcome {
                    Outcome::Scheduled { channel, decision } => self.push_scheduled(*channel, decision),
                    Outcome::Blocked { reason, next_eligible_at } => {
                        self.push_nothing_sent(Status::Blocked, Some(*reason), reason.detail(), *next_eligible_at);
                    }
                    Outcome::Unavailable => {
                        self.push_nothing_sent(Status::Unavailable, None, UNAVAILABLE_DETAIL, None);
                    }
                }
                (*left_out, *explanation)
            }
        };
        self.warnings.push(channels_of(left_out).map(warning));
        if let Some(column) = &mut self.explanation {
            column.append_option(explanation);
        }
    }

    fn push_scheduled(&mut self, channel: Channel, decision: &Decision) {
        match decision.message_id {
            0 => self.message_id.push_none(),
            number => self.message_id.push(|out| render::write_message_id(number, out)),
        }
        self.status.push(Status::Scheduled as i8);
        self.reason.push(0);
        self.push_detail(Reason::from_code(decision.reason).and_then(Reason::deferral));
        self.channel.push(channel as i8);
        self.scheduled_at.push(decision.scheduled_at);
        // The replies were checked to hold only instants that can be written.
        self.scheduled_local.push(|out| _ = write_local(decision.scheduled_at, decision.offset_minutes, out));
        self.chain.push(unpack_channels(decision.chain).map(Channel::text));
        self.cost.push(i128::from(decision.cost));
        self.confidence.push(f64::from(decision.confidence) / CONFIDENCE_ONE);
        self.next_eligible_at.push(None);
    }

    /// A decision that made no message.
    fn push_nothing_sent(
        &mut self,
        status: Status,
        reason: Option<Reason>,
        detail: &'static str,
        next_eligible_at: Option<i64>,
    ) {
        self.message_id.push_none();
        self.status.push(status as i8);
        self.reason.push(reason.map_or(0, |reason| reason as i8));
        self.push_detail(Some(detail));
        self.channel.push(0);
        self.scheduled_at.push(0);
        self.scheduled_local.push_none();
        self.chain.push_none();
        self.cost.push(0);
        self.confidence.push(0.0);
        self.next_eligible_at.push(next_eligible_at);
    }

    fn push_invalid(&mut self, index: usize, invalid: &Invalid) {
        self.recipient_id.append_option(invalid.id.as_deref());
        self.push_nothing_sent(Status::Invalid, None, INVALID_DETAIL, None);
        self.errors.push_length(invalid.errors.len());
        for error in &invalid.errors {
            self.error_paths.append_value(format!("/recipients/{index}{}", error.path));
            self.error_messages.append_value(&error.message);
        }
    }

    fn push_detail(&mut self, detail: Option<&'static str>) {
        let place = detail.and_then(|detail| self.details.iter().position(|one| *one == detail));
        self.detail.push(place.map(|place| place as i8));
    }

    /// Where the rows have another status.
    fn none_but(&self, status: Status) -> Option<NullBuffer> {
        Some(BooleanBuffer::collect_bool(self.status.len(), |row| self.status[row] == status as i8).into())
    }

    /// Name, whether null may occur, and values of each column, in the order of the contract.
    fn into_columns(mut self) -> Result<Vec<(&'static str, bool, ArrayRef)>, ArrowError> {
        let [scheduled, blocked, invalid] =
            [Status::Scheduled, Status::Blocked, Status::Invalid].map(|status| self.none_but(status));
        let scheduled_at = TimestampSecondArray::try_new(self.scheduled_at.into(), scheduled.clone())?;
        let next_eligible_at = TimestampSecondArray::from(self.next_eligible_at);
        let (precision, scale) = AMOUNT_DIGITS;
        let cost = Decimal128Array::try_new(self.cost.into(), scheduled.clone())?;
        let confidence = Float64Array::try_new(self.confidence.into(), scheduled.clone())?;
        let error_fields: Fields =
            ["path", "message"].map(|name| Field::new(name, DataType::Utf8, false)).into_iter().collect();
        let errors: Vec<ArrayRef> = vec![Arc::new(self.error_paths.finish()), Arc::new(self.error_messages.finish())];
        let errors = StructArray::try_new(error_fields, errors, None)?;
        let mut columns: Vec<(&str, bool, ArrayRef)> = vec![
            ("message_id", true, self.message_id.finish()?),
            ("recipient_id", true, Arc::new(self.recipient_id.finish())),
            ("status", false, words(Int8Array::from(self.status), STATUSES)?),
            ("reason", true, words(Int8Array::try_new(self.reason.into(), blocked)?, REASONS)?),
            ("detail", true, words(Int8Array::from(self.detail), &self.details)?),
            ("channel", true, words(Int8Array::try_new(self.channel.into(), scheduled.clone())?, CHANNELS)?),
            ("scheduled_at", true, Arc::new(scheduled_at.with_timezone("UTC"))),
            ("scheduled_local", true, self.scheduled_local.finish()?),
            ("fallback_chain", true, self.chain.finish(scheduled)?),
            ("cost", true, Arc::new(cost.with_precision_and_scale(precision, scale)?)),
            ("confidence", true, Arc::new(confidence)),
            ("next_eligible_at", true, Arc::new(next_eligible_at.with_timezone("UTC"))),
            ("warnings", false, self.warnings.finish(None)?),
            ("errors", true, lists(self.errors.finish(), Arc::new(errors), invalid)?),
        ];
        if let Some(mut explanation) = self.explanation {
            columns.push(("explanation", true, Arc::new(explanation.finish())));
        }
        Ok(columns)
    }
}

fn words(places: Int8Array, table: &[&'static str]) -> Result<ArrayRef, ArrowError> {
    let words = Arc::new(StringArray::from(table.to_vec()));
    Ok(Arc::new(DictionaryArray::<Int8Type>::try_new(places, words)?))
}

fn lists(offsets: OffsetBuffer<i32>, items: ArrayRef, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), false));
    Ok(Arc::new(ListArray::try_new(field, offsets, items, nulls)?))
}
