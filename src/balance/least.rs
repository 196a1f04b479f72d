//! Least request and least sessions: the candidate with the fewest per weight of what is counted.

use std::cmp::Ordering;

use super::{Ask, Candidate, Draw};

/// Among those that have equally little one is drawn by weight, so that an idle pool shares the work as its weights
/// say. `count` is of a backend, by its position in the pool. O(n).
pub(super) fn pick(
    candidates: &[Candidate],
    ask: &Ask<'_>,
    draw: &Draw,
    count: &dyn Fn(u32) -> u64,
) -> Option<usize> {
    let mut best: Option<(usize, u64)> = None;
    let mut tied = 0;
    for (i, candidate) in candidates.iter().enumerate() {
        if ask.skips(candidate) {
            continue;
        }
        let (own, weight) = (count(candidate.backend), u64::from(candidate.weight));
        let order = best.map(|(best, least)| per_weight((candidate, own), (&candidates[best], least)));
        match order {
            None | Some(Ordering::Less) => (best, tied) = (Some((i, own)), weight),
            Some(Ordering::Equal) => {
                tied += weight;
                if draw.below(tied) < weight {
                    best = Some((i, own));
                }
            }
            Some(Ordering::Greater) => {}
        }
    }
    best.map(|(best, _)| best)
}

/// Orders two candidates by how much they have of something for each unit of weight.
pub(super) fn per_weight((a, of_a): (&Candidate, u64), (b, of_b): (&Candidate, u64)) -> Ordering {
    (of_a * u64::from(b.weight)).cmp(&(of_b * u64::from(a.weight)))
}
