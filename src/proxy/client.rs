//! What is known of a client connection.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use http::HeaderValue;
use ipnet::IpNet;

use super::places::Place;
use super::worker::Destination;
use crate::headers::{Peer, is_trusted};
use crate::transport::pulse::{Activity, Pulse};
use crate::transport::{Introduction, Links};

/// A client connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Client {
    /// Who is at the other end, and how.
    pub(crate) line: Line,
    /// Its address.
    pub(super) ip: IpAddr,
    /// [`Self::ip`] as a field value: made once, not for each request.
    ip_value: HeaderValue,
    /// What the connection is doing.
    pub(crate) pulse: Rc<Pulse>,
    /// On an HTTP/2 connection: requests and tunnels now.
    active: Cell<usize>,
    /// Connections to backends that began with this client's addresses, and end with its connection.
    pub(super) links: RefCell<Vec<(Destination, Rc<Links>)>>,
    /// Kept as long as anything of the connection lives, a tunnel included.
    _place: Place,
}

/// The two ends of a client connection, and what is spoken between them.
#[derive(Debug)]
pub(crate) struct Line {
    /// The client: the other end of the socket, or whom a PROXY header names there.
    pub(crate) peer: SocketAddr,
    /// Where it connected to.
    pub(crate) local: SocketAddr,
    /// What the TLS handshake has told; none without TLS.
    pub(crate) tls: Option<Secured>,
    /// What carries its requests.
    pub(crate) carrier: Carrier,
}

/// What the TLS handshake has told of a client.
#[derive(Debug)]
pub(crate) struct Secured {
    /// The server name that the client has named, lower case.
    pub(crate) server_name: Option<Box<str>>,
    /// The subject of its certificate, which an authority of the listener's has signed.
    pub(crate) subject: Option<HeaderValue>,
}

/// A version of HTTP as a connection carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// One request after the other.
    Http1,
    /// Many at one time.
    Http2,
}

impl Client {
    pub(crate) fn new(line: Line, pulse: Rc<Pulse>, place: Place) -> Self {
        let ip = line.peer.ip().to_canonical();
        let text = ip.to_string();
        let ip_value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("unknown"));
        Self { line, ip, ip_value, pulse, active: Cell::new(0), links: RefCell::default(), _place: place }
    }

    /// How a connection made for this client is introduced to a backend.
    pub(super) fn introduction(&self) -> Introduction {
        Introduction::Client { source: self.line.peer, destination: self.line.local }
    }

    /// Begins one of the things that a connection does at one time.
    pub(crate) fn begin(self: &Rc<Self>) -> Active {
        self.active.set(self.active.get() + 1);
        if self.active.get() == 1 {
            self.pulse.set(Activity::Busy);
        }
        Active(self.clone())
    }

    /// Whether something of it is active.
    pub(crate) fn is_busy(&self) -> bool {
        self.active.get() > 0
    }

    /// The server name of its TLS handshake.
    pub(super) fn server_name(&self) -> Option<&str> {
        self.line.tls.as_ref()?.server_name.as_deref()
    }

    /// Whether it is spoken to through TLS.
    pub(super) fn is_over_tls(&self) -> bool {
        self.line.tls.is_some()
    }

    pub(super) fn peer(&self, trusted: bool) -> Peer<'_> {
        let tls = self.line.tls.as_ref();
        let subject = tls.and_then(|secured| secured.subject.as_ref());
        Peer { ip: self.ip, ip_value: &self.ip_value, trusted, tls: tls.is_some(), subject }
    }

    pub(super) fn is_trusted(&self, trusted: &[IpNet]) -> bool {
        is_trusted(self.ip, trusted)
    }
}

/// A request or tunnel of an HTTP/2 connection: without one, the connection idles.
#[derive(Debug)]
pub(crate) struct Active(Rc<Client>);

impl Active {
    pub(crate) fn client(&self) -> &Rc<Client> {
        &self.0
    }
}

impl Clone for Active {
    fn clone(&self) -> Self {
        self.0.begin()
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let active = self.0.active.get().saturating_sub(1);
        self.0.active.set(active);
        if active == 0 {
            self.0.pulse.set(Activity::Idle);
        }
    }
}
