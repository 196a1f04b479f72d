//! Time as the rest of the program sees it: one monotonic count of Unix microseconds, read at the edges and passed in.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment: Unix time in microseconds, steered by the monotonic clock so that it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now(pub u64);

impl Now {
    /// Later than all others.
    pub const NEVER: Self = Self(u64::MAX);

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch; fits until 2106.
    pub const fn secs(self) -> u32 {
        (self.0 / 1_000_000) as u32
    }

    /// The moment `duration` later; saturates.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// How long ago `earlier` was; zero if it is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// `duration` in microseconds; saturates.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The source of [`Now`]: one for the process, so that all threads agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    start_micros: u64,
}

impl Clock {
    /// Starts at the system's time. Later steps of the system clock are not followed.
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_micros: micros(unix) }
    }

    /// When it was started.
    pub fn started(&self) -> Now {
        Now(self.start_micros)
    }

    /// Reads the clock.
    pub fn now(&self) -> Now {
        Now(self.start_micros.saturating_add(micros(self.start.elapsed())))
    }
}
