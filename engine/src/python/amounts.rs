//! Amounts of buckets on their way to Python and back.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::budget_manager::Bucket;
use crate::rehearsal::Amounts;

/// An amount of a bucket: (kind, key, amount).
pub(super) type Amount = (u8, i64, i64);

/// What to ask the ledger for, and of which campaign.
pub(super) type Question = (String, Vec<Amount>);

pub(super) fn bucket_of(kind: u8, key: i64) -> PyResult<Bucket> {
    Bucket::from_pair(kind, key).ok_or_else(|| PyValueError::new_err("no such bucket"))
}

/// Amounts by bucket as Python hands them over.
pub(super) fn by_bucket(rows: Vec<Amount>) -> PyResult<Amounts> {
    rows.into_iter().map(|(kind, key, amount)| Ok((bucket_of(kind, key)?, amount))).collect()
}

pub(super) fn amounts(amounts: impl IntoIterator<Item = (Bucket, i64)>) -> Vec<Amount> {
    amounts.into_iter().map(|(bucket, amount)| (bucket.pair().0, bucket.pair().1, amount)).collect()
}
