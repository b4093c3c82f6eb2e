//! Where a recipient lives: XXH3-64 of the id gives one of 1,024 slots, a slot gives a shard.

use xxhash_rust::xxh3::xxh3_64;

/// Slots are the unit of everything that moves; their number never changes.
pub const SLOT_COUNT: u64 = 1024;

const MESSAGE_SEQUENCE_BITS: u32 = 54;

/// The hash that places an id and spreads it over minutes.
pub fn hash_of(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

/// The slot of an id's hash, [0, 1024).
pub fn slot_of(hash: u64) -> u64 {
    hash >> MESSAGE_SEQUENCE_BITS
}

/// The shard that holds a slot.
pub fn shard_of(slot: u64, shards: u32) -> u32 {
    (slot % u64::from(shards.max(1))) as u32
}

/// A message's number: its recipient's slot, then the number the shard counts.
pub fn message_number(slot: u64, sequence: u64) -> u64 {
    slot << MESSAGE_SEQUENCE_BITS | sequence & ((1 << MESSAGE_SEQUENCE_BITS) - 1)
}

/// The slot in a message's number.
pub fn slot_of_message(number: u64) -> u64 {
    number >> MESSAGE_SEQUENCE_BITS
}

/// Writes the text users see: `m-` and 16 hexadecimal digits.
pub fn message_text(number: u64) -> String {
    format!("m-{number:016x}")
}

/// Reads it back; None unless it is exactly what `message_text` writes.
pub fn message_from_text(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("m-").filter(|digits| digits.len() == 16)?;
    let lower = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if lower { u64::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_its_slot() {
        let slot = slot_of(hash_of("c-1"));
        let number = message_number(slot, 12);
        assert_eq!(slot_of_message(number), slot);
        assert_eq!(message_from_text(&message_text(number)), Some(number));
        for wrong in ["", "m-", "m-00000000000000g0", "x-0000000000000000", "m-0000000000000ABC"] {
            assert_eq!(message_from_text(wrong), None);
        }
    }
}
