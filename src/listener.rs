//! A listener as it runs: how those who connect there are spoken to, and how many there are.
//! Its sockets are [`crate::server`]'s.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::config;
use crate::tally::Apart;
use crate::transport::tls::Acceptor;

/// What is needed to begin a conversation with a client.
#[derive(Debug)]
pub struct Listener {
    /// As configured: what the listener is known by over reloads.
    pub address: SocketAddr,
    /// TLS, if it is spoken.
    pub tls: Option<Acceptor>,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Whether HTTP/2 is spoken to those who want it.
    pub http2: bool,
    /// Client connections at one time.
    pub max_connections: usize,
    /// Client connections now; the same over reloads.
    pub connections: Arc<Apart<AtomicUsize>>,
    /// What clients come in by; the same over reloads.
    pub door: Arc<Door>,
    /// TLS handshakes that ended; the same over reloads.
    pub handshakes: Arc<Handshakes>,
}

/// TLS handshakes by how they ended. Rare enough beside what each costs to be counted by all threads together.
#[derive(Debug, Default)]
pub struct Handshakes([AtomicU64; Handshake::ALL.len()]);

/// How a TLS handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// The client is spoken to.
    Done,
    /// It broke, or client and proxy could not agree.
    Failed,
    /// It took too long.
    Overdue,
    /// The client spoke plain HTTP.
    Plain,
}

impl Handshake {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Done, Self::Failed, Self::Overdue, Self::Plain];

    /// The word used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Overdue => "overdue",
            Self::Plain => "plain",
        }
    }
}

impl Handshakes {
    /// Counts one.
    pub fn count(&self, how: Handshake) {
        self.0[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many ended so.
    pub fn get(&self, how: Handshake) -> u64 {
        self.0[how as usize].load(Ordering::Relaxed)
    }
}

/// The sockets of a listener, as far as others than their owners have to know of them: where they are bound, and
/// whether they are still open.
#[derive(Debug, Default)]
pub struct Door {
    bound: OnceLock<SocketAddr>,
    closed: AtomicBool,
    sockets: AtomicUsize,
}

impl Listener {
    /// What `settings` say; `previous` is the same listener before.
    pub fn new(settings: &config::Listener, previous: Option<&Self>) -> Self {
        let acceptor =
            |tls| Acceptor::new(tls, settings.http2, previous.and_then(|known| known.tls.as_ref()));
        Self {
            address: settings.address,
            tls: settings.tls.as_ref().map(acceptor),
            proxy_protocol: settings.proxy_protocol,
            http2: settings.http2,
            max_connections: if settings.max_connections == 0 {
                usize::MAX
            } else {
                settings.max_connections
            },
            connections: previous.map(|known| known.connections.clone()).unwrap_or_default(),
            door: previous.map(|known| known.door.clone()).unwrap_or_default(),
            handshakes: previous.map(|known| known.handshakes.clone()).unwrap_or_default(),
        }
    }

    /// Where it listens, with the port that was taken for 0; as configured before it is bound.
    pub fn bound(&self) -> SocketAddr {
        self.door.bound.get().copied().unwrap_or(self.address)
    }
}

impl Door {
    /// Notes where so many sockets were bound. Only the first time counts.
    pub fn open(&self, address: SocketAddr, sockets: usize) {
        if self.bound.set(address).is_ok() {
            self.sockets.store(sockets, Ordering::Release);
        }
    }

    /// Where it is bound; none before that.
    pub fn bound(&self) -> Option<SocketAddr> {
        self.bound.get().copied()
    }

    /// Its listener is in the configuration no more. This cannot be undone: one of the same address has another door.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether those who have come in are to leave once they are served.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// One of its sockets is closed.
    pub fn lose_socket(&self) {
        self.sockets.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether a socket of it still has the address.
    pub fn has_sockets(&self) -> bool {
        self.sockets.load(Ordering::Acquire) > 0
    }
}
