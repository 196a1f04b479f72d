//! A request body on its way to a backend: streamed, limited, timed, held back while `100 Continue` is awaited, and kept
//! as far as it may have to be sent again.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::exchange::{Fault, Membership, Phase};
use super::{Gate, ReceiveError, Received};
use crate::clock::Clock;
use crate::headers;

/// What ends a request body before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client broke off or sent nonsense.
    #[error("the request body broke off: {0}")]
    Client(#[from] ReceiveError),
    /// It is longer than allowed.
    #[error("the request body is longer than {0} octets")]
    TooLong(u64),
    /// The backend has answered without asking for it.
    #[error("the backend does not want the request body")]
    Unwanted,
}

/// Octets of a body that are kept to be sent again. A longer one is not sent again once any of it may have been.
pub const MOST_KEPT: usize = 64 * 1024;

/// A request body as it is sent to a backend, once.
#[derive(Debug)]
pub struct Outgoing(Option<Box<Sending>>);

/// One try at sending a body that is not empty.
#[derive(Debug)]
struct Sending {
    body: Rc<RefCell<Streaming>>,
    turn: u32,
    /// What earlier tries have taken from the client, to be sent first.
    again: Bytes,
    /// And last, if the body has come to its end.
    trailers: Option<HeaderMap>,
}

/// A body that is not empty, as it comes from the client.
#[derive(Debug)]
struct Streaming {
    incoming: Received,
    /// Nothing more comes.
    ended: bool,
    left: u64,
    limit: u64,
    pace: Pace,
    gate: Option<Gate>,
    /// The try that is under way. Earlier ones get nothing more.
    turn: u32,
    kept: Kept,
}

/// What came so far, where it may have to be sent again. Copied: pieces of the buffers it was read into would hold on to
/// them, however small the pieces.
#[derive(Debug)]
enum Kept {
    All {
        octets: Vec<u8>,
        trailers: Option<HeaderMap>,
    },
    /// Nobody wants it, or it is too long.
    Nothing,
}

/// What is needed to send a body again. As long as this lives, and the body is short enough, it is kept.
#[derive(Debug)]
pub struct Replay(Option<Rc<RefCell<Streaming>>>);

/// How long the two sides may take.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The exchange whose deadline moves with the body.
    pub exchange: Rc<Membership>,
    /// For the client to send more.
    pub client: Duration,
    /// For the backend to take more, or to answer.
    pub backend: Duration,
    /// What time it is.
    pub clock: Clock,
}

impl Outgoing {
    /// No body.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// Streams `incoming`, at most `limit` octets (0: any number), through `gate` if there is one.
    pub fn stream(incoming: Received, limit: u64, pace: Pace, gate: Option<Gate>) -> Self {
        let limit = if limit == 0 { u64::MAX } else { limit };
        pace.exchange.hold_back(gate.is_some());
        let (ended, left, turn, kept) = (false, limit, 0, Kept::Nothing);
        let body = Streaming { incoming, ended, left, limit, pace, gate, turn, kept };
        let body = Rc::new(RefCell::new(body));
        Self(Some(Box::new(Sending { body, turn, again: Bytes::new(), trailers: None })))
    }

    /// Puts back what was taken of a body first, and was not sent.
    pub(super) fn put_back(&mut self, first: Bytes) {
        if let Some(sending) = &mut self.0 {
            sending.again = first;
        }
    }

    /// Keeps from now on what comes of a body of which nothing has come yet.
    pub fn keep(&self) -> Replay {
        let body = self.0.as_ref().map(|sending| sending.body.clone());
        if let Some(body) = &body {
            let mut body = body.borrow_mut();
            if body.incoming.size_hint().lower() <= MOST_KEPT as u64 {
                body.kept = Kept::All { octets: Vec::new(), trailers: None };
            }
        }
        Replay(body)
    }
}

