//! Connections to one backend that can carry requests: those that idle, those that are shared, and those being made.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::client::conn::http1::SendRequest;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::heard::Heard;
use super::shared::{MAX_STREAMS, Place, Shared};
use super::{Arriving, BrokenOff, DialError, Outgoing, Way, dial};
use crate::clock::Now;
use crate::config::{Protocol, Timeouts};

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
    Http1(SendRequest<Outgoing>, Heard),
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
    sender: SendRequest<Outgoing>,
    heard: Heard,
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
    /// The request, where nothing of it was sent, or the backend says that it has done nothing with it.
    pub request: Option<Box<Request<Outgoing>>>,
    /// What happened.
    #[source]
    pub error: BrokenOff,
}

impl Unanswered {
    /// Nothing was done with the request.
    pub(super) fn untouched(request: Request<Outgoing>, error: impl Into<BrokenOff>) -> Self {
        Self { request: Some(Box::new(request)), error: error.into() }
    }

    /// Nobody knows what was done with the request.
    pub(super) fn lost(error: impl Into<BrokenOff>) -> Self {
        Self { request: None, error: error.into() }
    }

    /// Whether the connection broke, or the stream of the request was reset: by the other side, or by whatever is in
    /// between. A connection on which nobody has moved for minutes is a time-out.
    pub fn is_broken(&self) -> bool {
        let is_io = |error: &io::Error| error.kind() != io::ErrorKind::TimedOut;
        match &self.error {
            BrokenOff::Http1(error) => {
                let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
                error.is_incomplete_message() || source.is_some_and(is_io)
            }
            BrokenOff::Http2(error) => error.get_io().map_or(error.is_remote(), is_io),
        }
    }

    /// Whether the backend answered what is not HTTP.
    pub fn is_nonsense(&self) -> bool {
        match &self.error {
            BrokenOff::Http1(error) => error.is_parse(),
            BrokenOff::Http2(error) => error.is_library(),
        }
    }
}

impl Link {
    /// Sends a request and waits for the head of the response.
    ///
    /// # Errors
    /// There is none; the request comes back where it may be sent again.
    pub async fn send(&mut self, request: Request<Outgoing>) -> Result<Response<Arriving>, Unanswered> {
        match &mut self.carrier {
            Carrier::Http1(sender, heard) => {
                heard.forget();
                match sender.try_send_request(request).await {
                    Ok(response) => Ok(response.map(Arriving::from)),
                    Err(mut error) => {
                        let request = error.take_message().map(Box::new);
                        Err(Unanswered { request, error: error.into_error().into() })
                    }
                }
            }
            // Boxed: it would count in the size of every request's future, also of those that go by HTTP/1.1.
            Carrier::Http2(place) => Box::pin(place.send(request, self.home.way.dialing.scheme())).await,
        }
    }

    /// Whether something of a response to the last request came, though it did not become one.
    pub fn has_heard(&self) -> bool {
        match &self.carrier {
            Carrier::Http1(_, heard) => heard.anything(),
            // A stream has a response as soon as there is any of it.
            Carrier::Http2(_) => false,
        }
    }

    /// Keeps the connection, whose exchange is over, for others, for so long after `now`.
    pub fn keep(self, now: Now, keep_alive: Duration) {
        match self.carrier {
            Carrier::Http1(sender, heard) => {
                let mut idle = self.home.idle.borrow_mut();
                if !keep_alive.is_zero() && !sender.is_closed() && idle.len() < MAX_IDLE {
                    idle.push(Idle { sender, heard, expires: now.after(keep_alive) });
                }
            }
            Carrier::Http2(place) => place.set_keep_alive(keep_alive),
        }
    }

    /// Completes when nothing more of what it carried and was given up can be sent: an HTTP/1.1 connection is closed,
    /// a stream of an HTTP/2 connection reset.
    pub async fn closed(self) {
        match self.carrier {
            // Fails when it is closed, which it is as soon as what it carries was given up; otherwise this closes it.
            Carrier::Http1(mut sender, _) => drop(sender.ready().await),
            Carrier::Http2(place) => place.closed().await,
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
        while idle.pop_if(|link| link.sender.is_closed()).is_some() {}
        let ready = idle.iter().rposition(|link| link.sender.is_ready())?;
        let Idle { sender, heard, .. } = idle.remove(ready);
        Some(Carrier::Http1(sender, heard))
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
            let (sender, heard) = made.map_err(|_| DialError::TimedOut(limit))??;
            return Ok(Link { carrier: Carrier::Http1(sender, heard), used: false, home: self.clone() });
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

    async fn dial_http1(&self) -> Result<(SendRequest<Outgoing>, Heard), DialError> {
        dial::http1(self.way.wire(Protocol::Http1).await?, self.way.address).await
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
        self.idle.borrow_mut().retain(|link| !link.sender.is_closed() && link.expires > now);
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
