//! First: fills the backends in the order of the file, so that the last ones stay empty while there is room before them.

use super::{Ask, Candidate};

/// The first candidate that is not to be skipped. O(1) while the first of all takes it.
pub(super) fn pick(candidates: &[Candidate], ask: &Ask<'_>) -> Option<usize> {
    candidates.iter().position(|candidate| !ask.skips(candidate))
}
