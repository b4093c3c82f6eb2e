//! The core of Madan Sara: state and sequence. Pure Rust but for `python`, the only module that knows PyO3.

pub mod admission;
pub mod answer;
pub mod balance;
pub mod campaign;
pub mod columns;
pub mod commitment;
pub mod events;
pub mod history;
pub mod keys;
pub mod messages;
pub mod part;
pub mod python;
pub mod roster;
pub mod shard;
pub mod slot;
pub mod words;
