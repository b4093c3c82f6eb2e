//! The cluster's secret: with it a text is known again that cannot be read, or guessed, from what is kept of it.

use std::fmt;

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// Drawn at random when the state directory is made, the same for all its shards. The ledger keeps it in its file; no
/// shard writes it down.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl Secret {
    pub fn new(bytes: [u8; 16]) -> Self {
        Secret(bytes)
    }

    /// SipHash-2-4-128: who has not the secret cannot try texts out.
    pub fn digest(&self, bytes: &[u8]) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(bytes);
        hasher.finish128().as_u128()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_secrets() {
        let (one, other) = (Secret::new([1; 16]), Secret::new([2; 16]));
        assert_eq!(one.digest(b"ana"), one.digest(b"ana"));
        assert_ne!(one.digest(b"ana"), other.digest(b"ana"));
        assert_ne!(one.digest(b"ana"), one.digest(b"bo"));
        assert_eq!(format!("{one:?}"), "Secret");
    }

    #[test]
    fn it_is_siphash_2_4_128() {
        // The first test vector that the authors of SipHash publish with it: no bytes, under the key 0, 1, .. 15.
        let key = std::array::from_fn(|index| index as u8);
        let published: [u8; 16] =
            [0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93];
        assert_eq!(Secret::new(key).digest(b"").to_le_bytes(), published);
    }
}
