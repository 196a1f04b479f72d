//! Smooth weighted round robin: in each run of `sum of weights` picks every candidate comes `weight` times, evenly spaced.

use std::cell::Cell;
use std::cmp::Reverse;

use super::Candidate;

/// State of a smooth weighted round robin over a fixed list of candidates.
#[derive(Debug)]
pub struct RoundRobin {
    equal: bool,
    next: Cell<usize>,
    credit: Vec<Cell<i64>>,
}

impl RoundRobin {
    /// Starts at a place that depends on `seed`, so that workers do not all begin with the same candidate.
    pub fn new(candidates: &[Candidate], seed: u64) -> Self {
        let equal = candidates.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        let start = (seed % candidates.len().max(1) as u64) as usize;
        let this = Self {
            equal,
            next: Cell::new(if equal { start } else { 0 }),
            credit: if equal { Vec::new() } else { vec![Cell::new(0); candidates.len()] },
        };
        if !equal {
            for _ in 0..start {
                this.weighted(candidates, &[]);
            }
        }
        this
    }

    /// The next candidate that is not to be skipped, as its position. Constant time where all weights are equal, else O(n).
    pub fn pick(&self, candidates: &[Candidate], skip: &[u32]) -> Option<usize> {
        if self.equal { self.rotate(candidates, skip) } else { self.weighted(candidates, skip) }
    }

    /// The candidates in the order in which they would be picked next if each before were to be skipped; takes no turn.
    pub fn order(&self, candidates: &[Candidate], skip: &[u32]) -> Vec<usize> {
        let n = candidates.len();
        let mut order: Vec<usize> = (0..n).collect();
        if self.equal {
            order.rotate_left(self.next.get().min(n));
        } else {
            let wealth = |i: usize| self.credit[i].get() + i64::from(candidates[i].weight);
            order.sort_by_key(|&i| Reverse(wealth(i)));
        }
        order.retain(|&i| !skip.contains(&candidates[i].backend));
        order
    }

    fn rotate(&self, candidates: &[Candidate], skip: &[u32]) -> Option<usize> {
        let n = candidates.len();
        let first = self.next.get();
        let position = (first..first + n).map(|i| i % n).find(|&i| !skip.contains(&candidates[i].backend))?;
        self.next.set((position + 1) % n);
        Some(position)
    }

    /// Each candidate earns its weight; the richest is picked and pays what all earned together.
    fn weighted(&self, candidates: &[Candidate], skip: &[u32]) -> Option<usize> {
        let mut total = 0;
        let mut richest: Option<usize> = None;
        for (i, (candidate, credit)) in candidates.iter().zip(&self.credit).enumerate() {
            if skip.contains(&candidate.backend) {
                continue;
            }
            total += i64::from(candidate.weight);
            credit.set(credit.get() + i64::from(candidate.weight));
            if richest.is_none_or(|best| credit.get() > self.credit[best].get()) {
                richest = Some(i);
            }
        }
        let picked = richest?;
        self.credit[picked].set(self.credit[picked].get() - total);
        Some(picked)
    }
}
