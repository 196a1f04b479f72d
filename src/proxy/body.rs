//! Response bodies: small ones of the proxy's own, and streams from backends with what must end when they end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::lesson::Reader;
use super::running::Running;
use crate::headers;
use crate::transport::exchange::Phase;
use crate::transport::{Arriving, BrokenOff};

/// The body of a response.
#[derive(Debug)]
pub(crate) struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Empty,
    /// Boxed, since it is seldom there and responses are handed on often.
    Full(Box<Bytes>),
    /// Not sent, so that the length in the head is of a body the client has.
    Absent,
    /// The stream that the response is sent on becomes a tunnel.
    Tunnel,
    Stream(Box<Stream>),
}

/// A body on its way from a backend.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) incoming: Arriving,
    /// None once the body has ended.
    pub(super) running: Option<Box<Running>>,
    /// Looks for a session key in it; none when there is nothing to be found, or no more.
    pub(super) reader: Option<Box<Reader>>,
}

impl Body {
    pub(super) const fn empty() -> Self {
        Self(Kind::Empty)
    }

    pub(super) fn full(bytes: Bytes) -> Self {
        Self(Kind::Full(Box::new(bytes)))
    }

    pub(super) const fn absent() -> Self {
        Self(Kind::Absent)
    }

    pub(super) const fn tunnel() -> Self {
        Self(Kind::Tunnel)
    }

    pub(super) fn stream(stream: Stream) -> Self {
        stream.wait();
        Self(Kind::Stream(Box::new(stream)))
    }
}

impl Body {
    /// Hears whether the exchange was called to end while its body is on the way. Otherwise the task of `cx` will be
    /// woken by the call.
    pub(crate) fn is_called(&self, cx: &Context<'_>) -> bool {
        let Kind::Stream(stream) = &self.0 else { return false };
        stream.running.as_ref().is_some_and(|running| running.membership.hear(cx).is_some())
    }

    /// Whether what follows is a tunnel's.
    pub(crate) fn is_tunnel(&self) -> bool {
        matches!(self.0, Kind::Tunnel)
    }

    /// Whether it stands for one that is not sent.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.0, Kind::Absent)
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
        if let Some(record) = self.running.as_mut().and_then(|running| running.record.as_mut()) {
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
        match &mut self.0 {
            Kind::Full(bytes) => {
                let data = std::mem::take(&mut **bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Kind::Empty | Kind::Absent | Kind::Tunnel => Poll::Ready(None),
            Kind::Stream(stream) => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(_) | Kind::Absent | Kind::Tunnel => false,
            Kind::Stream(stream) => stream.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Absent | Kind::Tunnel => SizeHint::default(),
            Kind::Stream(stream) => stream.incoming.size_hint(),
        }
    }
}
