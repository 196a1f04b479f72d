//! Least request: the candidate with the fewest requests in flight per weight, as this worker counts them.

use super::{Ask, Candidate, Draw};

/// Scans from a random place, so that equally idle candidates share the work.
pub(super) fn pick(candidates: &[Candidate], ask: &Ask<'_>, draw: &Draw) -> Option<usize> {
    let n = candidates.len();
    let first = draw.below(n.max(1) as u64) as usize;
    let mut best: Option<usize> = None;
    for i in (first..first + n).map(|i| i % n) {
        if !ask.tried(&candidates[i]) && best.is_none_or(|b| ask.busier(&candidates[b], &candidates[i])) {
            best = Some(i);
        }
    }
    best
}
