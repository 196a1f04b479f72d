//! The hashes whose output is a contract: placement must agree between processes, builds and platforms.
//! Hash maps inside one process use `ahash` instead.
//!
//! Contract, version 1: keys and backend names are hashed by XXH3-64 with seed 0, combined by the splitmix64
//! finaliser, and compared by an integer logarithm. A change of any output is a new version of the contract,
//! since proxies of both versions would place keys differently. `f64::ln` is not used: libm implementations
//! differ in the last bit.

use xxhash_rust::xxh3::xxh3_64;

/// The placement hash of a session key, or the node hash of a backend's name.
pub fn hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Draws the number that ranks `node` for `key`: the splitmix64 finaliser of `key ^ node`.
///
/// A weaker combination would correlate the rankings of different keys.
pub const fn combine(key: u64, node: u64) -> u64 {
    mix(key ^ node)
}

/// The splitmix64 finaliser: a bijection in which every input bit reaches every output bit.
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Where `hash` stands in a whole, from 0 up to 1: spreads things over a window or a share, the same in every process.
pub fn share(hash: u64) -> f64 {
    (mix(hash) >> 40) as f64 / f64::from(1 << 24)
}

/// `-log2((draw + 1) / 2^64)` in units of 2^-32, from 0 to 64 × 2^32, never increasing in `draw`.
///
/// Table of 2,048 segments with linear interpolation; relative error below 1e-5 where the result exceeds 1e-3.
pub fn neg_log2(draw: u64) -> u64 {
    let exponent = u64::from((draw | 1).ilog2());
    let mantissa = (draw | 1) << (63 - exponent);
    let segment = (mantissa >> 52) as usize & (SEGMENTS - 1);
    let within = (mantissa >> 20) & 0xffff_ffff;
    let low = u64::from(LOG2[segment]);
    let high = LOG2.get(segment + 1).map_or(1 << 32, |&next| u64::from(next));
    let log2 = (exponent << 32) + low + (((high - low) * within) >> 32);
    (64 << 32) - log2
}

const SEGMENTS: usize = 2048;

/// `log2(1 + i / SEGMENTS)` in units of 2^-32.
static LOG2: [u32; SEGMENTS] = log2_table();

const fn log2_table() -> [u32; SEGMENTS] {
    let mut table = [0; SEGMENTS];
    let mut i = 0;
    while i < SEGMENTS {
        table[i] = log2_fraction(((SEGMENTS + i) as u64) << (63 - SEGMENTS.trailing_zeros()));
        i += 1;
    }
    table
}

/// The fraction of log2 of a number in [1, 2), given in units of 2^-63: one bit for each squaring.
const fn log2_fraction(mut x: u64) -> u32 {
    let mut bits = 0;
    let mut n = 0;
    while n < 32 {
        let square = (x as u128 * x as u128) >> 63;
        let carry = square >> 64 != 0;
        bits = bits << 1 | carry as u32;
        x = if carry { (square >> 1) as u64 } else { square as u64 };
        n += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xxh3_vectors_of_the_contract() {
        assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash(b"room-1"), 0xcc6a_a4e1_a236_8e07);
    }

    #[test]
    fn neg_log2_is_close_to_the_real_one_and_monotone() {
        let mut before = u64::MAX;
        for i in 0..=100_000_u64 {
            let draw = i * (u64::MAX / 100_000);
            let ours = neg_log2(draw) as f64 / f64::from(2_u32).powi(32);
            let real = 64.0 - (draw.max(1) as f64).log2();
            assert!((ours - real).abs() <= 1e-5 * real.max(1e-2), "{draw}: {ours} for {real}");
            assert!(neg_log2(draw) <= before);
            before = neg_log2(draw);
        }
    }

    #[test]
    fn neg_log2_keeps_its_bounds() {
        assert_eq!(neg_log2(0), 64 << 32);
        assert_eq!(neg_log2(1), 64 << 32);
        assert!(neg_log2(u64::MAX) <= 1);
    }
}
