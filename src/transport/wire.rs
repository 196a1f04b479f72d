//! One connection as octets, whatever carries them: TCP, TLS over it, or a stream of an HTTP/2 connection.
//! What the octets mean is for others to say.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

use super::stream::Stream;

/// A connection to a client or a backend.
#[derive(Debug)]
pub enum Wire {
    /// TCP.
    Plain(TcpStream),
    /// TLS with a client. Boxed: most of its size is buffers and keys.
    Accepted(Box<server::TlsStream<TcpStream>>),
    /// TLS with a backend.
    Dialed(Box<client::TlsStream<TcpStream>>),
    /// One stream of a client's HTTP/2 connection (RFC 8441).
    Stream(Box<Stream>),
}

/// The same call on whatever the wire is.
macro_rules! on {
    ($wire:expr, $io:ident => $call:expr) => {
        match $wire {
            Wire::Plain($io) => $call,
            Wire::Accepted($io) => $call,
            Wire::Dialed($io) => $call,
            Wire::Stream($io) => $call,
        }
    };
}

impl Wire {
    /// Reads what is there into `buffer`; 0 at the end.
    pub fn poll_octets(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(self).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    /// Writes what goes at once, for those who do not wait for the rest; returns whether that was all.
    pub fn write_at_once(&mut self, octets: &[u8]) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        let written = Pin::new(&mut *self).poll_write(cx, octets);
        let is_all = matches!(written, Poll::Ready(Ok(n)) if n == octets.len());
        is_all && matches!(Pin::new(self).poll_flush(cx), Poll::Ready(Ok(())))
    }

    /// Sends no more, as far as that can be said at once.
    pub fn end_at_once(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        // Whether it arrives or not: the connection is being left.
        let _ = Pin::new(self).poll_shutdown(cx);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on!(self.get_mut(), io => Pin::new(io).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        on!(self.get_mut(), io => Pin::new(io).poll_write(cx, octets))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        on!(self, io => io.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }
}
