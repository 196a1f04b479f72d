//! What is known of a client connection.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;

use http::HeaderValue;
use ipnet::IpNet;

use super::Worker;
use super::worker::Destination;
use crate::headers::{Peer, is_trusted};
use crate::transport::exchange::Membership;
use crate::transport::io::Pulse;
use crate::transport::{Introduction, Links};

/// A client connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Client {
    /// The other end of the socket.
    peer: SocketAddr,
    /// This end, once it is known.
    local: Cell<Option<SocketAddr>>,
    /// The address of the other end.
    pub(super) ip: IpAddr,
    /// [`Self::ip`] as a field value: made once, not for each request.
    ip_value: HeaderValue,
    /// What the connection is doing.
    pub(crate) pulse: Arc<Pulse>,
    /// The exchange whose response body is on its way to this client.
    pub(super) streaming: RefCell<Option<Rc<Membership>>>,
    /// Connections to backends that began with this client's addresses, and end with its connection.
    pub(super) links: RefCell<Vec<(Destination, Rc<Links>)>>,
    /// Kept as long as anything of the connection lives, a tunnel included.
    _place: Place,
}

/// One of the client connections the process may have; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Rc<Worker>);

impl Place {
    /// Takes a place if there is one below `limit`, of which all workers take.
    pub(crate) fn take(worker: &Rc<Worker>, limit: usize) -> Option<Self> {
        let one_more = |taken| (taken < limit).then_some(taken + 1);
        let taken = worker.core.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Self(worker.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.core.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

impl Client {
    pub(crate) fn new(peer: SocketAddr, pulse: Arc<Pulse>, place: Place) -> Self {
        let ip = peer.ip().to_canonical();
        let text = ip.to_string();
        let ip_value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("unknown"));
        Self {
            peer,
            local: Cell::new(None),
            ip,
            ip_value,
            pulse,
            streaming: RefCell::new(None),
            links: RefCell::default(),
            _place: place,
        }
    }

    /// Notes which address of this machine the client has connected to.
    pub(crate) fn connected_to(&self, local: SocketAddr) {
        self.local.set(Some(local));
    }

    /// How a connection made for this client is introduced to a backend. Where it is not known which address the client
    /// connected to, it is introduced as nobody's.
    pub(super) fn introduction(&self) -> Introduction {
        match self.local.get() {
            Some(destination) => Introduction::Client { source: self.peer, destination },
            None => Introduction::Proxy,
        }
    }

    /// Whether the response on its way has not moved for too long, or must not go on. Without either, the task of `cx`
    /// is woken when that changes.
    pub(crate) fn is_stalled(&self, cx: &Context<'_>) -> bool {
        self.streaming.borrow().as_ref().is_some_and(|exchange| exchange.hear(cx).is_some())
    }

    /// How a backend is told of this client.
    pub(super) fn peer(&self, trusted: bool) -> Peer<'_> {
        Peer { ip: self.ip, ip_value: &self.ip_value, trusted }
    }

    /// Whether this client's word about others is believed.
    pub(super) fn is_trusted(&self, trusted: &[IpNet]) -> bool {
        is_trusted(self.ip, trusted)
    }
}
