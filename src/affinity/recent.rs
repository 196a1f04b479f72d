//! Sealed cookies that were opened of late: a session shows the same one with each of its requests, and opening it costs
//! more than all else that is decided about a request.

use std::cell::RefCell;

use ahash::RandomState;

use super::Ticket;

/// A bounded memo of what good cookies say. It is good as long as the secrets are that they were opened with: make a new
/// one for others. Not shared between threads.
///
/// Holds at most 1,024 cookies, each of at most 256 octets and some 80 more: less than 350 KiB. Nothing is held before the
/// first. Where two cookies meet in one place, the later one takes it. What does not open is not remembered, so that
/// whoever makes cookies up displaces nobody's.
#[derive(Debug, Default)]
pub struct Recent {
    hasher: RandomState,
    places: RefCell<Vec<Option<Entry>>>,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Box<[u8]>,
    ticket: Ticket,
}

const PLACES: usize = 1024;

impl Recent {
    /// What a cookie says, by `open` where that is not known. O(length).
    pub(super) fn get_or(&self, value: &[u8], open: impl FnOnce() -> Option<Ticket>) -> Option<Ticket> {
        let at = self.hasher.hash_one(value) as usize % PLACES;
        if let Some(Some(entry)) = self.places.borrow().get(at)
            && *entry.value == *value
        {
            return Some(entry.ticket);
        }
        let ticket = open()?;
        let mut places = self.places.borrow_mut();
        if places.is_empty() {
            places.resize(PLACES, None);
        }
        if let Some(place) = places.get_mut(at) {
            *place = Some(Entry { value: value.into(), ticket });
        }
        Some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(session: u64) -> Ticket {
        Ticket { backend: 1, address: 2, incarnation: 3, session, epoch: 4, issued: 5, sealed: 6 }
    }

    #[test]
    fn a_good_cookie_is_opened_once() {
        let recent = Recent::default();
        assert_eq!(recent.get_or(b"one", || Some(ticket(1))), Some(ticket(1)));
        assert_eq!(recent.get_or(b"one", || unreachable!("it is known")), Some(ticket(1)));
        assert_eq!(recent.get_or(b"onE", || Some(ticket(2))), Some(ticket(2)));
    }

    #[test]
    fn a_bad_one_each_time() {
        let recent = Recent::default();
        assert_eq!(recent.get_or(b"bad", || None), None);
        assert_eq!(recent.get_or(b"bad", || Some(ticket(1))), Some(ticket(1)));
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let recent = Recent::default();
        for n in 0..100_000_u64 {
            assert_eq!(recent.get_or(&n.to_le_bytes(), || Some(ticket(n))), Some(ticket(n)));
        }
        let held = recent.places.borrow();
        assert_eq!(held.len(), PLACES);
        assert!(held.iter().flatten().all(|entry| *entry.value == entry.ticket.session.to_le_bytes()));
    }
}
