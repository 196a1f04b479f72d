//! The in-memory cache of one backend, bounded in entries; values are bounded by the server's body limit.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

/// Entries kept; the oldest makes way.
const MAX_ENTRIES: usize = 1_000;

/// Keys and values.
#[derive(Default)]
pub(super) struct Cache {
    values: HashMap<String, Bytes>,
    /// Keys from the oldest to the latest.
    order: VecDeque<String>,
}

impl Cache {
    pub(super) fn get(&self, key: &str) -> Option<Bytes> {
        self.values.get(key).cloned()
    }

    /// Whether the key is new.
    pub(super) fn put(&mut self, key: &str, value: Bytes) -> bool {
        if self.values.insert(key.to_owned(), value).is_some() {
            return false;
        }
        self.order.push_back(key.to_owned());
        if self.order.len() > MAX_ENTRIES
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
        true
    }

    /// Whether the key was there.
    pub(super) fn remove(&mut self, key: &str) -> bool {
        let removed = self.values.remove(key).is_some();
        if removed {
            self.order.retain(|kept| kept != key);
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn put_get_remove() {
        let mut cache = Cache::default();
        assert!(cache.put("a", Bytes::from_static(b"1")));
        assert!(!cache.put("a", Bytes::from_static(b"2")));
        assert_eq!(cache.get("a").as_deref(), Some(&b"2"[..]));
        assert!(cache.remove("a") && !cache.remove("a"));
    }

    #[test]
    fn the_oldest_makes_way() {
        let mut cache = Cache::default();
        for n in 0..=MAX_ENTRIES {
            cache.put(&n.to_string(), Bytes::new());
        }
        assert!(cache.get("0").is_none() && cache.get("1").is_some());
        assert_eq!(cache.values.len(), MAX_ENTRIES);
    }
}
