//! Decisions as an Arrow IPC stream of one record batch, a row each in the order of the input. What holds for the whole
//! answer is in the metadata of the schema: `batch_id` (none of a dry run), `counts` and `reasons` as JSON.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, Decimal128Array, DictionaryArray, Float64Array, Int8Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampSecondArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_ipc::writer::StreamWriter;
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
const RECIPIENT_ID_BYTES: usize = 16;
const LOCAL_TIME_BYTES: usize = 25;

/// The answer to a batch. An error is a bug: the columns are made here.
pub fn batch(request: &Request, replies: &Replies, batch_id: Option<&str>) -> Result<Vec<u8>, ArrowError> {
    let mut rows = Rows::new(request.header.explain, request.size());
    replies.verdicts(request).for_each(|verdict| rows.push(&verdict));
    let counts = replies.counts();
    let told = [("counts", render::counts(counts)), ("reasons", render::reasons(counts))];
    let told = told.map(|(name, json)| (name, text_of(&json).to_owned()));
    let metadata: Metadata = told.into_iter().chain(batch_id.map(|id| ("batch_id", id.to_owned()))).collect();
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = rows
        .into_columns()?
        .into_iter()
        .map(|(name, nullable, column)| (Field::new(name, column.data_type().clone(), nullable), column))
        .unzip();
    let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?;
    writer.into_inner()
}

/// Lists that follow one another: how long each is, None where there is none.
#[derive(Default)]
struct Lists {
    lengths: Vec<usize>,
    given: Vec<bool>,
}

impl Lists {
    fn push(&mut self, length: Option<usize>) {
        self.lengths.push(length.unwrap_or(0));
        self.given.push(length.is_some());
    }

    fn of(self, items: ArrayRef) -> Result<ArrayRef, ArrowError> {
        let field = Arc::new(Field::new_list_field(items.data_type().clone(), false));
        let nulls = Some(NullBuffer::from(self.given)).filter(|nulls| nulls.null_count() > 0);
        Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(self.lengths), items, nulls)?))
    }
}

/// The columns while they grow. Words are kept as their places in a table.
struct Rows {
    message_id: StringBuilder,
    recipient_id: StringBuilder,
    status: Vec<Option<i8>>,
    reason: Vec<Option<i8>>,
    details: Vec<&'static str>,
    detail: Vec<Option<i8>>,
    channel: Vec<Option<i8>>,
    scheduled_at: Vec<Option<i64>>,
    scheduled_local: StringBuilder,
    chains: Lists,
    chain: Vec<&'static str>,
    cost: Vec<Option<i128>>,
    confidence: Vec<Option<f64>>,
    next_eligible_at: Vec<Option<i64>>,
    warnings: Lists,
    warning: Vec<&'static str>,
    errors: Lists,
    error_paths: StringBuilder,
    error_messages: StringBuilder,
    explanation: Option<StringBuilder>,
    scratch: Vec<u8>,
}

