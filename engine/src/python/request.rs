//! Bodies in and answers out, for the front end.

use std::io::Write;

use bytes::Bytes;
use hashbrown::HashMap;
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyMapping};

use crate::fault::Fault;
use crate::part::Part;
use crate::{arrow, json, parser, render, replies, request, slot};

/// `engine.errors.RequestError` of a fault.
fn raised(py: Python<'_>, fault: Fault) -> PyErr {
    let errors: Vec<(String, String)> =
        fault.errors.into_iter().map(|error| (error.path.into_owned(), error.message.into_owned())).collect();
    let error = py
        .import("engine.errors")
        .and_then(|module| module.getattr("RequestError"))
        .and_then(|class| class.call1((fault.status, fault.detail, errors)));
    match error {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

#[pyclass(frozen, module = "engine._core")]
pub struct RequestParser(parser::Parser);

#[pymethods]
impl RequestParser {
    #[new]
    fn new(zones: Vec<String>, shards: u32) -> PyResult<Self> {
        if zones.len() > usize::from(u16::MAX) || !(1..=slot::SLOT_COUNT).contains(&u64::from(shards)) {
            return Err(PyValueError::new_err("takes at most 65,535 zones, and 1 to 1,024 shards"));
        }
        Ok(RequestParser(parser::Parser::new(zones, shards)))
    }

    fn parse_batch(&self, py: Python<'_>, body: &[u8]) -> PyResult<Request> {
        let request = py.detach(|| self.0.batch(body)).map_err(|fault| raised(py, fault))?;
        Ok(Request(request))
    }

    fn parse_arrow_batch(&self, py: Python<'_>, options: &[u8], stream: PyBackedBytes) -> PyResult<Request> {
        let stream = Bytes::from_owner(stream);
        let request = py.detach(|| self.0.arrow_batch(options, stream)).map_err(|fault| raised(py, fault))?;
        Ok(Request(request))
    }

    // One recipient takes microseconds: less than it may take to get the interpreter's lock back.
    fn parse_send(&self, py: Python<'_>, body: &[u8]) -> PyResult<Request> {
        self.0.send(body).map(Request).map_err(|fault| raised(py, fault))
    }

    fn parse_profile(&self, py: Python<'_>, recipient_id: &str, body: &[u8]) -> PyResult<Request> {
        self.0.profile(recipient_id, body).map(Request).map_err(|fault| raised(py, fault))
    }
}

#[pyclass(frozen, module = "engine._core")]
pub struct Request(request::Request);

#[pymethods]
impl Request {
    #[getter]
    fn campaign_id(&self) -> &str {
        &self.0.header.campaign_id
    }

    #[getter]
    fn dry_run(&self) -> bool {
        self.0.header.dry_run
    }

    #[getter]
    fn size(&self) -> usize {
        self.0.size()
    }

    #[getter]
    fn shards(&self) -> Vec<u32> {
        self.0.shards().collect()
    }

    fn part<'py>(&self, py: Python<'py>, shard: usize, now: i64) -> PyResult<Bound<'py, PyBytes>> {
        let part = py.detach(|| self.0.part(shard, now));
        let part = part.ok_or_else(|| PyIndexError::new_err("there is no such shard"))?;
        Ok(PyBytes::new(py, &part))
    }

    #[staticmethod]
    fn together(sends: Vec<PyRef<'_, Self>>) -> Vec<(Self, Vec<usize>)> {
        let sends: Vec<&request::Request> = sends.iter().map(|send| &send.0).collect();
        request::Request::together(&sends).into_iter().map(|(request, places)| (Request(request), places)).collect()
    }

    fn replies(slf: Py<Self>, py: Python<'_>, answers: &Bound<'_, PyMapping>) -> PyResult<Replies> {
        let answers: HashMap<u32, Option<PyBackedBytes>> =
            answers.items()?.iter().map(|item| item.extract()).collect::<PyResult<_>>()?;
        let request = &slf.get().0;
        let replies = py.detach(|| {
            replies::Replies::read(request, |shard| {
                let answer = u32::try_from(shard).ok().and_then(|shard| answers.get(&shard));
                answer.and_then(Option::as_deref)
            })
        });
        Ok(Replies { request: slf, replies })
    }
}

#[pyclass(frozen, module = "engine._core")]
pub struct Replies {
    request: Py<Request>,
    replies: replies::Replies,
}

#[pymethods]
impl Replies {
    #[pyo3(signature = (batch_id))]
    fn render_batch<'py>(&self, py: Python<'py>, batch_id: Option<&str>) -> Bound<'py, PyBytes> {
        let request = &self.request.get().0;
        let rendered = py.detach(|| render::batch(request, &self.replies, batch_id));
        PyBytes::new(py, &rendered)
    }

    #[pyo3(signature = (batch_id))]
    fn render_arrow_batch<'py>(&self, py: Python<'py>, batch_id: Option<&str>) -> PyResult<Bound<'py, PyBytes>> {
        let request = &self.request.get().0;
        let rendered = py.detach(|| arrow::decisions::batch(request, &self.replies, batch_id));
        let rendered = rendered.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        PyBytes::new_with(py, rendered.iter().map(|piece| piece.len()).sum(), |mut bytes| {
            Ok(rendered.iter().try_for_each(|piece| bytes.write_all(piece))?)
        })
    }

    fn render_sends<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, render::Tally)> {
        let rendered = render::sends(&self.request.get().0, &self.replies);
        rendered.into_iter().map(|(decision, tally)| (PyBytes::new(py, &decision), tally)).collect()
    }

    fn tally(&self) -> render::Tally {
        render::tally(self.replies.counts())
    }
}

#[pyfunction]
pub fn check_json(py: Python<'_>, body: &[u8]) -> PyResult<()> {
    py.detach(|| json::check(body)).map_err(|fault| raised(py, fault))
}

#[pyfunction]
pub fn part_content<'py>(py: Python<'py>, part: &[u8]) -> PyResult<(String, Option<Bound<'py, PyBytes>>)> {
    let header = Part::header(part)?;
    let content = (!header.content.is_empty()).then(|| PyBytes::new(py, &header.content));
    Ok((header.campaign_id, content))
}

#[pyfunction]
pub fn slot_of(id: &str) -> u64 {
    slot::slot_of(slot::hash_of(id))
}

#[pyfunction]
pub fn message_shard(message_id: &str, shards: u32) -> Option<u32> {
    slot::message_from_text(message_id).map(|number| slot::shard_of(slot::slot_of_message(number), shards))
}
