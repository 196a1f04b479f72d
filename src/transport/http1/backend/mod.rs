//! HTTP/1.1 to a backend: one connection, which belongs to the exchange that uses it. Only a request body that outlasts
//! the head of its response is sent by a task of its own.

mod body;
mod head;
mod sending;

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Fault;
use super::chunked::Chunked;
use crate::headers::{Request, Response};
use crate::transport::gate::Listener;
use crate::transport::link::Unanswered;
use crate::transport::{Outgoing, Wire, scratch};

pub(in crate::transport) use body::Incoming;
use head::{Framing, Head};
use sending::Sending;

/// Octets that are read of a body at first.
const READ: usize = 8 * 1024;
/// Octets that are read with a head at most: what of a body comes with it is copied.
const AHEAD: usize = 16 * 1024;
/// Responses that may come before the one that counts.
const MAX_INTERIM: usize = 1000;
/// For a backend that has answered to take more of the request body, and for the client to send more of it.
const LEFT_ALONE: Duration = Duration::from_secs(10);

/// A connection. Dropped, it is closed, whatever it carries.
#[derive(Debug)]
pub(in crate::transport) struct Connection(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    /// None once it is closed, or serves another protocol.
    wire: Option<Wire>,
    /// Read, and not handed on yet.
    input: BytesMut,
    /// Octets to read at once.
    appetite: usize,
    /// Whether anything has come since a request was last begun.
    heard: bool,
    reading: Reading,
    /// Whether it may carry another exchange when this one is over.
    persists: bool,
    /// Sends what is left of the request body.
    upload: Option<JoinHandle<()>>,
    /// Why the response will not come to its end.
    fault: Option<Fault>,
    /// Who reads while a task sends.
    reader: Option<Waker>,
}

/// What of a response comes next.
#[derive(Debug)]
enum Reading {
    /// Nothing: no request is under way.
    Nothing,
    Head,
    Length(u64),
    Chunked(Chunked),
    /// Until the backend closes.
    Close,
}

impl Connection {
    /// A connection that has carried nothing yet.
    pub(in crate::transport) fn new(wire: Wire) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            wire: Some(wire),
            input: BytesMut::new(),
            appetite: READ,
            heard: false,
            reading: Reading::Nothing,
            persists: true,
            upload: None,
            fault: None,
            reader: None,
        })))
    }

    /// Sends a request and waits for the head of its response. Must be called on a worker's runtime.
    pub(in crate::transport) async fn send(
        &self,
        head: &Request,
        listener: Option<&Listener>,
        body: Outgoing,
    ) -> Result<Response<Incoming>, Unanswered> {
        let mut exchange = Exchange {
            sending: Sending::new(head, body),
            fault: None,
            seen: 0,
            interim: 0,
            method: &head.method,
            listener,
        };
        self.0.borrow_mut().begin();
        let answered = poll_fn(|cx| self.0.borrow_mut().poll_exchange(cx, &mut exchange)).await;
        match answered {
            Ok(response) => {
                if !exchange.sending.is_over() {
                    // Not polled before this returns.
                    let upload = tokio::task::spawn_local(upload(self.0.clone(), exchange.sending));
                    self.0.borrow_mut().upload = Some(upload);
                }
                Ok(response.map(|()| Incoming::new(self.0.clone())))
            }
            Err(fault) => {
                let unsent = if matches!(fault, Fault::Body(_)) { None } else { exchange.sending.unsent() };
                Err(Unanswered { unsent, error: fault.into() })
            }
        }
    }

    /// Whether anything came after the last request.
    pub(in crate::transport) fn has_heard(&self) -> bool {
        self.0.borrow().heard
    }

    /// Whether its exchange is over, all of it, and another may follow.
    pub(in crate::transport) fn is_free(&self) -> bool {
        let inner = self.0.borrow();
        inner.persists && !inner.is_uploading() && inner.input.is_empty() && inner.is_over()
    }

    /// Whether a request body is being sent, to a backend that may still take it when its response is over.
    pub(in crate::transport) fn is_sending(&self) -> bool {
        let inner = self.0.borrow();
        inner.persists && inner.is_uploading()
    }

    /// Completes when nothing of a request body is sent any more.
    pub(in crate::transport) async fn sent(&self) {
        poll_fn(|cx| match &mut self.0.borrow_mut().upload {
            // Fails when it was aborted.
            Some(upload) if !upload.is_finished() => Pin::new(upload).poll(cx).map(drop),
            _ => Poll::Ready(()),
        })
        .await;
    }

    /// Whether it is as silent as one without an exchange should be: neither closed nor saying anything. Asks the system
    /// only when that has said that there is something.
    pub(in crate::transport) fn is_quiet(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        let cx = &mut Context::from_waker(Waker::noop());
        inner.wire.as_mut().is_some_and(|wire| wire.poll_octets(cx, &mut [0]).is_pending())
    }

    /// Lets go of the buffers that only an exchange needs.
    pub(in crate::transport) fn rest(&self) {
        let mut inner = self.0.borrow_mut();
        (inner.input, inner.appetite) = (BytesMut::new(), READ);
    }

    /// The wire, which another protocol is spoken on from now on, and what was read ahead.
    pub(in crate::transport) fn into_wire(self) -> Option<(Wire, Bytes)> {
        let mut inner = self.0.borrow_mut();
        let ahead = std::mem::take(&mut inner.input).freeze();
        inner.wire.take().map(|wire| (wire, ahead))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut inner = self.0.borrow_mut();
        inner.wire = None;
        if let Some(upload) = &inner.upload {
            upload.abort();
        }
    }
}

