//! The wire of a backend connection, which remembers whether anything came: a request may be sent again only where
//! nothing of a response has.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Wire;

/// Whether anything came over a connection since that was last forgotten. Written and read by one thread; atomic only
/// because hyper wants the socket to be `Send`.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<AtomicBool>);

impl Heard {
    /// Whether anything came.
    pub fn anything(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Begins anew.
    pub fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A backend's wire with a [`Heard`].
#[derive(Debug)]
pub struct BackendIo {
    wire: Wire,
    heard: Heard,
}

impl BackendIo {
    /// Wraps a wire.
    pub fn new(wire: Wire, heard: Heard) -> Self {
        Self { wire, heard }
    }

    /// The wire itself.
    pub fn into_inner(self) -> Wire {
        self.wire
    }
}

impl AsyncRead for BackendIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.wire).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.0.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for BackendIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
