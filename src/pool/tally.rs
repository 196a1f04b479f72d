//! What one worker counts for one pool: numbers of its own, summed by those who look.

use super::Reason;
use crate::affinity::table::Loss;
use crate::config::KeySource;
use crate::tally::{Classes, Counter, Histogram, is_apart};

/// On cache lines of its own; written by one worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    /// From a request's head to the end of its response, tunnels left out.
    pub exchanges: Histogram,
    /// Answers that the proxy made itself.
    pub own: Classes,
    /// Keys that responses taught.
    pub learned: Counter,
    /// Sessions that got another backend, by [`Loss`].
    rebinds: [Counter; Loss::ALL.len()],
    /// Tunnels that ended, by [`Closing`].
    closings: [Counter; Closing::ALL.len()],
    /// Requests sent, by where their key was found and why they went where they went.
    decisions: [[Counter; Reason::ALL.len()]; Source::ALL.len()],
}

const _: () = assert!(is_apart::<Tally>(), "workers write side by side");

impl Tally {
    /// Counts a request that is sent.
    pub fn decided(&self, source: Source, reason: Reason) {
        self.decisions[source as usize][reason as usize].up();
    }

    /// Counts a session that got another backend.
    pub fn rebound(&self, loss: Loss) {
        self.rebinds[loss as usize].up();
    }

    /// Counts a tunnel that has ended.
    pub fn closed(&self, closing: Closing) {
        self.closings[closing as usize].up();
    }

    /// Requests sent with a key from `source` for `reason`.
    pub fn decisions(&self, source: Source, reason: Reason) -> u64 {
        self.decisions[source as usize][reason as usize].get()
    }

    /// Sessions that got another backend since they lost theirs in this way.
    pub fn rebinds(&self, loss: Loss) -> u64 {
        self.rebinds[loss as usize].get()
    }

    /// Tunnels that ended in this way.
    pub fn closings(&self, closing: Closing) -> u64 {
        self.closings[closing as usize].get()
    }
}

/// Where a request's session key was found: the kind of its source, without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// There is none.
    None,
    /// In the proxy's own cookie.
    Own,
    /// In a cookie.
    Cookie,
    /// In a header field.
    Header,
    /// In the query.
    Query,
    /// In the path.
    Path,
    /// In a JSON Web Token.
    Jwt,
    /// It is the client's address.
    ClientIp,
    /// It is the host.
    Host,
    /// It is the server name of the TLS handshake.
    Sni,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::None,
        Self::Own,
        Self::Cookie,
        Self::Header,
        Self::Query,
        Self::Path,
        Self::Jwt,
        Self::ClientIp,
        Self::Host,
        Self::Sni,
    ];

    /// The word used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Own => "own_cookie",
            Self::Cookie => "cookie",
            Self::Header => "header",
            Self::Query => "query",
            Self::Path => "path",
            Self::Jwt => "jwt",
            Self::ClientIp => "client_ip",
            Self::Host => "host",
            Self::Sni => "sni",
        }
    }
}

impl From<&KeySource> for Source {
    fn from(source: &KeySource) -> Self {
        match source {
            KeySource::Cookie(_) => Self::Cookie,
            KeySource::Header(_) => Self::Header,
            KeySource::Query(_) => Self::Query,
            KeySource::Path(_) => Self::Path,
            KeySource::Jwt { .. } => Self::Jwt,
            KeySource::ClientIp => Self::ClientIp,
            KeySource::Host => Self::Host,
            KeySource::Sni => Self::Sni,
            // Requests are not asked for it.
            KeySource::Body(_) => Self::None,
        }
    }
}

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// One of its sides ended it.
    Ended,
    /// Nothing moved for too long.
    Idle,
    /// One of its connections broke.
    Broken,
    /// Its session moved: closed with 1012.
    Moved,
    /// The proxy stopped: closed with 1001.
    Stopping,
    /// The proxy had to end it, and there was no time or place for a Close.
    Dropped,
    /// It was granted, and did not come to be.
    Unopened,
}

impl Closing {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Ended, Self::Idle, Self::Broken, Self::Moved, Self::Stopping, Self::Dropped, Self::Unopened];

    /// The word used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Idle => "idle",
            Self::Broken => "broken",
            Self::Moved => "moved",
            Self::Stopping => "stopping",
            Self::Dropped => "dropped",
            Self::Unopened => "unopened",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_place() {
        assert!(Source::ALL.iter().enumerate().all(|(place, source)| *source as usize == place));
        assert!(Closing::ALL.iter().enumerate().all(|(place, closing)| *closing as usize == place));
        assert!(Loss::ALL.iter().enumerate().all(|(place, loss)| *loss as usize == place));
        assert!(Reason::ALL.iter().enumerate().all(|(place, reason)| *reason as usize == place));
    }
}