/// A request, and what has come of it so far.
struct Exchange<'a> {
    sending: Sending,
    /// Why it cannot be sent, though there may be a response.
    fault: Option<Fault>,
    /// Octets of a head that were looked at.
    seen: usize,
    interim: usize,
    method: &'a Method,
    listener: Option<&'a Listener>,
}

impl Inner {
    fn begin(&mut self) {
        (self.heard, self.reading, self.upload) = (false, Reading::Head, None);
    }

    fn is_uploading(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| !upload.is_finished())
    }

    fn is_over(&self) -> bool {
        matches!(self.reading, Reading::Nothing | Reading::Length(0))
    }

    /// Sends and reads, until there is a response.
    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Poll<Result<Response<()>, Fault>> {
        if exchange.fault.is_none() && !exchange.sending.is_over() {
            let wire = self.wire.as_mut().ok_or(Fault::Closed)?;
            match exchange.sending.poll(wire, cx) {
                Poll::Ready(Err(fault))
                    if exchange.sending.sent() == 0 || matches!(fault, Fault::Body(_)) =>
                {
                    return Poll::Ready(Err(fault));
                }
                // It may have answered before it closed, to say why.
                Poll::Ready(Err(fault)) => exchange.fault = Some(fault),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        match ready!(self.poll_head(cx, exchange)) {
            Ok(response) => {
                self.persists &= exchange.fault.is_none();
                Poll::Ready(Ok(response))
            }
            Err(fault @ Fault::Nonsense(_)) => Poll::Ready(Err(fault)),
            Err(fault) => Poll::Ready(Err(exchange.fault.take().unwrap_or(fault))),
        }
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Poll<Result<Response<()>, Fault>> {
        loop {
            let kept = if self.input.is_empty() {
                None
            } else {
                head::take(&mut self.input, &mut exchange.seen, exchange.method)?
            };
            let head = match kept {
                Some(head) => head,
                None => match ready!(self.poll_fresh_head(cx, exchange))? {
                    Some(head) => head,
                    None => continue,
                },
            };
            let status = head.response.status;
            if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                self.persists &= head.persists && !status.is_informational();
                self.reading = match head.framing {
                    Framing::Length(length) => Reading::Length(length),
                    Framing::Chunked(chunked) => Reading::Chunked(chunked),
                    Framing::Close => Reading::Close,
                };
                return Poll::Ready(Ok(head.response));
            }
            exchange.hear(head.response)?;
        }
    }

    /// Reads more of a head. One that comes in one piece is taken from where it was read; all else is kept.
    fn poll_fresh_head(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Poll<Result<Option<Head>, Fault>> {
        let wire = self.wire.as_mut().ok_or(Fault::Closed)?;
        scratch::with(|scratch| {
            let room = scratch.get_mut(..AHEAD).unwrap_or_default();
            let count = ready!(wire.poll_octets(cx, room))?;
            if count == 0 {
                return Poll::Ready(Err(Fault::Closed));
            }
            self.heard = true;
            let came = room.get(..count).unwrap_or_default();
            if !self.input.is_empty() {
                self.input.extend_from_slice(came);
                return Poll::Ready(Ok(None));
            }
            let head = head::parse(came, exchange.method)?;
            let rest = came.get(head.as_ref().map_or(0, |head| head.length)..).unwrap_or_default();
            if !rest.is_empty() {
                self.input.extend_from_slice(rest);
            }
            exchange.seen = if head.is_some() { 0 } else { rest.len() };
            Poll::Ready(Ok(head))
        })
    }

    /// Sends more of a request body.
    fn poll_upload(&mut self, cx: &mut Context<'_>, sending: &mut Sending) -> Poll<Result<(), Fault>> {
        let wire = self.wire.as_mut().ok_or(Fault::Closed)?;
        sending.poll(wire, cx)
    }

    /// A request body did not come to its end, and nothing can follow it.
    fn give_up(&mut self, fault: Fault) {
        self.persists = false;
        // A backend that takes no more may answer all the same. One that waits for more would do so for ever.
        if let Fault::Body(_) = fault
            && !self.is_over()
        {
            self.fault = Some(fault);
            self.wire = None;
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
    }
}

impl Exchange<'_> {
    /// A response before the one that counts.
    fn hear(&mut self, response: Response<()>) -> Result<(), Fault> {
        self.interim += 1;
        if self.interim > MAX_INTERIM {
            return Err(Fault::Nonsense("too many interim responses"));
        }
        if let Some(listener) = self.listener {
            listener.hear(response.status, response.fields);
        }
        Ok(())
    }
}

/// Sends what is left of a request whose response has begun. When that is over, and neither side moves any more, the
/// rest is not waited for.
async fn upload(connection: Rc<RefCell<Inner>>, mut sending: Sending) {
    let ended = loop {
        let before = sending.sent();
        let polled = poll_fn(|cx| connection.borrow_mut().poll_upload(cx, &mut sending));
        match timeout(LEFT_ALONE, polled).await {
            Ok(ended) => break ended,
            Err(_) if sending.sent() == before && connection.borrow().is_over() => break Err(Fault::Stalled),
            Err(_) => {}
        }
    };
    if let Err(fault) = ended {
        connection.borrow_mut().give_up(fault);
    }
}
