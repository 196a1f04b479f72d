//! Sessions that have got another backend, counted until they are told of together: when a backend with a million of
//! them goes down, those who watch hear one line a second, not a million.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::journal::{Event, Journal};
use crate::clock::Now;

/// Kinds of moves told apart at one time; of others only the pool and the cause are told.
const KINDS: usize = 64;

/// One kind of move. Names are those of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rebind {
    /// The sessions' pool.
    pub pool: Arc<str>,
    /// The backend they were bound to; none if that is not known any more.
    pub from: Option<Arc<str>>,
    /// The backend they are bound to now.
    pub to: Option<Arc<str>>,
    /// Why.
    pub cause: &'static str,
}

/// What has moved since it was last told. Shared by all workers: locked for each session that moves, of which there are
/// many only when something is wrong.
#[derive(Debug, Default)]
pub struct Rebinds(Mutex<HashMap<Rebind, u64>>);

impl Rebinds {
    /// Counts a session that has moved.
    pub fn count(&self, mut moved: Rebind) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= KINDS && !counted.contains_key(&moved) {
            (moved.from, moved.to) = (None, None);
        }
        *counted.entry(moved).or_default() += 1;
    }

    /// Tells of all that has moved since the last time. Meant to be called each second.
    pub fn tell(&self, at: Now, journal: &Journal) {
        let counted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (Rebind { pool, from, to, cause }, sessions) in counted {
            let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
            journal.note(at, Event::Rebind { pool, from, to, cause, sessions });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(from: usize) -> Rebind {
        let from = Some(format!("b{from}").into());
        Rebind { pool: "chess".into(), from, to: Some("b".into()), cause: "down" }
    }

    #[test]
    fn moves_of_a_kind_are_told_together_and_kinds_are_bounded() {
        let (rebinds, journal) = (Rebinds::default(), Journal::new());
        (0..1000).for_each(|i| rebinds.count(moved(i % 100)));
        rebinds.tell(Now(0), &journal);
        rebinds.tell(Now(1), &journal);
        let (kept, _) = journal.follow();
        let told = kept.iter().map(|entry| match &entry.event {
            Event::Rebind { from, sessions, .. } => (from.is_empty(), *sessions),
            other => panic!("{other:?}"),
        });
        let mut told: Vec<_> = told.collect();
        told.sort_unstable();
        let mut expected = vec![(false, 10); KINDS];
        expected.push((true, 360));
        assert_eq!(told, expected);
    }
}
