//! The body of a client's request as it comes in, whatever HTTP version carries it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::http1::{Nonsense, client};
use super::http2;

/// A request body.
#[derive(Debug)]
pub enum Received {
    /// None.
    Nothing,
    /// Of a request on an HTTP/1 connection.
    Http1(client::Incoming),
    /// A stream of an HTTP/2 connection.
    Http2(http2::Incoming),
}

/// Why a request body does not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The connection was closed, or ended within the body.
    #[error("the connection was closed before the request had ended")]
    Closed,
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] io::Error),
    /// It is coded in no way that can be read.
    #[error(transparent)]
    Nonsense(#[from] Nonsense),
    /// Its stream of an HTTP/2 connection is over.
    #[error(transparent)]
    Cut(#[from] http2::Cut),
}

impl Body for Received {
    type Data = Bytes;
    type Error = ReceiveError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
        match self.get_mut() {
            Self::Nothing => Poll::Ready(None),
            Self::Http1(http1) => Pin::new(http1).poll_frame(cx),
            Self::Http2(http2) => Pin::new(http2).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Http1(http1) => http1.is_end_stream(),
            Self::Http2(http2) => http2.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Http1(http1) => http1.size_hint(),
            Self::Http2(http2) => http2.size_hint(),
        }
    }
}
