//! An Arrow IPC stream as it comes from outside. arrow-rs checks what is in the buffers (offsets, UTF-8, counts of
//! nulls, keys of dictionaries) and answers with errors, but slices buffers and takes lengths as the message says, or
//! panics: so each message is checked to lie within the body, in whole elements, before it sees it. Nothing is
//! decompressed, and what is read costs in proportion to the bytes of the body, whatever these claim.

use std::collections::HashMap;
use std::fmt::Display;
use std::iter::repeat;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{RecordBatchDecoder, read_dictionary};
use arrow_ipc::{Endianness, Message, root_as_message};
use arrow_schema::{DataType, Schema, SchemaRef};
use bytes::Bytes;

use super::{layout, schema};
use crate::fault::Fault;
use crate::json::BODY_BYTES_MAX;

/// How much of arrow-rs's own words a fault repeats.
const REASON_CHARACTERS_MAX: usize = 120;

const CONTINUATION: [u8; 4] = [u8::MAX; 4];

/// Hands the record batches of a stream on, in order, no more than `rows_max` rows in all.
///
/// The columns lie in the body itself; arrow-rs copies those that are not aligned there, as of a body that begins at
/// an odd address.
pub fn read(body: Bytes, rows_max: usize, mut take: impl FnMut(&RecordBatch)) -> Result<(), Fault> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Fault::one(413, "", "takes up to 64 MiB"));
    }
    let mut messages = Messages { rest: Buffer::from(body) };
    let (metadata, _) = messages.next()?.ok_or_else(|| broken("it ends before its schema"))?;
    let schema = schema_of(&message_of(&metadata)?)?;
    schema::check(&schema)?;
    let mut dictionaries = HashMap::new();
    let mut rows = 0;
    while let Some((metadata, data)) = messages.next()? {
        let message = message_of(&metadata)?;
        let version = message.version();
        if let Some(batch) = message.header_as_record_batch() {
            rows += check(&batch, &data, schema.fields().iter().map(|field| field.data_type()))?;
            if rows > rows_max {
                return Err(Fault::one(413, "/recipients", "takes up to 100,000 recipients"));
            }
            let decoder = RecordBatchDecoder::try_new(&data, batch, schema.clone(), &dictionaries, &version);
            take(&decoder.and_then(RecordBatchDecoder::read_record_batch).map_err(broken)?);
        } else if let Some(dictionary) = message.header_as_dictionary_batch() {
            if dictionary.isDelta() {
                return Err(broken("deltas of dictionaries are not taken: write whole ones"));
            }
            let values = dictionary.data().ok_or_else(|| broken("a dictionary has no values"))?;
            check(&values, &data, type_of_dictionary(&schema, dictionary.id()).into_iter())?;
            read_dictionary(&data, dictionary, &schema, &mut dictionaries, &version).map_err(broken)?;
        } else {
            return Err(broken("a message is neither a record batch nor a dictionary"));
        }
    }
    Ok(())
}

/// The messages of a stream that were not read yet.
struct Messages {
    rest: Buffer,
}

impl Messages {
    /// The metadata and the data of the next message; None at the marker of the end, which must be there: without it
    /// nobody could tell a stream that was cut between two batches.
    fn next(&mut self) -> Result<Option<(Buffer, Buffer)>, Fault> {
        let marker = self.take(4)?;
        if marker.as_slice() != CONTINUATION {
            return Err(broken("a message does not begin with the marker of Arrow 0.15 and later"));
        }
        let length = self.take(4)?;
        let length = length.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
        if length == 0 {
            return if self.rest.is_empty() { Ok(None) } else { Err(broken("bytes follow its end")) };
        }
        let metadata = self.take(length)?;
        let data_length = message_of(&metadata)?.bodyLength();
        let data = self.take(usize::try_from(data_length).unwrap_or(usize::MAX))?;
        Ok(Some((metadata, data)))
    }

