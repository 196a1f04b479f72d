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

    /// `Less` wins.
    fn order(&self, other: &Self) -> Ordering {
        let ours = neg_log2(self.draw) * u64::from(other.weight);
        let theirs = neg_log2(other.draw) * u64::from(self.weight);
        ours.cmp(&theirs).then(self.order_by_draw(other))
    }

    /// `Less` wins among equal weights: the larger draw, which is the same order without the logarithm.
    fn order_by_draw(&self, other: &Self) -> Ordering {
        other.draw.cmp(&self.draw).then(self.node.cmp(&other.node))
    }

    /// Not more than `neg_log2` of the draw, and close to it where it is small: `-ln(u) >= 1 - u`, and 1477 / 1024 is
    /// a little less than `1 / ln(2)`.
    fn least_cost(&self) -> u64 {
        (((!self.draw >> 32) * 1477) >> 10).saturating_sub(4)
    }
}

/// The best bid so far.
struct Leader {
    position: usize,
    bid: Bid,
    /// Its logarithm, once it was needed.
    cost: Option<u64>,
}

impl Leader {
    /// The same as [`Bid::order`], but most bids are too far off to need a logarithm.
    fn loses_to(&mut self, bid: &Bid) -> bool {
        if bid.weight == self.bid.weight {
            return bid.order_by_draw(&self.bid).is_lt();
        }
        let cost = *self.cost.get_or_insert_with(|| neg_log2(self.bid.draw));
        let to_beat = cost * u64::from(bid.weight);
        bid.least_cost() * u64::from(self.bid.weight) <= to_beat && bid.order(&self.bid).is_lt()
    }
}

/// The winner for `key` among those that are usable, as its position. O(n).
pub(super) fn pick(candidates: &[Candidate], key: u64, usable: impl Fn(&Candidate) -> bool) -> Option<usize> {
    let mut leader: Option<Leader> = None;
    for (position, candidate) in candidates.iter().enumerate() {
        if !usable(candidate) {
            continue;
        }
        let bid = Bid::of(candidate, key);
        if leader.as_mut().is_none_or(|leader| leader.loses_to(&bid)) {
            leader = Some(Leader { position, bid, cost: None });
        }
    }
    leader.map(|leader| leader.position)
}

/// All candidates for `key`, best first.
pub(super) fn ranking(candidates: &[Candidate], key: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| Bid::of(&candidates[a], key).order(&Bid::of(&candidates[b], key)));
    order
}

/// `-log2(draw) / weight`: what is compared, as a number to show.
pub(super) fn cost(candidate: &Candidate, key: u64) -> f64 {
    const ONE: f64 = (1_u64 << 32) as f64;
    neg_log2(combine(key, candidate.node)) as f64 / ONE / f64::from(candidate.weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stable_hash::mix;

    #[test]
    fn the_least_cost_is_never_more_than_the_cost() {
        let near = |draw: u64| [draw.wrapping_sub(1), draw, draw.wrapping_add(1)];
        let powers = (0..64).flat_map(|bit| near(1 << bit));
        let high = (0..100_000).map(|i| u64::MAX - i);
        for draw in powers.chain(high).chain((0..1_000_000).map(mix)) {
            let bid = Bid { draw, node: 0, weight: 1 };
            assert!(bid.least_cost() <= neg_log2(draw), "{draw}");
        }
    }
}
