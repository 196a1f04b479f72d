//! HTTP/1.1 with a client: one connection, whose requests are read and whose responses are written by whoever serves it.
//! What a request means, and how long anything may take, is for others to say.
//!
//! An idle connection holds no buffer: what comes is read into one that all connections of a worker share, and only what
//! of it is still needed is kept.

mod body;
mod delivery;
mod head;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Method, Version};
use tokio::io::AsyncWrite;

use super::chunked::Chunked;
use super::fields;
use crate::headers::Request;
use crate::transport::pulse::Pulse;
use crate::transport::{Received, Wire, scratch};

pub use body::Incoming;
pub use delivery::{Delivery, Undelivered};
pub use head::{HeadError, HeadLimits};

use head::{Framing, Head};

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    inner: Rc<RefCell<Inner>>,
}

#[derive(Debug)]
struct Inner {
    /// None once it carries something else.
    wire: Option<Wire>,
    /// Read, and not taken yet.
    input: BytesMut,
    /// Octets of a head that were looked at and are not all of it.
    seen: usize,
    reading: Reading,
    /// The client waits to be told to send the body.
    expects: bool,
    /// Nobody wants the body.
    is_unwanted: bool,
    /// The client has ended its direction.
    ended: bool,
    /// Octets to read of a body at once.
    appetite: usize,
    /// Of an interim response, what the system would not take at once.
    unsent: Bytes,
    /// Waits for the request body to end.
    waiting: Option<Waker>,
    /// Waits for more of it.
    reader: Option<Waker>,
    pulse: Rc<Pulse>,
}

/// What of a request comes next.
#[derive(Debug)]
enum Reading {
    /// Another one.
    Head,
    Length(u64),
    Chunked(Chunked),
    /// Nobody wants the rest of the body, or it is none: nothing that follows can be read.
    Lost,
}

/// A request, and what its client said of the response.
#[derive(Debug)]
pub struct Arrival {
    /// The request itself.
    pub request: Box<Request>,
    /// Its body.
    pub body: Received,
    /// What the response has to heed.
    pub said: Said,
}

/// What a request says of its response.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub struct Said {
    /// Only its head is wanted.
    pub is_head: bool,
    /// The client speaks HTTP/1.0.
    pub is_old: bool,
    /// Another request may follow.
    pub persists: bool,
    /// Trailer fields are welcome (RFC 9110 §10.1.4).
    pub wants_trailers: bool,
}

impl Said {
    /// Of a request that could not be read.
    pub const NOTHING: Self = Self { is_head: false, is_old: false, persists: false, wants_trailers: false };
}

/// Why no request came.
#[derive(Debug, thiserror::Error)]
pub enum NoRequest {
    /// What came is none.
    #[error(transparent)]
    Refused(#[from] HeadError),
    /// The client ended within one.
    #[error("the connection ended within a request head")]
    Partial,
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] io::Error),
}

/// Octets that are read of a body at first, and the most that are read at once where it fills the reads before.
const READ: usize = 8 * 1024;
const MOST_READ: usize = 64 * 1024;
/// Octets of further requests that are read while one is answered.
const AHEAD: usize = 16 * 1024;

impl Connection {
    /// A connection of which `ahead` was read.
    pub fn new(wire: Wire, ahead: &[u8], pulse: Rc<Pulse>) -> Self {
        let inner = Inner {
            wire: Some(wire),
            input: BytesMut::from(ahead),
            seen: 0,
            reading: Reading::Head,
            expects: false,
            is_unwanted: false,
            ended: false,
            appetite: READ,
            unsent: Bytes::new(),
            waiting: None,
            reader: None,
            pulse,
        };
        if !ahead.is_empty() {
            inner.pulse.received();
        }
        Self { inner: Rc::new(RefCell::new(inner)) }
    }

    /// The next request; `None` once the client has ended.
    ///
    /// # Errors
    /// What came is none, or the connection broke.
    pub fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        limits: &HeadLimits,
    ) -> Poll<Result<Option<Arrival>, NoRequest>> {
        let mut inner = self.inner.borrow_mut();
        let head = ready!(inner.poll_head(cx, limits))?;
        Poll::Ready(Ok(head.map(|head| inner.arrive(head, &self.inner))))
    }

    /// Ready once the client has left, or ended its direction, while its request is answered.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.borrow_mut().poll_gone(cx)
    }

    /// Whether another request can be read, once that is known: what is left of the body of the last one may still be on
    /// its way to a backend.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut inner = self.inner.borrow_mut();
        inner.read_unwanted(cx);
        match inner.reading {
            Reading::Head => Poll::Ready(!inner.ended),
            Reading::Lost => Poll::Ready(false),
            Reading::Length(_) | Reading::Chunked(_) => {
                inner.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ends the connection. While the client may still be sending, what it sends is read and dropped: a socket that is
    /// closed with data unread resets the connection, and the client could lose the response.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.borrow_mut();
        let may_send = !inner.ended && (matches!(inner.reading, Reading::Lost) || !inner.input.is_empty());
        let Some(wire) = &mut inner.wire else { return Poll::Ready(()) };
        if !may_send && matches!(wire, Wire::Plain(_)) {
            // Closing it says the same in one call.
            return Poll::Ready(());
        }
        if ready!(Pin::new(&mut *wire).poll_shutdown(cx)).is_err() || !may_send {
            return Poll::Ready(());
        }
        while let Ok(1..) = ready!(scratch::with(|scratch| wire.poll_octets(cx, scratch))) {}
        Poll::Ready(())
    }

    /// Writes what goes at once, to whoever still listens.
    pub fn say(&mut self, octets: &[u8]) {
        if let Some(wire) = &mut self.inner.borrow_mut().wire {
            wire.write_at_once(octets);
        }
    }

    /// The wire, which another protocol is spoken on from now on, and what was read ahead.
    pub fn into_wire(self) -> Option<(Wire, Bytes)> {
        let mut inner = self.inner.borrow_mut();
        let ahead = std::mem::take(&mut inner.input).freeze();
        inner.wire.take().map(|wire| (wire, ahead))
    }
}

