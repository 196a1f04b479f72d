//! A request on its way out, and what of it may still go elsewhere.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{TRAILER, TRANSFER_ENCODING};
use http_body::Body as _;

use super::head;
use crate::headers::Request;
use crate::transport::http1::Fault;
use crate::transport::http1::outbox::{Framing, Outbox};
use crate::transport::{Outgoing, Wire, scratch};

/// One request, as far as it has not been sent.
#[derive(Debug)]
pub(super) struct Sending {
    outbox: Outbox,
    body: Outgoing,
    /// What the first piece of the body was, until anything is sent.
    first: Option<Bytes>,
    /// Something was taken of the body that cannot be put back.
    is_taken: bool,
}

impl Sending {
    /// A request of which nothing is sent. Its fields say already how long the body is.
    pub(super) fn new(request: &Request, body: Outgoing) -> Self {
        let (framing, trailer) = if body.is_end_stream() {
            (Framing::Over, None)
        } else if request.fields.contains(&TRANSFER_ENCODING) {
            (Framing::Chunked, request.fields.value(&TRAILER))
        } else {
            (Framing::Length(body.size_hint().lower()), None)
        };
        let mut out = scratch::spare();
        head::write(request, &mut out);
        Self { outbox: Outbox::new(out, framing, trailer), body, first: None, is_taken: false }
    }

    /// Whether all of it is sent.
    pub(super) fn is_over(&self) -> bool {
        self.outbox.is_sent()
    }

    /// Octets that the backend took so far.
    pub(super) fn sent(&self) -> u64 {
        self.outbox.sent()
    }

    /// The body as it was, where nothing of the request is sent.
    pub(super) fn unsent(self) -> Option<Outgoing> {
        let Self { outbox, mut body, first, is_taken } = self;
        if outbox.sent() > 0 || is_taken {
            return None;
        }
        if let Some(first) = first {
            body.put_back(first);
        }
        Some(body)
    }

    /// Sends what goes; ready when all of it is sent.
    ///
    /// # Errors
    /// The connection broke, or the body did.
    pub(super) fn poll(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            // Fails for good: were the body asked again, its end could pass for that of the whole.
            let more = self.gather(cx)?;
            let written = self.outbox.poll_write(wire, cx);
            if self.sent() > 0 {
                self.first = None;
            }
            ready!(written)?;
            match more {
                Poll::Ready(()) if self.outbox.is_over() => return Poll::Ready(Ok(())),
                Poll::Ready(()) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Gathers as much as is worth one write. Pending: the body has nothing more now.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.outbox.wants_more() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                self.outbox.end()?;
                break;
            };
            let frame = frame?;
            let is_first = self.sent() == 0;
            if is_first {
                self.is_taken |= !frame.is_data();
                self.first = frame.data_ref().filter(|data| !data.is_empty()).cloned();
            }
            self.outbox.add(frame)?;
            // The last piece goes with the end behind it, and nothing is asked for before a try is known to be good.
            if self.body.is_end_stream() {
                self.outbox.end()?;
            }
            if is_first {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
