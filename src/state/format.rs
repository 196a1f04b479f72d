//! The form of the file, version 1: octets that both ways agree on. No I/O.
//!
//! `homing\0s`, the version as four octets, then blocks. A block is its kind (one octet), the length of its content (four
//! octets), the content, and a sum (eight octets): XXH3-64 of all that, seeded with the sum before, so that no block can
//! be changed, left out, moved or taken from another file. Numbers are little-endian.
//!
//! | kind | content | how often |
//! |---|---|---|
//! | 1 head | JSON: when it was written, which hashes place keys | first |
//! | 2 pool | JSON: [`super::PoolState`] and how many backends follow | for each pool |
//! | 3 backend | JSON: [`super::BackendState`] | after its pool |
//! | 4 sessions | records of [`RECORD`] octets | any number, after the backends |
//! | 5 end | JSON: how many pools and sessions there were | last; nothing follows |

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::PoolState;
use crate::affinity::table::Kept;

/// What every file begins with.
pub(super) const MAGIC: [u8; 8] = *b"homing\0s";
/// The version of this form.
pub(super) const VERSION: u32 = 1;
/// The version of the hashes by which keys are placed: see [`crate::stable_hash`].
pub(super) const HASHES: u32 = 1;
/// Octets of a session.
pub(super) const RECORD: usize = 31;
/// Sessions in a block.
pub(super) const RECORDS: usize = 2048;
/// Octets that the content of a block may have.
pub(super) const LONGEST_BLOCK: usize = 64 << 10;
/// Octets that a file may have: a hundred million sessions.
pub(super) const LONGEST_FILE: u64 = 4 << 30;
/// Kind and length.
pub(super) const BEGIN: usize = 5;
/// The sum behind a block.
pub(super) const SUM: usize = 8;

/// What a block has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Head,
    Pool,
    Backend,
    Sessions,
    End,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Head, Self::Pool, Self::Backend, Self::Sessions, Self::End];

    pub(super) const fn octet(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Pool => 2,
            Self::Backend => 3,
            Self::Sessions => 4,
            Self::End => 5,
        }
    }

    pub(super) fn of(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.octet() == octet)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) saved_at: u64,
    pub(super) hashes: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoolHead {
    pub(super) pool: PoolState,
    pub(super) backends: u32,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) pools: u64,
    pub(super) sessions: u64,
}

/// Kind and length of a block.
pub(super) fn begin(kind: Kind, length: u32) -> [u8; BEGIN] {
    let [a, b, c, d] = length.to_le_bytes();
    [kind.octet(), a, b, c, d]
}

/// The sum of a block, behind one whose sum was `before`.
pub(super) fn sum(before: u64, begin: [u8; BEGIN], content: &[u8]) -> u64 {
    let mut hasher = Xxh3::with_seed(before);
    hasher.update(&begin);
    hasher.update(content);
    hasher.digest()
}

/// The sum before the first block.
pub(super) fn first_sum() -> u64 {
    sum(u64::from(VERSION), [0; BEGIN], &MAGIC)
}

const SEEN_AGAIN: u8 = 1;

/// A session as it lies in the file; its owner is the place of its backend.
pub(super) fn record(kept: &Kept) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..8].copy_from_slice(&kept.fingerprint.to_le_bytes());
    record[8..16].copy_from_slice(&kept.placement.to_le_bytes());
    record[16..24].copy_from_slice(&kept.epoch.to_le_bytes());
    record[24..26].copy_from_slice(&kept.owner.to_le_bytes()[..2]);
    record[26..30].copy_from_slice(&kept.last_seen.to_le_bytes());
    record[30] = if kept.seen_again { SEEN_AGAIN } else { 0 };
    record
}

/// The session that a record is; none if it has a flag that nobody knows.
pub(super) fn session(record: &[u8; RECORD]) -> Option<Kept> {
    let [.., flags] = *record;
    (flags <= SEEN_AGAIN).then(|| Kept {
        fingerprint: number(&record[..8]),
        placement: number(&record[8..16]),
        epoch: number(&record[16..24]),
        owner: number(&record[24..26]) as u32,
        last_seen: number(&record[26..30]) as u32,
        seen_again: flags == SEEN_AGAIN,
    })
}

fn number(octets: &[u8]) -> u64 {
    octets.iter().rev().fold(0, |sum, octet| sum << 8 | u64::from(*octet))
}
