//! The table that both sides of a connection fill alike (RFC 7541 §2.3.2, §4).

use std::collections::VecDeque;

use super::TABLE;

/// The latest entries, of which each counts so many octets.
#[derive(Debug)]
pub(super) struct Table<E> {
    /// The latest first, with what they count.
    entries: VecDeque<(usize, E)>,
    /// Octets that those count, and may count.
    size: usize,
    most: usize,
}

impl<E> Default for Table<E> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, most: TABLE }
    }
}

impl<E> Table<E> {
    /// Octets that its entries may count.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The entry at a place, of which the first is the latest.
    pub(super) fn get(&self, place: usize) -> Option<&E> {
        self.entries.get(place).map(|(_, entry)| entry)
    }

    /// The place of the latest that is as asked for.
    pub(super) fn position(&self, is_it: impl Fn(&E) -> bool) -> Option<usize> {
        self.entries.iter().position(|(_, entry)| is_it(entry))
    }

    /// Adds an entry, and forgets the oldest as there is no room for; one that is too large leaves none (§4.4).
    pub(super) fn add(&mut self, size: usize, entry: E) {
        self.shrink_to(self.most.saturating_sub(size));
        if size <= self.most {
            self.size += size;
            self.entries.push_front((size, entry));
        }
    }

    /// Changes what its entries may count (§4.3).
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most;
        self.shrink_to(most);
    }

    fn shrink_to(&mut self, most: usize) {
        while self.size > most
            && let Some((size, _)) = self.entries.pop_back()
        {
            self.size -= size;
        }
    }
}
