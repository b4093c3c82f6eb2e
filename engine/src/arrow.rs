//! Arrow, in and out: a stream of record batches read into recipients, and decisions written as one.

pub mod columns;
pub mod decisions;
pub mod layout;
pub mod recipients;
pub mod schema;
pub mod stream;

#[cfg(test)]
mod tests;
