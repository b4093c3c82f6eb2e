//! The boundary to Python: module `engine._core`. `engine/_core.pyi` is its book.

mod admission;
mod amounts;
mod dispatch;
mod kept_answers;
mod request;
mod rules;
mod shard;
mod trace;
mod views;
mod zones;

use pyo3::prelude::*;

use crate::words;

#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use super::admission::Admission;
    #[pymodule_export]
    use super::request::{Replies, Request, RequestParser, check_json, message_shard, part_content, slot_of};
    #[pymodule_export]
    use super::shard::Shard;
    #[pymodule_export]
    use super::zones::Zones;
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        module.add("BUILD_PROFILE", profile)?;
        module.add("PROFILE_GUIDED", cfg!(profile_guided))?;
        for (name, texts) in [
            ("CHANNELS", words::CHANNELS),
            ("CUSTOMER_TYPES", words::CUSTOMER_TYPES),
            ("DEVICES", words::DEVICES),
            ("URGENCIES", words::URGENCIES),
            ("STATUSES", words::STATUSES),
            ("REASONS", words::REASONS),
            ("MESSAGE_STATES", words::MESSAGE_STATES),
            ("EVENT_TYPES", words::EVENT_TYPES),
            ("EVENT_STATUSES", words::EVENT_STATUSES),
            ("DELIVERY_OUTCOMES", words::DELIVERY_OUTCOMES),
        ] {
            module.add(name, pyo3::types::PyTuple::new(module.py(), texts)?)?;
        }
        module.add("FEATURE_LAYOUT", crate::admission::FEATURE_LAYOUT.to_vec())?;
        module.add("ANSWER_LAYOUT", crate::answer::Answer::LAYOUT.to_vec())?;
        Ok(())
    }
}
