//! Two random choices (Mitzenmacher 2001): two candidates drawn by weight, the less busy one taken.
//!
//! Busy means requests in flight per weight, without the one to come: equally idle candidates then share by weight, as
//! they were drawn. Counting it would weigh twice, and an idle pool of weights 1, 2 and 4 send the first 2 % instead of
//! 14 %.

use super::least::per_weight;
use super::{Ask, Candidate, Draw};

/// Draws twice among those not to be skipped. O(n).
pub(super) fn pick(candidates: &[Candidate], ask: &Ask<'_>, draw: &Draw) -> Option<usize> {
    let total: u64 = candidates.iter().filter(|c| !ask.skips(c)).map(|c| u64::from(c.weight)).sum();
    if total == 0 {
        return None;
    }
    let one = by_weight(candidates, ask, draw.below(total))?;
    let other = by_weight(candidates, ask, draw.below(total))?;
    let busy = |i: usize| (&candidates[i], (ask.load)(candidates[i].backend));
    Some(if per_weight(busy(other), busy(one)).is_lt() { other } else { one })
}

/// The candidate that holds the `point`-th unit of weight.
fn by_weight(candidates: &[Candidate], ask: &Ask<'_>, point: u64) -> Option<usize> {
    let mut before = 0;
    candidates.iter().position(|candidate| {
        if ask.skips(candidate) {
            return false;
        }
        before += u64::from(candidate.weight);
        point < before
    })
}
