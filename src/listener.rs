//! A listener as it runs: how those who connect there are spoken to, and how many there are.
//! Its sockets are [`crate::server`]'s.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::config;
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
    pub connections: Arc<AtomicUsize>,
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
        }
    }
}
