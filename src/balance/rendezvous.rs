//! Weighted rendezvous hashing (Thaler and Ravishankar 1998; logarithmic weights by Schindelhauer and Schomaker 2005).
//!
//! Each candidate draws a number from the key and its own name, and the smallest `-log2(draw) / weight` wins. So the
//! order of candidates never matters, a lost one moves only its own keys, a new one takes only its own share, and a
//! changed weight moves keys in one direction only.

use std::cmp::Ordering;

use super::Candidate;
use crate::stable_hash::{combine, neg_log2};

/// What a candidate bids for a key.
#[derive(Clone, Copy)]
struct Bid {
    draw: u64,
    node: u64,
    weight: u32,
}

impl Bid {
    fn of(candidate: &Candidate, key: u64) -> Self {
        Self { draw: combine(key, candidate.node), node: candidate.node, weight: candidate.weight }
    }

    /// `Less` wins. With equal weights the larger draw wins, which is the same order without the logarithm.
    fn order(&self, other: &Self) -> Ordering {
        let by_draw = other.draw.cmp(&self.draw).then(self.node.cmp(&other.node));
        if self.weight == other.weight {
            return by_draw;
        }
        let ours = neg_log2(self.draw) * u64::from(other.weight);
        let theirs = neg_log2(other.draw) * u64::from(self.weight);
        ours.cmp(&theirs).then(by_draw)
    }
}

/// The winner for `key` among those not tried, as its position. O(n).
pub(super) fn pick(candidates: &[Candidate], key: u64, tried: &[u32]) -> Option<usize> {
    let mut best: Option<(usize, Bid)> = None;
    for (i, candidate) in candidates.iter().enumerate() {
        if tried.contains(&candidate.backend) {
            continue;
        }
        let bid = Bid::of(candidate, key);
        if best.is_none_or(|(_, leader)| bid.order(&leader).is_lt()) {
            best = Some((i, bid));
        }
    }
    best.map(|(position, _)| position)
}

/// All candidates for `key`, best first.
pub(super) fn ranking(candidates: &[Candidate], key: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| Bid::of(&candidates[a], key).order(&Bid::of(&candidates[b], key)));
    order
}
