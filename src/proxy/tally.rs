//! What one worker counts whatever the pool, and the limits that may be reached.

use std::sync::OnceLock;

use tokio::runtime::RuntimeMetrics;

use crate::tally::{Classes, Counter, is_apart};

/// On cache lines of its own; written by one worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Tally {
    /// Requests.
    pub(crate) requests: Counter,
    /// Client connections now.
    pub(crate) connections: Counter,
    /// Client connections that it accepted and another worker serves.
    pub(crate) handed_over: Counter,
    /// Answers that the proxy made itself, to requests for no pool.
    pub(crate) unrouted: Classes,
    /// How often limits were reached.
    limits: [Counter; Limit::ALL.len()],
    /// What its runtime counts: set when it begins to work.
    pub(crate) runtime: OnceLock<RuntimeMetrics>,
}

const _: () = assert!(is_apart::<Tally>(), "workers write side by side");

impl Tally {
    /// Counts that a limit was reached.
    pub(crate) fn reached(&self, limit: Limit) {
        self.limits[limit as usize].up();
    }

    /// How often a limit was reached.
    pub(crate) fn limits(&self, limit: Limit) -> u64 {
        self.limits[limit as usize].get()
    }
}

/// A limit that clients or backends can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// `limits.connections`: a connection waits to be accepted.
    Connections,
    /// `max_connections` of a listener: the same.
    ListenerConnections,
    /// `limits.connections_per_ip`: a connection is closed.
    ConnectionsPerIp,
    /// TLS handshakes of a worker at one time: one waits.
    Handshakes,
    /// `limits.header_timeout`: a head, or what comes before it, did not come in time.
    HeaderTimeout,
    /// `limits.body_timeout`: a body did not.
    BodyTimeout,
    /// `limits.header_bytes`, or `limits.headers` over HTTP/1.
    HeaderBytes,
    /// `limits.headers`, over HTTP/2.
    Headers,
    /// `limits.uri_bytes`.
    UriBytes,
    /// `limits.body_bytes`.
    BodyBytes,
    /// `limits.queue`: a request that would have to wait is refused.
    Queue,
    /// `max_connections` of a backend: a request goes elsewhere, or waits.
    MaxConnections,
    /// `timeouts.queue`: a request waited in vain for that.
    QueueTimeout,
    /// `max_sessions` of all backends: a request is refused.
    MaxSessions,
    /// `sticky.capacity`, and nothing can be evicted: a request is refused.
    Capacity,
    /// `retry.budget_percent`: a request is not tried again.
    RetryBudget,
    /// Descriptors or ports of the process.
    Descriptors,
}

impl Limit {
    /// All of them.
    pub(crate) const ALL: [Self; 17] = [
        Self::Connections,
        Self::ListenerConnections,
        Self::ConnectionsPerIp,
        Self::Handshakes,
        Self::HeaderTimeout,
        Self::BodyTimeout,
        Self::HeaderBytes,
        Self::Headers,
        Self::UriBytes,
        Self::BodyBytes,
        Self::Queue,
        Self::MaxConnections,
        Self::QueueTimeout,
        Self::MaxSessions,
        Self::Capacity,
        Self::RetryBudget,
        Self::Descriptors,
    ];

    /// The word used in metrics: as far as there is one, the configuration key.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ListenerConnections => "listener_connections",
            Self::ConnectionsPerIp => "connections_per_ip",
            Self::Handshakes => "handshakes",
            Self::HeaderTimeout => "header_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::HeaderBytes => "header_bytes",
            Self::Headers => "headers",
            Self::UriBytes => "uri_bytes",
            Self::BodyBytes => "body_bytes",
            Self::Queue => "queue",
            Self::MaxConnections => "max_connections",
            Self::QueueTimeout => "queue_timeout",
            Self::MaxSessions => "max_sessions",
            Self::Capacity => "capacity",
            Self::RetryBudget => "retry_budget",
            Self::Descriptors => "descriptors",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_place() {
        assert!(Limit::ALL.iter().enumerate().all(|(place, limit)| *limit as usize == place));
    }
}
