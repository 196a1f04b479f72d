//! What is known of a client connection.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::Worker;
use crate::headers::{Peer, X_FORWARDED_FOR};
use crate::transport::exchange::Membership;
use crate::transport::io::Pulse;

/// A client connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Client {
    /// The other end of the socket.
    pub(super) ip: IpAddr,
    /// [`Self::ip`] as a field value: made once, not for each request.
    ip_value: HeaderValue,
    /// What the connection is doing.
    pub(crate) pulse: Arc<Pulse>,
    /// The exchange whose response body is on its way to this client.
    pub(super) streaming: RefCell<Option<Rc<Membership>>>,
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
        Self { ip, ip_value, pulse, streaming: RefCell::new(None), _place: place }
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

fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&ip))
}

/// The address of whoever a trusted proxy speaks for: the last in `X-Forwarded-For` that is not itself trusted, or the
/// first of all if all are.
pub(super) fn forwarded_for(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut known = peer;
    for field in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for named in field.to_str().unwrap_or_default().rsplit(',') {
            let Some(ip) = parse(named.trim()) else { return known };
            known = ip;
            if !is_trusted(ip, trusted) {
                return known;
            }
        }
    }
    known
}

/// An address, also with a port or in brackets, as some proxies write it.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bracketed).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_untrusted_address_is_the_client() {
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        let seen = |fields: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_static(field));
            }
            forwarded_for([10, 0, 0, 1].into(), &headers, &trusted).to_string()
        };
        assert_eq!(seen(&[]), "10.0.0.1");
        assert_eq!(seen(&["6.6.6.6, 1.2.3.4, 10.0.0.9"]), "1.2.3.4");
        assert_eq!(seen(&["1.2.3.4", "10.0.0.9"]), "1.2.3.4");
        assert_eq!(seen(&["10.0.0.7, 10.0.0.8"]), "10.0.0.7");
        assert_eq!(seen(&["1.2.3.4, nonsense, 10.0.0.9"]), "10.0.0.9");
        assert_eq!(seen(&["[2001:db8::1]:443"]), "2001:db8::1");
    }
}
