//! Connections to one backend that can carry requests: those that idle, those that are shared, and those being made.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::http1::Fault;
use super::http1::backend::Connection;
use super::shared::{MAX_STREAMS, Place, Shared};
use super::{Arriving, BrokenOff, DialError, Listener, Outgoing, Way, Wire};
use crate::clock::Now;
use crate::config::{Protocol, Timeouts};
use crate::headers::{Request, Response};

/// A connection to a backend, or a place on one, that can carry a request.
#[derive(Debug)]
pub struct Link {
    carrier: Carrier,
    /// Whether it has carried a request before, and so may have been closed by the backend meanwhile.
    pub used: bool,
    home: Rc<Links>,
}

#[derive(Debug)]
enum Carrier {
    /// A whole connection.
    Http1(Connection),
    /// A stream of a shared one.
    Http2(Place),
}

/// The connections of one worker to one address that can carry more requests.
#[derive(Debug)]
pub struct Links {
    way: Way,
    /// HTTP/1.1, the latest used last.
    idle: RefCell<Vec<Idle>>,
    /// HTTP/2, the first made first.
    shared: RefCell<Vec<Rc<Shared>>>,
    /// HTTP/2 connections that are being made.
    attempts: RefCell<Vec<Rc<Attempt>>>,
    /// Requests that the last HTTP/2 connection took at one time: as many wait for the next.
    room: Cell<usize>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    expires: Now,
}

/// An HTTP/2 connection that is being made.
#[derive(Debug, Default)]
struct Attempt {
    /// Requests that wait for it.
    waiting: Cell<usize>,
    /// Why it failed, if it has.
    failed: RefCell<Option<Arc<DialError>>>,
    over: Notify,
}

/// HTTP/2 connections that a request waits for before it fails, if each has no place for it when it is there.
const ATTEMPTS: usize = 3;
/// Idle connections kept per worker and backend.
pub const MAX_IDLE: usize = 1024;

/// A request without a response.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Unanswered {
    /// The body of the request, where nothing of it was sent, or the backend says that it has done nothing with it.
    pub unsent: Option<Outgoing>,
    /// What happened.
    #[source]
    pub error: BrokenOff,
}

impl Unanswered {
    /// Nothing was done with the request.
    pub(super) fn untouched(body: Outgoing, error: impl Into<BrokenOff>) -> Self {
        Self { unsent: Some(body), error: error.into() }
    }

    /// Nobody knows what was done with the request.
    pub(super) fn lost(error: impl Into<BrokenOff>) -> Self {
        Self { unsent: None, error: error.into() }
    }

    /// Whether the connection broke, or the stream of the request was reset: by the other side, or by whatever is in
    /// between. A connection on which nobody has moved for minutes is a time-out.
    pub fn is_broken(&self) -> bool {
        let is_io = |error: &io::Error| error.kind() != io::ErrorKind::TimedOut;
        match &self.error {
            BrokenOff::Http1(fault) => fault.is_broken(),
            BrokenOff::Http2(error) => error.get_io().map_or(error.is_remote(), is_io),
        }
    }

    /// Whether the backend answered what is not HTTP.
    pub fn is_nonsense(&self) -> bool {
        match &self.error {
            BrokenOff::Http1(fault) => matches!(fault, Fault::Nonsense(_)),
            BrokenOff::Http2(error) => error.is_library(),
        }
    }
}

impl Link {
    /// Sends a request and waits for the head of the response; `listener` hears of interim ones before it.
    ///
    /// # Errors
    /// There is none; the body comes back where the request may be sent again.
    pub async fn send(
        &mut self,
        head: &Request,
        listener: Option<&Listener>,
        body: Outgoing,
    ) -> Result<Response<Arriving>, Unanswered> {
        match &mut self.carrier {
            Carrier::Http1(connection) => {
                Ok(connection.send(head, listener, body).await?.map(Arriving::from))
            }
            // Boxed: it would count in the size of every request's future, also of those that go by HTTP/1.1.
            Carrier::Http2(place) => {
                Box::pin(place.send((head, self.home.way.dialing.scheme()), listener, body)).await
            }
        }
    }

    /// Whether something of a response to the last request came, though it did not become one.
    pub fn has_heard(&self) -> bool {
        match &self.carrier {
            Carrier::Http1(connection) => connection.has_heard(),
            // A stream has a response as soon as there is any of it.
            Carrier::Http2(_) => false,
        }
    }

    /// Keeps the connection, whose exchange is over, for others, for so long after `now`.
    pub fn keep(self, now: Now, keep_alive: Duration) {
        match self.carrier {
            Carrier::Http1(connection) => {
                let mut idle = self.home.idle.borrow_mut();
                if !keep_alive.is_zero() && connection.is_free() && idle.len() < MAX_IDLE {
                    connection.rest();
                    idle.push(Idle { connection, expires: now.after(keep_alive) });
                }
            }
            Carrier::Http2(place) => place.set_keep_alive(keep_alive),
        }
    }

    /// Whether a request body is being sent, and the backend takes it though its response may be over.
    pub fn is_sending(&self) -> bool {
        match &self.carrier {
            Carrier::Http1(connection) => connection.is_sending(),
            // The stream is reset with its place.
            Carrier::Http2(_) => false,
        }
    }

