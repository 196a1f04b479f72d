//! Reaching backends: dialing, the idle connections of one worker, bodies on their way out, and one-off probes.
//! Which backend is reached is decided elsewhere.

mod dial;
pub mod exchange;
pub mod io;
mod outgoing;
pub mod probe;

use std::cell::RefCell;

use hyper::client::conn::http1::SendRequest;

use crate::clock::Now;

pub use dial::{DialError, connect, dial};
pub use outgoing::{BodyError, Gate, Outgoing, Pace};

/// A connection to a backend that can carry a request.
#[derive(Debug)]
pub struct Link {
    /// Hyper's end of it.
    pub sender: SendRequest<Outgoing>,
    /// Whether it has carried a request before, and so may have been closed by the backend meanwhile.
    pub used: bool,
    expires: Now,
}

/// The idle connections of one worker to one address, the latest used first.
#[derive(Debug, Default)]
pub struct Links(RefCell<Vec<Link>>);

/// Idle connections kept per worker and backend.
pub const MAX_IDLE: usize = 1024;

impl Link {
    /// A connection just made.
    pub fn new(sender: SendRequest<Outgoing>) -> Self {
        Self { sender, used: false, expires: Now::NEVER }
    }
}

impl Links {
    /// Takes a connection that can be used at once.
    pub fn take(&self) -> Option<Link> {
        let mut idle = self.0.borrow_mut();
        while idle.pop_if(|link| link.sender.is_closed()).is_some() {}
        let ready = idle.iter().rposition(|link| link.sender.is_ready())?;
        Some(idle.remove(ready))
    }

    /// Keeps a connection whose exchange is over, until it `expires`.
    pub fn put(&self, link: Link, expires: Now) {
        let mut idle = self.0.borrow_mut();
        if !link.sender.is_closed() && idle.len() < MAX_IDLE {
            idle.push(Link { used: true, expires, ..link });
        }
    }

    /// Closes connections that idled for too long.
    pub fn expire(&self, now: Now) {
        self.0.borrow_mut().retain(|link| !link.sender.is_closed() && link.expires > now);
    }
}
