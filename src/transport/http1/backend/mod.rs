//! HTTP/1.1 to a backend: one connection, which belongs to the exchange that uses it. Only a request body that outlasts
//! the head of its response is sent by a task of its own.

mod head;
mod sending;

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Fault;
use super::chunked::{Chunked, Step};
use crate::headers::{Request, Response};
use crate::transport::gate::Listener;
use crate::transport::link::Unanswered;
use crate::transport::{Outgoing, Wire};

use head::Framing;
use sending::Sending;

/// Octets that are read at first, and the most that are read at once where a body fills the reads before.
const READ: usize = 8 * 1024;
const MOST_READ: usize = 64 * 1024;
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

/// The body of a response on its way in.
#[derive(Debug)]
pub(in crate::transport) struct Incoming(Rc<RefCell<Inner>>);

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
        head: &Request<()>,
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
        let Exchange { sending, .. } = exchange;
        match answered {
            Ok(response) => {
                if !sending.is_over() {
                    // Not polled before this returns.
                    let upload = tokio::task::spawn_local(upload(self.0.clone(), sending));
                    self.0.borrow_mut().upload = Some(upload);
                }
                Ok(response.map(|()| Incoming(self.0.clone())))
            }
            Err(fault) => {
                let unsent = if matches!(fault, Fault::Body(_)) { None } else { sending.unsent() };
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
                Poll::Ready(Err(fault)) if exchange.sending.sent == 0 || matches!(fault, Fault::Body(_)) => {
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
            if !self.input.is_empty()
                && let Some(head) = head::take(&mut self.input, &mut exchange.seen, exchange.method)?
            {
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
                continue;
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(Fault::Closed));
            }
        }
    }

    /// Reads more; 0 at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        let wire = self.wire.as_mut().ok_or(Fault::Closed)?;
        self.input.reserve(self.appetite);
        let room = self.input.capacity() - self.input.len();
        let count = ready!(pin!(wire.read_buf(&mut self.input)).poll(cx))?;
        self.heard |= count > 0;
        // What fills a read is a part of more: the next may be larger.
        if count == room {
            self.appetite = (self.appetite * 2).min(MOST_READ);
        }
        Poll::Ready(Ok(count))
    }

    /// A fault is told at the next call: what came before it is passed on first, where that is possible.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Some(fault) = self.fault.take() {
            return Poll::Ready(Some(Err(fault)));
        }
        match self.poll_frame(cx) {
            Poll::Ready(Some(Err(fault))) => {
                self.persists = false;
                self.fault = Some(fault);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            polled => polled,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if self.upload.is_some() {
            self.reader = Some(cx.waker().clone());
        }
        loop {
            match &mut self.reading {
                Reading::Nothing | Reading::Head | Reading::Length(0) => return Poll::Ready(None),
                Reading::Chunked(chunked) => match chunked.read(&mut self.input)? {
                    Step::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Step::Trailers(fields) => return Poll::Ready(Some(Ok(self.end(fields)))),
                    Step::End => {
                        self.reading = Reading::Nothing;
                        return Poll::Ready(None);
                    }
                    Step::More => {}
                },
                Reading::Length(left) if !self.input.is_empty() => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                    *left -= most as u64;
                    return Poll::Ready(Some(Ok(Frame::data(self.input.split_to(most).freeze()))));
                }
                Reading::Close if !self.input.is_empty() => {
                    return Poll::Ready(Some(Ok(Frame::data(self.input.split().freeze()))));
                }
                Reading::Length(_) | Reading::Close => {}
            }
            if ready!(self.poll_fill(cx))? == 0 {
                if matches!(self.reading, Reading::Close) {
                    self.reading = Reading::Nothing;
                    return Poll::Ready(None);
                }
                return Poll::Ready(Some(Err(Fault::Closed)));
            }
        }
    }

    fn end(&mut self, trailers: HeaderMap) -> Frame<Bytes> {
        self.reading = Reading::Nothing;
        Frame::trailers(trailers)
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
        let before = sending.sent;
        let polled = poll_fn(|cx| connection.borrow_mut().poll_upload(cx, &mut sending));
        match timeout(LEFT_ALONE, polled).await {
            Ok(ended) => break ended,
            Err(_) if sending.sent == before && connection.borrow().is_over() => break Err(Fault::Stalled),
            Err(_) => {}
        }
    };
    if let Err(fault) = ended {
        connection.borrow_mut().give_up(fault);
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.0.borrow_mut().poll_body(cx)
    }

    fn is_end_stream(&self) -> bool {
        let inner = self.0.borrow();
        inner.is_over() && inner.fault.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.borrow().reading {
            Reading::Nothing => SizeHint::with_exact(0),
            Reading::Length(left) => SizeHint::with_exact(left),
            Reading::Head | Reading::Chunked(_) | Reading::Close => SizeHint::default(),
        }
    }
}
