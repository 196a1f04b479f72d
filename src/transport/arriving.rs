//! The body of a backend's response on its way in, whichever protocol it comes by.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};

use super::http1::Fault;
use super::http1::backend::Incoming;

/// A response body as it comes.
#[derive(Debug)]
pub struct Arriving(Kind);

#[derive(Debug)]
enum Kind {
    Http1(Incoming),
    Http2(RecvStream),
}

/// A response body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BrokenOff {
    /// On an HTTP/1.1 connection.
    #[error(transparent)]
    Http1(#[from] Fault),
    /// On a stream of an HTTP/2 connection, which was reset or whose connection broke.
    #[error(transparent)]
    Http2(#[from] h2::Error),
}

impl From<Incoming> for Arriving {
    fn from(incoming: Incoming) -> Self {
        Self(Kind::Http1(incoming))
    }
}

impl From<RecvStream> for Arriving {
    fn from(stream: RecvStream) -> Self {
        Self(Kind::Http2(stream))
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.0 {
            Kind::Http1(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
            Kind::Http2(stream) => poll_stream(stream, cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Http1(incoming) => incoming.is_end_stream(),
            Kind::Http2(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Http1(incoming) => incoming.size_hint(),
            Kind::Http2(stream) if stream.is_end_stream() => SizeHint::with_exact(0),
            // What is known is in a Content-Length field, which h2 holds the stream to.
            Kind::Http2(_) => SizeHint::default(),
        }
    }
}

/// A stream that is reset before its end is an error whatever the reason (hyper takes `CANCEL` and `NO_ERROR` for an
/// end, with which a part of an answer would pass for the whole).
fn poll_stream(
    stream: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
    match ready!(stream.poll_data(cx)) {
        Some(Ok(data)) => {
            // What was passed on makes room for more; fails only where the stream is over.
            let _ = stream.flow_control().release_capacity(data.len());
            Poll::Ready(Some(Ok(Frame::data(data))))
        }
        Some(Err(error)) => Poll::Ready(Some(Err(error))),
        None => {
            stream.poll_trailers(cx).map_ok(|trailers| trailers.map(Frame::trailers)).map(Result::transpose)
        }
    }
}