impl Drop for Connection {
    /// A body that is still being read ends here.
    fn drop(&mut self) {
        let mut inner = self.inner.borrow_mut();
        (inner.wire, inner.reading) = (None, Reading::Lost);
        if let Some(reader) = inner.reader.take() {
            reader.wake();
        }
    }
}

impl Inner {
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &HeadLimits,
    ) -> Poll<Result<Option<Head>, NoRequest>> {
        if !self.input.is_empty() && self.seen == 0 {
            self.pulse.received();
            if let Some(head) = self.parse(limits)? {
                return Poll::Ready(Ok(Some(head)));
            }
        }
        loop {
            let read = scratch::with(|scratch| self.poll_fresh_head(cx, limits, scratch));
            if let Some(head) = ready!(read)? {
                return Poll::Ready(Ok(Some(head)));
            }
            if self.ended {
                return Poll::Ready(if self.input.is_empty() { Ok(None) } else { Err(NoRequest::Partial) });
            }
        }
    }

    /// Reads more of a head; none as long as it is not whole.
    fn poll_fresh_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &HeadLimits,
        scratch: &mut [u8],
    ) -> Poll<Result<Option<Head>, NoRequest>> {
        let count = match &mut self.wire {
            Some(wire) => ready!(wire.poll_octets(cx, scratch))?,
            None => 0,
        };
        if count == 0 {
            self.ended = true;
            return Poll::Ready(Ok(None));
        }
        self.pulse.received();
        let came = scratch.get(..count).unwrap_or_default();
        if self.input.is_empty() {
            return Poll::Ready(Ok(self.read_head(came, limits)?));
        }
        self.input.extend_from_slice(came);
        Poll::Ready(Ok(self.parse(limits)?))
    }

    /// Parses what has just come, and keeps what is not of the head.
    fn read_head(&mut self, came: &[u8], limits: &HeadLimits) -> Result<Option<Head>, HeadError> {
        let head = head::parse(came, limits).inspect_err(|_| self.reading = Reading::Lost)?;
        let rest = came.get(head.as_ref().map_or(0, |head| head.length)..).unwrap_or_default();
        self.seen = if head.is_some() { 0 } else { rest.len() };
        if !rest.is_empty() {
            self.input.extend_from_slice(rest);
        }
        Ok(head)
    }

    /// Parses what was kept.
    fn parse(&mut self, limits: &HeadLimits) -> Result<Option<Head>, HeadError> {
        let seen = std::mem::replace(&mut self.seen, self.input.len());
        if self.input.len() <= limits.octets && !fields::may_end(&self.input, seen) {
            return Ok(None);
        }
        let head = head::parse(&self.input, limits).inspect_err(|_| self.reading = Reading::Lost)?;
        if let Some(head) = &head {
            self.seen = 0;
            self.input.advance(head.length);
            self.let_go();
        }
        Ok(head)
    }

    /// Gives the buffer back that nothing is left in.
    fn let_go(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    fn arrive(&mut self, head: Head, inner: &Rc<RefCell<Self>>) -> Arrival {
        let Head { request, framing, persists, .. } = head;
        let said = Said {
            is_head: request.method == Method::HEAD,
            is_old: request.version == Version::HTTP_10,
            persists,
            wants_trailers: request.seen.trailers,
        };
        self.reading = match framing {
            Framing::Length(0) => Reading::Head,
            Framing::Length(length) => Reading::Length(length),
            Framing::Chunked(chunked) => Reading::Chunked(chunked),
        };
        let has_body = !matches!(self.reading, Reading::Head);
        self.pulse.set_within_body(has_body);
        (self.expects, self.appetite) = (request.seen.continues && has_body, READ);
        let body = if has_body { Received::Http1(Incoming::new(inner.clone())) } else { Received::Nothing };
        Arrival { request, body, said }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Whoever reads the body hears of it otherwise. More than one request ahead is not read.
        let is_silent = matches!(self.reading, Reading::Head) && self.input.is_empty() && !self.ended;
        let (true, Some(wire)) = (is_silent, &mut self.wire) else { return Poll::Pending };
        let read = scratch::with(|scratch| {
            let room = scratch.get_mut(..AHEAD).unwrap_or_default();
            let polled = wire.poll_octets(cx, room);
            if let Poll::Ready(Ok(count)) = polled {
                self.input.extend_from_slice(room.get(..count).unwrap_or_default());
            }
            polled
        });
        if let Ok(1..) = ready!(read) {
            return Poll::Pending;
        }
        self.ended = true;
        Poll::Ready(())
    }

    /// The request body has come to its end, or to that of everybody's interest.
    fn body_is_over(&mut self, reading: Reading) {
        if matches!(reading, Reading::Head) {
            self.pulse.set_within_body(false);
        }
        self.reading = reading;
        self.let_go();
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// Writes what is left of an interim response.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let Some(wire) = &mut self.wire else {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            };
            match ready!(Pin::new(wire).poll_write(cx, &self.unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.unsent.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}