    fn take(&mut self, length: usize) -> Result<Buffer, Fault> {
        if length > self.rest.len() {
            return Err(broken("it ends early"));
        }
        let taken = self.rest.slice_with_length(0, length);
        self.rest.advance(length);
        Ok(taken)
    }
}

fn message_of(metadata: &Buffer) -> Result<Message<'_>, Fault> {
    root_as_message(metadata).map_err(|_| broken("the metadata of a message is damaged"))
}

fn schema_of(message: &Message<'_>) -> Result<SchemaRef, Fault> {
    let schema = message.header_as_schema().ok_or_else(|| broken("it does not begin with a schema"))?;
    if schema.endianness() != Endianness::Little {
        return Err(broken("its numbers are big-endian: write it little-endian"));
    }
    try_fb_to_schema(schema).map(Arc::new).map_err(broken)
}

/// The type of a dictionary's values. A dictionary that no column has arrow-rs refuses itself.
fn type_of_dictionary(schema: &Schema, id: i64) -> Option<&DataType> {
    #[expect(deprecated, reason = "messages name dictionaries by id, and arrow-rs finds their type so, too")]
    let fields = schema.fields_with_dict_id(id);
    match fields.first()?.data_type() {
        DataType::Dictionary(_, values) => Some(values),
        _ => None,
    }
}

/// Checks that all that a batch of columns of these types names is there; how many rows it has.
fn check<'t>(
    batch: &arrow_ipc::RecordBatch<'_>,
    data: &Buffer,
    types: impl Iterator<Item = &'t DataType>,
) -> Result<usize, Fault> {
    if batch.compression().is_some() {
        return Err(broken("its buffers are compressed: write it without compression"));
    }
    let rows = usize::try_from(batch.length()).map_err(|_| broken("a batch has a wrong number of rows"))?;
    let buffers = batch.buffers().map(|buffers| buffers.len()).unwrap_or(0);
    let views = batch.variadicBufferCounts().into_iter().flatten();
    let mut left = buffers;
    let mut views = views.map(|count| {
        let count = usize::try_from(count).unwrap_or(0).min(left);
        left -= count;
        count
    });
    let mut widths = Vec::new();
    types.for_each(|data_type| layout::widths(data_type, &mut views, &mut widths));
    let widths = widths.into_iter().chain(repeat(1));
    let mut viewed = 0;
    for (buffer, width) in batch.buffers().into_iter().flatten().zip(widths) {
        let span = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let end = span
            .filter(|(_, length)| length.is_multiple_of(width))
            .and_then(|(offset, length)| offset.checked_add(length));
        let Some(end) = end.filter(|end| *end <= data.len()) else {
            return Err(broken("a buffer lies outside of its message, or ends within an element"));
        };
        if width == layout::VIEW {
            viewed += bytes_viewed(&data[end - buffer.length() as usize..end]);
        }
    }
    // Views may lie over one another, and each is looked at whole.
    if viewed > BODY_BYTES_MAX {
        return Err(broken("its views show more than 64 MiB of text"));
    }
    // Nulls of no type take no bytes: without a bound a few bytes could claim billions.
    let length_max = rows.max(data.len());
    for node in batch.nodes().into_iter().flatten() {
        let is_length = usize::try_from(node.length()).is_ok_and(|length| length <= length_max);
        if !is_length || !(0..=node.length()).contains(&node.null_count()) {
            return Err(broken("a column has a wrong length"));
        }
    }
    Ok(rows)
}

/// How much text views show. A view begins with its length.
fn bytes_viewed(views: &[u8]) -> usize {
    let lengths = views.chunks_exact(layout::VIEW).filter_map(|view| view.first_chunk());
    lengths.map(|length| u32::from_le_bytes(*length) as usize).sum()
}

fn broken(reason: impl Display) -> Fault {
    let reason: String = reason.to_string().chars().take(REASON_CHARACTERS_MAX).collect();
    Fault::one(400, "", format!("is no Arrow stream that can be read: {reason}"))
}
