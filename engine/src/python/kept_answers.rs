//! Kept answers as Python sees them.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::kept_answers::{Begun, Claim, Refused};

/// `engine.claim.Claim` is (key, request, began at); digests of 16 bytes each.
pub(super) type ClaimInput = ([u8; 16], [u8; 16], i64);

/// (first, running, name, began at, answer): `engine.claim.Begun`.
pub(super) type BegunOutput<'py> = (bool, bool, u128, i64, Option<Bound<'py, PyBytes>>);

pub(super) fn claim_of(claim: ClaimInput) -> (Claim, i64) {
    (Claim { key: claim.0, request: claim.1 }, claim.2)
}

pub(super) fn begun_tuple(py: Python<'_>, begun: Begun) -> BegunOutput<'_> {
    let answer = begun.answer.map(|answer| PyBytes::new(py, &answer));
    (begun.first, begun.running, begun.name, begun.began_at, answer)
}

/// The error of `engine.errors` that says why.
pub(super) fn raised(py: Python<'_>, refused: Refused) -> PyErr {
    let error = py.import("engine.errors").and_then(|errors| match refused {
        Refused::OtherRequest => errors
            .getattr("RequestError")?
            .call1((422, "The Idempotency-Key came with another path or body before: take a new one.")),
        Refused::Full => {
            errors.getattr("Overloaded")?.call1(("There is no room to keep the answer for its Idempotency-Key.", 60))
        }
        Refused::Forgotten => errors
            .getattr("Conflict")?
            .call1(("The answer under this Idempotency-Key held a person who was erased, and is forgotten.",)),
    });
    error.map_or_else(|error| error, PyErr::from_value)
}
