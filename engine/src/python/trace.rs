//! A trace as Python sees it: plain numbers in a dict.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::answer::Decision;
use crate::explanation::{ChannelTrace, Trace};
use crate::words::NO_CHANNEL;

pub(super) fn trace_dict<'py>(py: Python<'py>, trace: &Trace, decision: &Decision) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("status", decision.status)?;
    dict.set_item("reason", (decision.reason != u8::MAX).then_some(decision.reason))?;
    dict.set_item("chosen", (decision.channel != NO_CHANNEL).then_some(decision.channel))?;
    dict.set_item("stopped", trace.stopped)?;
    dict.set_item("same_key_at", trace.same_key_at)?;
    dict.set_item("obstacles", trace.obstacles.map(|obstacle| obstacle.map(|obstacle| obstacle.text())))?;
    let channels: Vec<_> = trace.channels.iter().map(|channel| channel_dict(py, channel)).collect::<PyResult<_>>()?;
    dict.set_item("channels", channels)?;
    Ok(dict)
}

fn channel_dict<'py>(py: Python<'py>, trace: &ChannelTrace) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("channel", trace.channel as u8)?;
    dict.set_item("planned_at", trace.planned_at)?;
    dict.set_item("at", trace.at)?;
    dict.set_item("day", trace.day)?;
    dict.set_item("daily_used", trace.daily_used)?;
    dict.set_item("weekly_used", trace.weekly_used)?;
    dict.set_item("nearest_s", trace.nearest_s)?;
    dict.set_item("viable", trace.viable)?;
    dict.set_item("balances", trace.balances.map(|balance| (balance.held.max(0), balance.last, balance.spent)))?;
    Ok(dict)
}