    /// Completes when no request body is being sent any more.
    pub async fn sent(&self) {
        if let Carrier::Http1(connection) = &self.carrier {
            connection.sent().await;
        }
    }

    /// Completes when nothing more of what it carried and was given up can be sent: an HTTP/1.1 connection is closed,
    /// a stream of an HTTP/2 connection reset.
    pub async fn closed(self) {
        match self.carrier {
            Carrier::Http1(connection) => drop(connection),
            Carrier::Http2(place) => place.closed().await,
        }
    }

    /// The wire of a connection that another protocol is spoken on from now on, and what was read ahead.
    pub fn into_wire(self) -> Option<(Wire, Bytes)> {
        match self.carrier {
            Carrier::Http1(connection) => connection.into_wire(),
            Carrier::Http2(_) => None,
        }
    }
}

impl Links {
    /// None yet.
    pub fn new(way: Way) -> Rc<Self> {
        Rc::new(Self {
            way,
            idle: RefCell::default(),
            shared: RefCell::default(),
            attempts: RefCell::default(),
            room: Cell::new(MAX_STREAMS),
        })
    }

    /// The way that they are made.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// Takes a connection that can be used at once: of HTTP/1.1 the latest used, of HTTP/2 a place on the first that has
    /// one, so that those no longer needed fall idle.
    pub fn take(self: &Rc<Self>) -> Option<Link> {
        let (carrier, used) = match self.way.dialing.protocol() {
            Protocol::Http1 => (self.take_idle()?, true),
            Protocol::Http2 => {
                let place = self.shared.borrow().iter().find_map(Shared::enter)?;
                let used = place.is_used();
                (Carrier::Http2(place), used)
            }
        };
        Some(Link { carrier, used, home: self.clone() })
    }

    fn take_idle(&self) -> Option<Carrier> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { connection, .. }) = idle.pop() {
            if connection.is_quiet() {
                return Some(Carrier::Http1(connection));
            }
        }
        None
    }

    /// A new connection, or, for HTTP/2, a place on one that is being made: a request makes one itself only if those on
    /// their way have no room for it. Must be called on a worker's runtime.
    ///
    /// # Errors
    /// No connection came to be, within `timeouts.connect` for each that was waited for.
    pub async fn connect(self: &Rc<Self>, timeouts: &Timeouts) -> Result<Link, DialError> {
        let limit = timeouts.connect;
        if self.way.dialing.protocol() == Protocol::Http1 {
            let made = timeout(limit, self.dial_http1()).await;
            let connection = made.map_err(|_| DialError::TimedOut(limit))??;
            return Ok(Link { carrier: Carrier::Http1(connection), used: false, home: self.clone() });
        }
        for _ in 0..ATTEMPTS {
            let attempt = self.attempt_with_room().unwrap_or_else(|| self.begin_attempt(timeouts));
            attempt.wait().await?;
            if let Some(link) = self.take() {
                return Ok(link);
            }
        }
        Err(DialError::TakesNothing)
    }

    async fn dial_http1(&self) -> Result<Connection, DialError> {
        Ok(Connection::new(self.way.wire(Protocol::Http1).await?))
    }

    async fn dial_http2(&self) -> Result<Rc<Shared>, DialError> {
        Shared::begin(self.way.wire(Protocol::Http2).await?, self.way.address).await
    }

    /// A connection on its way that will have room for one more.
    fn attempt_with_room(&self) -> Option<Rc<Attempt>> {
        let attempts = self.attempts.borrow();
        attempts.iter().find(|attempt| attempt.waiting.get() < self.room.get()).cloned()
    }

    /// Makes a connection in a task of its own: it is of use also if the request that needs it first has left by then.
    fn begin_attempt(self: &Rc<Self>, timeouts: &Timeouts) -> Rc<Attempt> {
        let attempt = Rc::new(Attempt::default());
        self.attempts.borrow_mut().push(attempt.clone());
        let (links, made) = (self.clone(), attempt.clone());
        let (limit, keep_alive) = (timeouts.connect, timeouts.keep_alive);
        tokio::task::spawn_local(async move {
            match timeout(limit, links.dial_http2()).await.unwrap_or(Err(DialError::TimedOut(limit))) {
                Ok(shared) => {
                    shared.set_keep_alive(keep_alive);
                    links.room.set(shared.most());
                    links.shared.borrow_mut().push(shared);
                }
                Err(error) => *made.failed.borrow_mut() = Some(Arc::new(error)),
            }
            links.attempts.borrow_mut().retain(|attempt| !Rc::ptr_eq(attempt, &made));
            made.over.notify_waiters();
        });
        attempt
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty() && self.shared.borrow().is_empty()
    }

    /// Closes connections that idled for too long, and forgets those that take no more requests.
    pub fn expire(&self, now: Now) {
        self.idle.borrow_mut().retain(|link| link.expires > now && link.connection.is_quiet());
        self.shared.borrow_mut().retain(|shared| !shared.is_over(now));
    }
}

impl Attempt {
    async fn wait(&self) -> Result<(), DialError> {
        self.waiting.set(self.waiting.get() + 1);
        self.over.notified().await;
        let failed = self.failed.borrow().clone();
        failed.map_or(Ok(()), |error| Err(DialError::Shared(error)))
    }
}
