//! Who is logged in at one backend: `sessionId` cookies and the visits behind them.
//! Users are believed; there is nothing to protect.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// Sessions one backend keeps; the oldest makes way.
const MAX_SESSIONS: usize = 10_000;

/// Characters of a user name.
const MAX_USER: usize = 32;

/// All sessions of one backend.
#[derive(Default)]
pub(super) struct Logins {
    by_id: HashMap<String, Session>,
    /// Ids from the oldest to the latest.
    order: VecDeque<String>,
}

/// What a backend knows about who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) user: String,
    /// Profiles seen since the login.
    pub(super) visits: u64,
}

impl Logins {
    /// Opens a session and says its id; `None` when `user` is not a name.
    pub(super) fn open(&mut self, user: &str) -> Option<String> {
        let user = user.trim();
        if user.is_empty() || user.chars().count() > MAX_USER || user.chars().any(char::is_control) {
            return None;
        }
        if self.by_id.len() >= MAX_SESSIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        let id = random_id();
        self.by_id.insert(id.clone(), Session { user: user.to_owned(), visits: 0 });
        self.order.push_back(id.clone());
        Some(id)
    }

    /// Counts a visit; `None` when nobody is logged in under `id`.
    pub(super) fn visit(&mut self, id: &str) -> Option<Session> {
        let session = self.by_id.get_mut(id)?;
        session.visits += 1;
        Some(session.clone())
    }

    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }
}

/// 128 bits that cannot be guessed: `SipHash` under keys that std seeds from the system's randomness.
fn random_id() -> String {
    let state = RandomState::new();
    format!("{:016x}{:016x}", state.hash_one(0), state.hash_one(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_are_counted_per_session() {
        let mut logins = Logins::default();
        let (ann, bob) = (logins.open(" Ann ").unwrap(), logins.open("Bob").unwrap());
        assert_ne!(ann, bob);
        logins.visit(&ann);
        assert_eq!(logins.visit(&ann), Some(Session { user: "Ann".into(), visits: 2 }));
        assert_eq!(logins.visit(&bob).unwrap().visits, 1);
        assert_eq!(logins.visit("nobody"), None);
    }

    #[test]
    fn the_oldest_session_makes_way() {
        let mut logins = Logins::default();
        let first = logins.open("first").unwrap();
        for _ in 0..MAX_SESSIONS {
            logins.open("next").unwrap();
        }
        assert_eq!(logins.count(), MAX_SESSIONS);
        assert_eq!(logins.visit(&first), None);
    }

    #[test]
    fn names_are_bounded() {
        let mut logins = Logins::default();
        assert!(logins.open("").is_none());
        assert!(logins.open(&"x".repeat(33)).is_none());
        assert!(logins.open("a\nb").is_none());
    }
}
