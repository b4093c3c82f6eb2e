use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use bytes::Bytes;

use crate::fault::Fault;
use crate::parser::Parser;
use crate::request::{Entry, Request};

const OPTIONS: &[u8] = br#"{"campaign_id":"spring"}"#;

fn stream(columns: &[(&str, &[Option<&str>])]) -> Result<Vec<u8>, ArrowError> {
    let columns = columns.iter().map(|(name, texts)| {
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        (*name, column, true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(&batch)?;
    writer.write(&batch)?;
    writer.into_inner()
}

fn read(stream: &[u8]) -> Result<Request, Fault> {
    read_at(stream, 0)
}

/// Where the stream begins so many bytes behind where memory is aligned.
fn read_at(stream: &[u8], offset: usize) -> Result<Request, Fault> {
    let moved = [&vec![0; offset], stream].concat();
    Parser::new(["UTC".to_owned()], 4).arrow_batch(OPTIONS, Bytes::from(moved).slice(offset..))
}

#[test]
fn rows_of_all_batches_are_read_in_order_wherever_they_lie() {
    let stream = stream(&[("id", &[Some("c-1"), None, Some("c-3")]), ("device", &[None, None, Some("toaster")])]);
    let stream = stream.expect("a stream");
    for offset in 0..8 {
        let request = read_at(&stream, offset).expect("the stream is right");
        let told = request.entries().map(|entry| match entry {
            Entry::Valid { id, .. } => id.to_owned(),
            Entry::Invalid(invalid) => invalid.errors[0].path.to_string(),
        });
        assert_eq!(told.collect::<Vec<_>>(), ["c-1", "/id", "/device", "c-1", "/id", "/device"]);
    }
}

#[test]
fn cut_and_damaged_streams_are_no_panic() {
    let stream = stream(&[("id", &[Some("c-1"), Some("c-2")]), ("timezone", &[Some("UTC"), None])]).expect("a stream");
    for length in 0..stream.len() {
        assert_eq!(read(&stream[..length]).map_err(|fault| fault.status).err(), Some(400));
        for flipped in [1, 0x80, 0xff] {
            let mut damaged = stream.clone();
            damaged[length] ^= flipped;
            let _ = read(&damaged);
        }
    }
}
