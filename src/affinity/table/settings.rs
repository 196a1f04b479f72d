//! What bounds a session table, as its pool's configuration says it.

use std::time::Duration;

use super::entry::Lifetime;

/// What bounds a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Most sessions kept, at least 1.
    pub capacity: usize,
    /// A session nothing of which is live ends after this long, or up to two seconds later: the table counts seconds.
    pub idle_timeout: Duration,
    /// A session nothing of which is live ends so long after it got its owner; zero: never for that.
    pub max_lifetime: Duration,
}

impl Settings {
    pub(super) fn lifetime(&self) -> Lifetime {
        let most_secs = if self.max_lifetime.is_zero() { u32::MAX } else { whole_secs(self.max_lifetime) };
        Lifetime { idle_secs: whole_secs(self.idle_timeout), most_secs }
    }
}

/// Seconds, a begun one counted as a whole.
fn whole_secs(duration: Duration) -> u32 {
    let begun = u64::from(duration.subsec_nanos() > 0);
    u32::try_from(duration.as_secs() + begun).unwrap_or(u32::MAX)
}
