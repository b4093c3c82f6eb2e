//! The boundary to Python: module `engine._core`. `engine/_core.pyi` is its book.

use pyo3::prelude::*;

use crate::words;

mod request;

#[pymodule(gil_used = true)]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::request::{Request, RequestParser, check_json, message_shard, slot_of};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        module.add("BUILD_PROFILE", profile)?;
        for (name, texts) in [
            ("CHANNELS", words::CHANNELS),
            ("CUSTOMER_TYPES", words::CUSTOMER_TYPES),
            ("DEVICES", words::DEVICES),
            ("URGENCIES", words::URGENCIES),
            ("STATUSES", words::STATUSES),
            ("REASONS", words::REASONS),
            ("MESSAGE_STATES", words::MESSAGE_STATES),
            ("EVENT_TYPES", words::EVENT_TYPES),
        ] {
            module.add(name, pyo3::types::PyTuple::new(module.py(), texts)?)?;
        }
        Ok(())
    }
}
