//! How a pool uses its backends: the policies of `pool.balance`, what an operator wants of a backend, how one is
//! emptied. Plain values.

use std::fmt;
use std::time::Duration;

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

/// `backend.state`: what an operator wants of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// To serve (the default).
    #[default]
    Ready,
    /// To keep its sessions up to a deadline, and take no new ones.
    Drain,
    /// To serve nothing from now on.
    Maint,
}

impl Wanted {
    /// All of them, by the words of the file and the API.
    pub const WORDS: &'static [(&'static str, Self)] =
        &[("ready", Self::Ready), ("drain", Self::Drain), ("maint", Self::Maint)];

    /// The word used in the file, logs and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

/// `[pool.drain]`: from the order to drain to the end of the last session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// Until then sessions stay. Default 30 min.
    pub timeout: Duration,
    /// The part of the time before the end in which sessions are ended one after the other. Default 30 s.
    pub spread: Duration,
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(_, policy)| policy == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

/// `pool.protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 (the default).
    Http1,
    /// HTTP/2: with TLS agreed on by ALPN, without by prior knowledge.
    Http2,
}

/// `pool.proxy_protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// None (the default).
    None,
    /// A line of text.
    V1,
    /// The binary form.
    V2,
}

/// `[pool.retry]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all, 1 to 16. Default 2.
    pub attempts: u32,
    /// Second and further tries, in percent of the requests, 0 to 100. Default 20.
    pub budget_percent: u32,
}
