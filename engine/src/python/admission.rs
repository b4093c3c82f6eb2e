//! Admission as Python sees it.

use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::trace::trace_dict;
use crate::admission::{self, Features};
use crate::answer::Decision;
use crate::words::CHANNEL_COUNT;

/// A part that is being decided: the columns that kernels read, and then the answer.
#[pyclass(module = "engine._core")]
pub struct Admission {
    pub(super) inner: admission::Admission,
    pub(super) campaign_id: String,
    pub(super) dedup_key: Option<String>,
}

#[pymethods]
impl Admission {
    fn __len__(&self) -> usize {
        self.inner.rows.len()
    }

    #[getter]
    fn now(&self) -> i64 {
        self.inner.now
    }

    #[getter]
    fn campaign_id(&self) -> &str {
        &self.campaign_id
    }

    #[getter]
    fn dedup_key(&self) -> Option<&str> {
        self.dedup_key.as_deref()
    }

    #[getter]
    fn urgency(&self) -> Option<u8> {
        self.inner.urgency.map(|urgency| urgency as u8)
    }

    #[getter]
    fn send_at(&self) -> Option<i64> {
        self.inner.send_at
    }

    /// The columns in the order of FEATURE_LAYOUT.
    fn features<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let features: &Features = &self.inner.features;
        let preference_rank: Bound<'py, PyArray2<u8>> =
            PyArray1::from_slice(py, &features.preference_rank).reshape([self.inner.rows.len(), CHANNEL_COUNT])?;
        let counts = |column: &[f64]| -> PyResult<Bound<'py, PyArray2<f64>>> {
            PyArray1::from_slice(py, column).reshape([column.len() / CHANNEL_COUNT, CHANNEL_COUNT])
        };
        PyTuple::new(
            py,
            [
                PyArray1::from_slice(py, &features.candidates).into_any(),
                PyArray1::from_slice(py, &features.customer_type).into_any(),
                PyArray1::from_slice(py, &features.device).into_any(),
                PyArray1::from_slice(py, &features.zone).into_any(),
                PyArray1::from_slice(py, &features.quiet_start).into_any(),
                PyArray1::from_slice(py, &features.quiet_end).into_any(),
                preference_rank.into_any(),
                PyArray1::from_slice(py, &features.preference_count).into_any(),
                PyArray1::from_slice(py, &features.spread).into_any(),
                PyArray1::from_slice(py, &features.counts_row).into_any(),
                counts(&features.delivered)?.into_any(),
                counts(&features.engaged)?.into_any(),
                PyArray1::from_slice(py, &features.costs).into_any(),
            ],
        )
    }

    /// What was read for each decided row, where the request asks for explanations.
    fn traces<'py>(&self, py: Python<'py>) -> PyResult<Option<Vec<Bound<'py, PyDict>>>> {
        let dict = |(row, trace)| trace_dict(py, trace, &self.inner.answer.row(row));
        self.inner.explain.then(|| self.inner.traces.iter().enumerate().map(dict).collect()).transpose()
    }

    fn detach(&mut self) {
        self.inner.detach();
    }

    #[pyo3(signature = (explanations))]
    fn answer<'py>(&self, py: Python<'py>, explanations: Vec<String>) -> PyResult<Bound<'py, PyBytes>> {
        if self.inner.answer.status.len() != self.inner.rows.len() {
            return Err(PyValueError::new_err("not every row is decided yet"));
        }
        let answer = py.detach(|| self.inner.answer.encode(&explanations));
        Ok(PyBytes::new(py, &answer))
    }

    fn answer_so_far<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let decided = self.inner.answer.status.len();
        let mut answer = self.inner.answer.clone();
        (decided..self.inner.rows.len()).for_each(|_| answer.push(Decision::unavailable()));
        (decided > 0).then(|| PyBytes::new(py, &answer.encode(&[])))
    }
}
