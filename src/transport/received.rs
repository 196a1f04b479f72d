//! The body of a client's request as it comes in, whatever HTTP version carries it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::Interim;
use super::arriving::poll_stream;
use super::http1::{Nonsense, client};

/// A request body.
#[derive(Debug)]
pub enum Received {
    /// None.
    Nothing,
    /// Of a request on an HTTP/1 connection.
    Http1(client::Incoming),
    /// A stream of an HTTP/2 connection.
    Http2(Box<Http2>),
}

/// The body of an HTTP/2 request.
#[derive(Debug)]
pub struct Http2 {
    stream: RecvStream,
    /// As the client has said it; that it is kept to, h2 sees to (RFC 9113 §8.1.1).
    length: Option<u64>,
    /// The client waits to be told to go on.
    expects: Option<Interim>,
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
    /// On an HTTP/2 connection.
    #[error(transparent)]
    Http2(#[from] h2::Error),
}

impl Received {
    /// A body on an HTTP/2 stream, `length` octets long if that was said. Whoever `expects` to be told to go on is told
    /// through that when somebody first asks for the body (RFC 9110 §10.1.1).
    pub fn http2(stream: RecvStream, length: Option<u64>, expects: Option<Interim>) -> Self {
        if stream.is_end_stream() {
            return Self::Nothing;
        }
        Self::Http2(Box::new(Http2 { stream, length, expects }))
    }
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
            Self::Http2(http2) => http2.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Http1(http1) => http1.is_end_stream(),
            Self::Http2(http2) => http2.stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Http1(http1) => http1.size_hint(),
            Self::Http2(http2) => http2.length.map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

impl Http2 {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
        if let Some(expects) = self.expects.take() {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::CONTINUE;
            // A client that is not told goes on after a while.
            expects.send(response);
        }
        let frame = ready!(poll_stream(&mut self.stream, cx));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.length = self.length.map(|left| left.saturating_sub(data.len() as u64));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }
}
