//! Waiting for what other threads do, with a deadline that only a broken test reaches.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Far longer than anything here should take.
pub const DEADLINE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(3);

/// Waits until something is true.
///
/// # Panics
/// If it does not come true in time.
#[track_caller]
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < DEADLINE, "in vain: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Something one thread waits for and another opens, once.
#[derive(Debug, Clone, Default)]
pub struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    #[track_caller]
    pub fn wait(&self) {
        let (open, waited) =
            self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), DEADLINE, |open| !*open).unwrap();
        assert!(*open && !waited.timed_out(), "a latch stayed closed");
    }
}

/// What happened, in order, whoever saw it.
#[derive(Debug, Clone, Default)]
pub struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    pub fn note(&self, event: impl Into<String>) {
        self.0.lock().unwrap().push(event.into());
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn count(&self, what: impl Fn(&str) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| what(event)).count()
    }
}
