//! A request body on its way to a backend: streamed, limited, timed, and held back while `100 Continue` is awaited.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::exchange::{Fault, Membership, Phase};
use crate::clock::Clock;

/// What ends a request body before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client broke off or sent nonsense.
    #[error("the request body broke off: {0}")]
    Client(#[from] hyper::Error),
    /// It is longer than allowed.
    #[error("the request body is longer than {0} octets")]
    TooLong(u64),
    /// The backend has answered without asking for it.
    #[error("the backend does not want the request body")]
    Unwanted,
}

/// A request body as it is sent to a backend.
#[derive(Debug)]
pub struct Outgoing(Option<Box<Streaming>>);

/// A body that is not empty.
#[derive(Debug)]
struct Streaming {
    incoming: Incoming,
    left: u64,
    limit: u64,
    pace: Pace,
    gate: Option<Gate>,
}

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
    pub fn stream(incoming: Incoming, limit: u64, pace: Pace, gate: Option<Gate>) -> Self {
        let limit = if limit == 0 { u64::MAX } else { limit };
        pace.exchange.hold_back(gate.is_some());
        Self(Some(Box::new(Streaming { incoming, left: limit, limit, pace, gate })))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |streaming| streaming.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|streaming| streaming.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |streaming| streaming.incoming.size_hint())
    }
}

impl Streaming {
    /// Trailers are dropped: they are optional to keep (RFC 9110 §6.5.1) and few backends accept them.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate.poll_open(cx));
            if self.pace.exchange.phase() == Phase::Over {
                return Poll::Ready(Some(Err(BodyError::Unwanted)));
            }
            self.pace.exchange.hold_back(false);
            self.gate = None;
        }
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            self.pace.wait_for_client();
            return Poll::Pending;
        };
        self.pace.wait_for_backend();
        match frame {
            None => Poll::Ready(None),
            Some(Err(error)) => {
                self.pace.exchange.set_fault(Fault::Broken);
                Poll::Ready(Some(Err(error.into())))
            }
            Some(Ok(frame)) => Poll::Ready(self.count(frame)),
        }
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, BodyError>> {
        let data = frame.into_data().ok()?;
        let Some(left) = self.left.checked_sub(data.len() as u64) else {
            self.pace.exchange.set_fault(Fault::TooLong);
            return Some(Err(BodyError::TooLong(self.limit)));
        };
        self.left = left;
        self.pace.exchange.count_received(data.len());
        Some(Ok(Frame::data(data)))
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

/// Holds a request body back until the backend says `100 Continue`, or has not said anything for a second
/// (RFC 9110 §10.1.1 lets a client go on then).
#[derive(Debug)]
pub struct Gate {
    opened: Arc<Opened>,
    patience: Pin<Box<Sleep>>,
}

/// Opens a gate, for connections of which hyper knows nothing; goes with the request that waits.
#[derive(Debug, Clone)]
pub(super) struct Opener(Arc<Opened>);

#[derive(Debug, Default)]
struct Opened {
    open: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

const PATIENCE: Duration = Duration::from_secs(1);

impl Gate {
    /// A closed gate that `request`'s interim response opens.
    pub fn before<B>(request: &mut http::Request<B>) -> Self {
        let opened = Arc::new(Opened::default());
        let by_backend = opened.clone();
        request.extensions_mut().insert(Opener(opened.clone()));
        hyper::ext::on_informational(request, move |response| {
            if response.status() == http::StatusCode::CONTINUE {
                by_backend.open();
            }
        });
        Self { opened, patience: Box::pin(sleep(PATIENCE)) }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        *self.opened.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        if self.opened.open.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            self.patience.as_mut().poll(cx)
        }
    }
}

impl Opener {
    /// The backend has said `100 Continue`.
    pub(super) fn open(&self) {
        self.0.open();
    }
}

impl Opened {
    fn open(&self) {
        self.open.store(true, Ordering::Release);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }
}
