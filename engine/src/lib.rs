//! The core of Madan Sara: state and sequence. Pure Rust but for `python`, the only module that knows PyO3.

pub mod answer;
pub mod columns;
pub mod part;
pub mod python;
pub mod slot;
pub mod words;
