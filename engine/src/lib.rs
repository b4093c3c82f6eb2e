//! The core of Madan Sara: state and sequence. Pure Rust but for `python`, the only module that knows PyO3.

pub mod address;
pub mod answer;
pub mod columns;
pub mod fault;
pub mod instant;
pub mod json;
pub mod options;
pub mod part;
pub mod python;
pub mod recipient;
pub mod render;
pub mod replies;
pub mod request;
pub mod slot;
pub mod words;
