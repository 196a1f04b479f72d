//! Reaching backends: dialing, the idle connections of one worker, bodies on their way out, one-off probes and calls.
//! Which backend is reached is decided elsewhere.

pub mod call;
mod dial;
pub mod exchange;
pub mod heard;
pub mod io;
mod outgoing;
pub mod probe;
pub mod proxy_header;
mod received;
mod stream;
pub mod tls;
mod wire;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;

use crate::clock::Now;

use heard::Heard;

pub use dial::{DialError, connect, dial, keep_alive};
pub use outgoing::{BodyError, Gate, MOST_KEPT, Outgoing, Pace, Replay};
pub use received::{Interim, ReceiveError, Received};
pub use stream::Stream;
pub use wire::Wire;

/// A connection to a backend that can carry a request.
#[derive(Debug)]
pub struct Link {
    /// Hyper's end of it.
    pub sender: SendRequest<Outgoing>,
    /// Whether it has carried a request before, and so may have been closed by the backend meanwhile.
    pub used: bool,
    /// Whether anything came over it.
    pub heard: Heard,
    home: Rc<Links>,
}

/// The idle connections of one worker to one address, the latest used last.
#[derive(Debug, Default)]
pub struct Links(RefCell<Vec<Idle>>);

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Outgoing>,
    heard: Heard,
    expires: Now,
}

/// What a client hears whose request head did not come in time; hyper says nothing then.
pub const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Idle connections kept per worker and backend.
pub const MAX_IDLE: usize = 1024;

impl Link {
    /// A connection just made, which will idle among `home`.
    fn new(sender: SendRequest<Outgoing>, heard: Heard, home: Rc<Links>) -> Self {
        Self { sender, used: false, heard, home }
    }

    /// Keeps the connection, whose exchange is over, for others, for so long after `now`.
    pub fn keep(self, now: Now, keep_alive: Duration) {
        let mut idle = self.home.0.borrow_mut();
        if !keep_alive.is_zero() && !self.sender.is_closed() && idle.len() < MAX_IDLE {
            idle.push(Idle { sender: self.sender, heard: self.heard, expires: now.after(keep_alive) });
        }
    }

    /// Completes when the connection is closed, which it is as soon as what it carries was given up, or has nothing
    /// to carry.
    pub async fn closed(mut self) {
        // Fails when it is closed; otherwise this closes it.
        let _ = self.sender.ready().await;
    }
}

impl Links {
    /// Takes a connection that can be used at once, the latest used if there are several.
    pub fn take(self: &Rc<Self>) -> Option<Link> {
        let mut idle = self.0.borrow_mut();
        while idle.pop_if(|link| link.sender.is_closed()).is_some() {}
        let ready = idle.iter().rposition(|link| link.sender.is_ready())?;
        let Idle { sender, heard, .. } = idle.remove(ready);
        Some(Link { sender, used: true, heard, home: self.clone() })
    }

    /// Whether none is idle.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Closes connections that idled for too long.
    pub fn expire(&self, now: Now) {
        self.0.borrow_mut().retain(|link| !link.sender.is_closed() && link.expires > now);
    }
}