impl Replay {
    /// The body from its start; an earlier try gets nothing of it any more. `None` if too much has come for it to be
    /// kept.
    pub fn again(&self) -> Option<Outgoing> {
        let Some(shared) = &self.0 else { return Some(Outgoing::empty()) };
        let mut body = shared.borrow_mut();
        let Kept::All { octets, trailers } = &body.kept else { return None };
        let (again, trailers) = (Bytes::copy_from_slice(octets), trailers.clone());
        if let Some(gate) = &mut body.gate {
            gate.wait_anew();
        }
        body.turn += 1;
        let sending = Sending { body: shared.clone(), turn: body.turn, again, trailers };
        Some(Outgoing(Some(Box::new(sending))))
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if let Some(body) = &self.0 {
            body.borrow_mut().kept = Kept::Nothing;
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |sending| sending.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|sending| sending.is_over())
    }

    fn size_hint(&self) -> SizeHint {
        let Some(sending) = &self.0 else { return SizeHint::with_exact(0) };
        let to_come = sending.body.borrow().incoming.size_hint();
        let again = sending.again.len() as u64;
        to_come.exact().map_or_else(SizeHint::default, |octets| SizeHint::with_exact(octets + again))
    }
}

impl Sending {
    fn is_over(&self) -> bool {
        self.again.is_empty() && self.trailers.is_none() && self.body.borrow().is_over()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut body = self.body.borrow_mut();
        if body.turn != self.turn {
            return Poll::Ready(Some(Err(BodyError::Unwanted)));
        }
        if !self.again.is_empty() {
            body.pace.wait_for_backend();
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.again)))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        body.poll_frame(cx)
    }
}

impl Streaming {
    fn is_over(&self) -> bool {
        self.ended || self.incoming.is_end_stream()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate.poll_open(cx));
            if self.pace.exchange.phase() == Phase::Over {
                return Poll::Ready(Some(Err(BodyError::Unwanted)));
            }
            self.pace.exchange.hold_back(false);
            self.gate = None;
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            self.pace.wait_for_client();
            return Poll::Pending;
        };
        self.pace.wait_for_backend();
        match frame {
            None => {
                self.ended = true;
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.pace.exchange.set_fault(Fault::Broken);
                Poll::Ready(Some(Err(error.into())))
            }
            Some(Ok(frame)) => Poll::Ready(self.count(frame)),
        }
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, BodyError>> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                self.ended = true;
                let trailers = headers::trailers(frame.into_trailers().ok()?);
                self.kept.end(&trailers);
                return Some(Ok(Frame::trailers(trailers)));
            }
        };
        let Some(left) = self.left.checked_sub(data.len() as u64) else {
            self.pace.exchange.set_fault(Fault::TooLong);
            return Some(Err(BodyError::TooLong(self.limit)));
        };
        self.left = left;
        self.pace.exchange.count_received(data.len());
        self.kept.add(&data);
        Some(Ok(Frame::data(data)))
    }
}

impl Kept {
    fn add(&mut self, data: &[u8]) {
        match self {
            Self::All { octets, .. } if octets.len() + data.len() <= MOST_KEPT => {
                octets.extend_from_slice(data);
            }
            Self::All { .. } => *self = Self::Nothing,
            Self::Nothing => {}
        }
    }

    fn end(&mut self, fields: &HeaderMap) {
        if let Self::All { trailers, .. } = self {
            *trailers = Some(fields.clone());
        }
    }
}

impl Pace {
    /// Once the response is coming, its own clock counts for both directions.
    fn wait_for_client(&self) {
        let (phase, limit) = match self.exchange.phase() {
            Phase::Head | Phase::RequestBody => (Phase::RequestBody, self.client),
            other => (other, self.backend),
        };
        self.exchange.wait_for(phase, self.clock.now().after(limit));
    }

    fn wait_for_backend(&self) {
        let phase = match self.exchange.phase() {
            Phase::RequestBody => Phase::Head,
            other => other,
        };
        self.exchange.wait_for(phase, self.clock.now().after(self.backend));
    }
}
