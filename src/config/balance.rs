//! The policies that `pool.balance` can name. What they do is elsewhere.

use std::fmt;

/// `pool.balance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round robin.
    RoundRobin,
    /// Fewest requests in flight per weight.
    LeastRequest,
    /// The less busy of two backends drawn by weight.
    Random,
    /// Weighted rendezvous hashing of the session key.
    Rendezvous,
    /// Fewest sessions per weight.
    LeastSessions,
    /// The first backend in the order of the file that may take more.
    First,
    /// A hash ring of the session key.
    RingHash,
    /// Maglev hashing of the session key.
    Maglev,
}

impl Balance {
    /// All of them, by the words of the file.
    pub const WORDS: &'static [(&'static str, Self)] = &[
        ("round_robin", Self::RoundRobin),
        ("least_request", Self::LeastRequest),
        ("random", Self::Random),
        ("least_sessions", Self::LeastSessions),
        ("first", Self::First),
        ("rendezvous", Self::Rendezvous),
        ("ring_hash", Self::RingHash),
        ("maglev", Self::Maglev),
    ];

    /// The largest sum of weights in a pool with `ring_hash`, whose ring has 160 points for each unit of weight.
    pub const MOST_RING_WEIGHT: u64 = 26_214;

    /// Whether the session key alone says where new work goes, among backends that are as healthy.
    pub const fn hashes(self) -> bool {
        matches!(self, Self::Rendezvous | Self::RingHash | Self::Maglev)
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(_, policy)| policy == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}