impl Rows {
    fn new(explain: bool, rows: usize) -> Self {
        let reasons = Reason::ALL.iter();
        let details = reasons.clone().map(|reason| reason.detail()).chain(reasons.filter_map(|one| one.deferral()));
        Rows {
            message_id: StringBuilder::with_capacity(rows, rows * MESSAGE_ID_BYTES),
            recipient_id: StringBuilder::with_capacity(rows, rows * RECIPIENT_ID_BYTES),
            status: Vec::with_capacity(rows),
            reason: Vec::with_capacity(rows),
            details: details.chain([UNAVAILABLE_DETAIL, INVALID_DETAIL]).collect(),
            detail: Vec::with_capacity(rows),
            channel: Vec::with_capacity(rows),
            scheduled_at: Vec::with_capacity(rows),
            scheduled_local: StringBuilder::with_capacity(rows, rows * LOCAL_TIME_BYTES),
            chains: Lists::default(),
            chain: Vec::new(),
            cost: Vec::with_capacity(rows),
            confidence: Vec::with_capacity(rows),
            next_eligible_at: Vec::with_capacity(rows),
            warnings: Lists::default(),
            warning: Vec::new(),
            errors: Lists::default(),
            error_paths: StringBuilder::new(),
            error_messages: StringBuilder::new(),
            explanation: explain.then(StringBuilder::new),
            scratch: Vec::new(),
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
                self.errors.push(None);
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
        let before = self.warning.len();
        self.warning.extend(channels_of(left_out).map(warning));
        self.warnings.push(Some(self.warning.len() - before));
        if let Some(column) = &mut self.explanation {
            column.append_option(explanation);
        }
    }

    fn push_scheduled(&mut self, channel: Channel, decision: &Decision) {
        match decision.message_id {
            0 => self.message_id.append_null(),
            number => {
                self.scratch.clear();
                render::write_message_id(number, &mut self.scratch);
                self.message_id.append_value(text_of(&self.scratch));
            }
        }
        self.status.push(Some(Status::Scheduled as i8));
        self.reason.push(None);
        let deferral = Reason::from_code(decision.reason).and_then(Reason::deferral);
        self.push_detail(deferral);
        self.channel.push(Some(channel as i8));
        self.scheduled_at.push(Some(decision.scheduled_at));
        self.scratch.clear();
        write_local(decision.scheduled_at, decision.offset_minutes, &mut self.scratch);
        self.scheduled_local.append_value(text_of(&self.scratch));
        let before = self.chain.len();
        self.chain.extend(unpack_channels(decision.chain).map(Channel::text));
        self.chains.push(Some(self.chain.len() - before));
        self.cost.push(Some(i128::from(decision.cost)));
        self.confidence.push(Some(f64::from(decision.confidence) / CONFIDENCE_ONE));
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
        self.message_id.append_null();
        self.status.push(Some(status as i8));
        self.reason.push(reason.map(|reason| reason as i8));
        self.push_detail(Some(detail));
        self.channel.push(None);
        self.scheduled_at.push(None);
        self.scheduled_local.append_null();
        self.chains.push(None);
        self.cost.push(None);
        self.confidence.push(None);
        self.next_eligible_at.push(next_eligible_at);
    }

    fn push_invalid(&mut self, index: usize, invalid: &Invalid) {
        self.recipient_id.append_option(invalid.id.as_deref());
        self.push_nothing_sent(Status::Invalid, None, INVALID_DETAIL, None);
        self.errors.push(Some(invalid.errors.len()));
        for error in &invalid.errors {
            self.error_paths.append_value(format!("/recipients/{index}{}", error.path));
            self.error_messages.append_value(&error.message);
        }
    }

    fn push_detail(&mut self, detail: Option<&'static str>) {
        let place = detail.and_then(|detail| self.details.iter().position(|one| *one == detail));
        self.detail.push(place.map(|place| place as i8));
    }

    /// Name, whether null may occur, and values of each column, in the order of the contract.
    fn into_columns(mut self) -> Result<Vec<(&'static str, bool, ArrayRef)>, ArrowError> {
        let instants = |column: Vec<Option<i64>>| Arc::new(TimestampSecondArray::from(column).with_timezone("UTC"));
        let (precision, scale) = AMOUNT_DIGITS;
        let error_fields: Fields =
            ["path", "message"].map(|name| Field::new(name, DataType::Utf8, false)).into_iter().collect();
        let errors: Vec<ArrayRef> = vec![Arc::new(self.error_paths.finish()), Arc::new(self.error_messages.finish())];
        let errors = StructArray::try_new(error_fields, errors, None)?;
        let mut columns: Vec<(&str, bool, ArrayRef)> = vec![
            ("message_id", true, Arc::new(self.message_id.finish())),
            ("recipient_id", true, Arc::new(self.recipient_id.finish())),
            ("status", false, words(self.status, STATUSES)?),
            ("reason", true, words(self.reason, REASONS)?),
            ("detail", true, words(self.detail, &self.details)?),
            ("channel", true, words(self.channel, CHANNELS)?),
            ("scheduled_at", true, instants(self.scheduled_at)),
            ("scheduled_local", true, Arc::new(self.scheduled_local.finish())),
            ("fallback_chain", true, self.chains.of(Arc::new(StringArray::from(self.chain)))?),
            ("cost", true, Arc::new(Decimal128Array::from(self.cost).with_precision_and_scale(precision, scale)?)),
            ("confidence", true, Arc::new(Float64Array::from(self.confidence))),
            ("next_eligible_at", true, instants(self.next_eligible_at)),
            ("warnings", false, self.warnings.of(Arc::new(StringArray::from(self.warning)))?),
            ("errors", true, self.errors.of(Arc::new(errors))?),
        ];
        if let Some(mut explanation) = self.explanation {
            columns.push(("explanation", true, Arc::new(explanation.finish())));
        }
        Ok(columns)
    }
}

/// What was written here; it is ASCII.
fn text_of(written: &[u8]) -> &str {
    std::str::from_utf8(written).unwrap_or_default()
}

fn words(places: Vec<Option<i8>>, table: &[&'static str]) -> Result<ArrayRef, ArrowError> {
    let words = Arc::new(StringArray::from(table.to_vec()));
    Ok(Arc::new(DictionaryArray::<Int8Type>::try_new(Int8Array::from(places), words)?))
}
