//! The core of Madan Sara: state and sequence. Pure Rust but for `python`, the only module that knows PyO3.

pub mod admission;
pub mod answer;
pub mod budget_manager;
pub mod campaign;
pub mod columns;
pub mod commitment;
pub mod deduplicator;
pub mod events;
pub mod frequency;
pub mod keys;
pub mod messages;
pub mod part;
#[cfg(feature = "python")]
pub mod python;
pub mod roster;
pub mod shard;
pub mod slot;
pub mod words;
