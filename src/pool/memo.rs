//! The backends of the keys that a view has placed lately, where placing a key looks at every backend. Knows nothing of
//! how they are placed, and never outlives the view: another state of the fleet begins with an empty one.

use std::cell::{Cell, OnceCell};

/// A bounded memo of placements. Where two keys meet in one place, the later one takes it.
#[derive(Debug)]
pub(super) struct Memo {
    /// A power of two.
    size: usize,
    /// Made when the first key is placed: most views of a pool in another mode, or of an idle one, never need it.
    places: OnceCell<Box<[Cell<Place>]>>,
}

/// 16 octets.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: u64,
    backend: Option<u32>,
}

/// Looking at fewer candidates costs about as much as a memo that the processor's cache has lost in the meantime.
const LEAST_CANDIDATES: usize = 16;
/// Direct-mapped: with as many keys as places, 63 of 100 requests find theirs; with a quarter, 88.
const PLACES_PER_CANDIDATE: usize = 16;
/// 1 MiB.
const MOST_PLACES: usize = 1 << 16;

impl Memo {
    /// A memo for placements among so many candidates, if it pays.
    pub(super) fn worthwhile(candidates: usize) -> Option<Self> {
        let size = (candidates * PLACES_PER_CANDIDATE).next_power_of_two().min(MOST_PLACES);
        (candidates >= LEAST_CANDIDATES).then(|| Self { size, places: OnceCell::new() })
    }

    /// The backend of a key: as it was placed last, or as `place` does it. What can go nowhere is not remembered.
    pub(super) fn recall(&self, key: u64, place: impl FnOnce() -> Option<u32>) -> Option<u32> {
        let places = self.places.get_or_init(|| vec![Cell::default(); self.size].into());
        // Keys are hashes, so any of their bits will do.
        let known = &places[key as usize & (self.size - 1)];
        let Place { key: whose, backend } = known.get();
        if whose == key && backend.is_some() {
            return backend;
        }
        let backend = place();
        known.set(Place { key, backend });
        backend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for each of `keys`, and says which were placed anew.
    fn placed_anew(memo: &Memo, keys: &[u64]) -> Vec<u64> {
        let placed = Cell::new(0);
        let asked = keys.iter().filter(|&&key| {
            let before = placed.get();
            let place = || {
                placed.set(before + 1);
                Some(key as u32)
            };
            assert_eq!(memo.recall(key, place), Some(key as u32));
            placed.get() > before
        });
        asked.copied().collect()
    }

    #[test]
    fn a_key_that_recurs_is_placed_once() {
        let memo = Memo::worthwhile(1000).unwrap();
        assert_eq!(placed_anew(&memo, &[0, 7, 0, 7, 8, 7, 0]), [0, 7, 8]);
    }

    #[test]
    fn of_two_keys_with_one_place_the_later_has_it() {
        let memo = Memo::worthwhile(LEAST_CANDIDATES).unwrap();
        let (one, other) = (5, 5 + memo.size as u64);
        assert_eq!(placed_anew(&memo, &[one, other, other, one, one]), [one, other, one]);
    }

    #[test]
    fn what_can_go_nowhere_is_asked_again() {
        let memo = Memo::worthwhile(1000).unwrap();
        assert_eq!(memo.recall(5, || None), None);
        assert_eq!(memo.recall(5, || Some(3)), Some(3));
    }

    #[test]
    fn its_size_is_bounded() {
        let size = |candidates| Memo::worthwhile(candidates).map(|memo| memo.size * size_of::<Place>());
        assert_eq!(size(LEAST_CANDIDATES - 1), None);
        assert_eq!(size(1000), Some(256 << 10));
        assert_eq!(size(1_000_000), Some(1 << 20));
    }
}
