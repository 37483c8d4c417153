//! Stable 64-bit identities.
//!
//! A label set's key is the finalised sum of the hashes of its (name, value)
//! pairs, so it does not depend on the order of labels. A series' key mixes in
//! the metric's base name. Neither depends on seeds, on the machine or on
//! anything else that is configured.

use xxhash_rust::xxh3::xxh3_64;

use crate::random::mix;

/// Hash of one (label name, label value) pair.
pub fn pair_hash(name: &str, value: &[u8], scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    scratch.extend_from_slice(name.as_bytes());
    // 0xFF occurs in no UTF-8 text, so ("a", "bc") and ("ab", "c") differ.
    scratch.push(0xFF);
    scratch.extend_from_slice(value);
    xxh3_64(scratch)
}

/// Key of a label set from the wrapping sum of its pair hashes.
#[inline(always)]
pub fn label_set_key(pair_hash_sum: u64) -> u64 {
    mix(pair_hash_sum)
}

/// Hash of a metric's base name, to be combined by [`series_key`].
pub fn name_key(base_name: &str) -> u64 {
    xxh3_64(base_name.as_bytes())
}

/// Key of one series: its label set's key with its metric's name mixed in.
#[inline(always)]
pub fn series_key(label_set_key: u64, name_key: u64) -> u64 {
    label_set_key ^ name_key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_pinned() {
        // Changing these changes every value that every seed produces.
        let mut scratch = Vec::new();
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(42), 0xbdd7_3226_2feb_6e95);
        assert_eq!(pair_hash("a", b"bc", &mut scratch), 0x0490_d13e_969b_f637);
        assert_eq!(pair_hash("ab", b"c", &mut scratch), 0x048d_7bb9_45ca_b46d);
        assert_eq!(name_key("requests"), 0xacf3_9e68_edb7_c227);
        assert_eq!(label_set_key(5), mix(5));
        assert_eq!(series_key(5, 9), 5 ^ 9);
    }
}
