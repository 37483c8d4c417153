//! The one loop that every draw goes through, compiled for wide registers too.
//!
//! The baseline x86-64 target has neither 64-bit multiplication nor variable
//! shifts on vectors; the mixing loop is two to five times faster with AVX2 or
//! AVX-512 (see the `tick` bench). All versions are the same Rust code and
//! give the same bits.

use crate::random::mix;

/// Replaces every value `v` by `mix(v ^ xor)`.
#[inline]
pub(crate) fn mix_each(values: &mut [u64], xor: u64) {
    if let [value] = values {
        // Runs of one series are common; asking for the registers would take longer.
        *value = mix(*value ^ xor);
        return;
    }
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            #[expect(unsafe_code, reason = "measured: the mixing loop is the tick's floor")]
            // SAFETY: the features that the function requires were detected.
            return unsafe { mix_each_avx512(values, xor) };
        }
        if is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "measured: the mixing loop is the tick's floor")]
            // SAFETY: the feature that the function requires was detected.
            return unsafe { mix_each_avx2(values, xor) };
        }
    }
    mix_each_portable(values, xor);
}

#[inline(always)]
fn mix_each_portable(values: &mut [u64], xor: u64) {
    for value in values {
        *value = mix(*value ^ xor);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn mix_each_avx512(values: &mut [u64], xor: u64) {
    mix_each_portable(values, xor);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn mix_each_avx2(values: &mut [u64], xor: u64) {
    mix_each_portable(values, xor);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_gives_the_same_bits() {
        for len in [0, 1, 7, 8, 9, 64, 1001] {
            let plain: Vec<u64> = (0..len).map(|i| i * 0x1234_5678_9abc).collect();
            let mut portable = plain.clone();
            mix_each_portable(&mut portable, 99);
            let mut wide = plain.clone();
            mix_each(&mut wide, 99);
            assert_eq!(portable, wide);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                let mut wide = plain;
                #[expect(unsafe_code, reason = "the twin of the safe loop")]
                // SAFETY: the feature that the function requires was detected.
                unsafe {
                    mix_each_avx2(&mut wide, 99);
                };
                assert_eq!(portable, wide);
            }
        }
    }
}
