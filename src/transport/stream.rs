//! One stream of an HTTP/2 connection as octets: the tunnel that an extended CONNECT asks for (RFC 8441 §5).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::Reason;
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http2::{Cut, Incoming, Over, Respond};

/// Both directions of a stream. Dropped before its end, it is reset.
#[derive(Debug)]
pub struct Stream {
    respond: Respond,
    /// None where the client has ended its direction with its request.
    body: Option<Incoming>,
    /// Received and not read yet.
    left: Bytes,
}

/// Octets that are taken at once.
const MOST: usize = 16 * 1024;

impl Stream {
    /// The octets of a stream whose response head was sent.
    pub fn new(respond: Respond, body: Option<Incoming>) -> Self {
        Self { respond, body, left: Bytes::new() }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.left.is_empty() {
            let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
            match ready!(Pin::new(body).poll_frame(cx)) {
                // Trailer fields have no place in a tunnel.
                Some(Ok(frame)) => self.left = frame.into_data().unwrap_or_default(),
                // The other side has ended the stream as one closes a connection (RFC 8441 §5).
                Some(Err(Cut::Reset(Reason::NO_ERROR | Reason::CANCEL))) | None => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(cut)) => return Poll::Ready(Err(broken(cut))),
            }
        }
        let count = self.left.len().min(buffer.remaining());
        buffer.put_slice(&self.left[..count]);
        self.left.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        if octets.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if let Err(Over) = ready!(self.respond.poll_ready(cx)) {
            return Poll::Ready(Err(match self.respond.poll_over(cx) {
                Poll::Ready(Some(reason)) => broken(Cut::Reset(reason)),
                _ => broken(Cut::Closed),
            }));
        }
        let count = octets.len().min(MOST);
        self.respond.send_data(Bytes::copy_from_slice(&octets[..count]), false);
        Poll::Ready(Ok(count))
    }

    /// The connection's task writes what was sent.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.respond.send_end();
        Poll::Ready(Ok(()))
    }
}

fn broken(cut: Cut) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, cut)
}
