//! The file that keeps the state over a restart: nothing makes its reader panic, and what it takes for a file says the
//! same when it is written again. Sums are mended too, for who changes octets would never get past them.

use homing::state::{Saved, Writer, read};
use xxhash_rust::xxh3::Xxh3;

/// Magic and version.
const BEGIN: usize = 12;

pub fn run(input: &[u8]) {
    for octets in [input.to_vec(), mended(input)] {
        if let Ok(saved) = read(&octets[..]) {
            assert_eq!(read(&written(&saved)[..]).unwrap(), saved);
        }
    }
}

fn written(saved: &Saved) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), saved.saved_at).unwrap();
    for pool in &saved.pools {
        writer.pool(&pool.pool, &pool.backends).unwrap();
        writer.sessions(pool.sessions.iter().copied()).unwrap();
    }
    writer.end().unwrap().0
}

/// The same blocks with right sums; the last may be shorter than it says.
fn mended(input: &[u8]) -> Vec<u8> {
    let Some((begin, mut rest)) = input.split_at_checked(BEGIN) else { return Vec::new() };
    let mut octets = begin.to_vec();
    let mut sum = sum_of(1, &[&[0; 5], b"homing\0s"]);
    while let Some((&[kind, a, b, c, d], after)) = rest.split_first_chunk() {
        let length = (u32::from_le_bytes([a, b, c, d]) as usize).min(after.len());
        let (content, after) = after.split_at(length);
        let head = [&[kind][..], &u32::try_from(length).unwrap().to_le_bytes()].concat();
        sum = sum_of(sum, &[&head, content]);
        octets.extend([&head[..], content, &sum.to_le_bytes()].concat());
        rest = after.get(8..).unwrap_or_default();
    }
    octets
}

fn sum_of(seed: u64, parts: &[&[u8]]) -> u64 {
    let mut hasher = Xxh3::with_seed(seed);
    for part in parts {
        hasher.update(part);
    }
    hasher.digest()
}
