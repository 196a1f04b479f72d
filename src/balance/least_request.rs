//! Least request: the candidate with the fewest requests in flight per weight, as this worker counts them.

use std::cmp::Ordering;

use super::{Ask, Candidate, Draw};

/// Among those that are equally busy one is drawn by weight, so that an idle pool shares the work as its weights say. O(n).
pub(super) fn pick(candidates: &[Candidate], ask: &Ask<'_>, draw: &Draw) -> Option<usize> {
    let mut best: Option<usize> = None;
    let mut tied = 0;
    for (i, candidate) in candidates.iter().enumerate() {
        if ask.tried(candidate) {
            continue;
        }
        let weight = u64::from(candidate.weight);
        match best.map(|best| ask.by_load(candidate, &candidates[best])) {
            None | Some(Ordering::Less) => (best, tied) = (Some(i), weight),
            Some(Ordering::Equal) => {
                tied += weight;
                if draw.below(tied) < weight {
                    best = Some(i);
                }
            }
            Some(Ordering::Greater) => {}
        }
    }
    best
}
