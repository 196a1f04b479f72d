//! Response bodies: small ones of the proxy's own, and streams from backends with what must end when they end.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::lesson::Reader;
use super::running::Running;
use super::{Carrier, Client};
use crate::headers;
use crate::transport::exchange::Phase;
use crate::transport::io::Activity;
use crate::transport::{Arriving, BrokenOff};

/// The body of a response. Its client counts as busy until it is dropped.
#[derive(Debug)]
pub(crate) struct Body {
    kind: Kind,
    client: Option<Rc<Client>>,
}

#[derive(Debug)]
enum Kind {
    Full(Option<Bytes>),
    /// Not sent, so that the length in the head is of a body the client has: hyper drops that of an empty one.
    Absent,
    Stream(Box<Stream>),
}

/// A body on its way from a backend.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) incoming: Arriving,
    /// None once the body has ended.
    pub(super) running: Option<Running>,
    /// Looks for a session key in it; none when there is nothing to be found, or no more.
    pub(super) reader: Option<Box<Reader>>,
}

impl Body {
    pub(super) const fn empty() -> Self {
        Self { kind: Kind::Full(None), client: None }
    }

    pub(super) const fn full(bytes: Bytes) -> Self {
        Self { kind: Kind::Full(Some(bytes)), client: None }
    }

    pub(super) const fn absent() -> Self {
        Self { kind: Kind::Absent, client: None }
    }

    pub(super) fn stream(stream: Stream) -> Self {
        stream.wait();
        Self { kind: Kind::Stream(Box::new(stream)), client: None }
    }

    /// The same on its way to `client`. On a connection that carries many at one time, whoever carries it looks after it.
    pub(super) fn to(mut self, client: Rc<Client>) -> Self {
        if client.line.carrier == Carrier::Http2 {
            return self;
        }
        if let Kind::Stream(stream) = &self.kind
            && let Some(running) = &stream.running
        {
            *client.streaming.borrow_mut() = Some(running.membership.clone());
        }
        self.client = Some(client);
        self
    }
}

impl Body {
    /// Hears whether the exchange was called to end while its body is on the way. Otherwise the task of `cx` will be
    /// woken by the call.
    pub(crate) fn is_called(&self, cx: &Context<'_>) -> bool {
        let Kind::Stream(stream) = &self.kind else { return false };
        stream.running.as_ref().is_some_and(|running| running.membership.hear(cx).is_some())
    }

    /// Whether it stands for one that is not sent.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.kind, Kind::Absent)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(client) = &self.client {
            client.streaming.take();
            client.pulse.set(Activity::Idle);
        }
    }
}

impl Stream {
    /// From the last byte on either side may let so much time pass without another.
    fn wait(&self) {
        if let Some(running) = &self.running {
            running
                .membership
                .wait_for(Phase::ResponseBody, running.seen.after(running.pool().timeouts.idle));
        }
    }

    fn passed(&mut self, data: &Bytes) {
        if let (Some(reader), Some(running)) = (&mut self.reader, &mut self.running)
            && !reader.read(running, data)
        {
            self.reader = None;
        }
        if let Some(Running { record: Some(record), .. }) = &mut self.running {
            record.sent += data.len() as u64;
        }
        if self.incoming.is_end_stream() {
            return self.finish();
        }
        if let Some(running) = &mut self.running {
            running.seen = running.worker.clock.now();
        }
        self.wait();
    }

    fn finish(&mut self) {
        if let Some(running) = self.running.take() {
            running.finish();
        }
    }

    fn break_off(&mut self, error: &BrokenOff) {
        if let Some(running) = &mut self.running {
            running.counters().failures.up();
            running.note(|| format!("the response body broke off: {error}"));
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let frame = match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                self.break_off(&error);
                return Poll::Ready(Some(Err(error)));
            }
            None => {
                self.finish();
                return Poll::Ready(None);
            }
        };
        let trailers = match frame.into_data() {
            Ok(data) => {
                self.passed(&data);
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            Err(frame) => frame.into_trailers().unwrap_or_default(),
        };
        self.finish();
        Poll::Ready(Some(Ok(Frame::trailers(headers::trailers(trailers)))))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.kind {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Absent => Poll::Ready(None),
            Kind::Stream(stream) => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Absent => false,
            Kind::Stream(stream) => stream.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Absent => SizeHint::default(),
            Kind::Stream(stream) => stream.incoming.size_hint(),
        }
    }
}
