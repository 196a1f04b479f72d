//! The socket of a client connection, which shows when something of a request arrives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;

use super::Wire;

/// What a client connection is doing, as its sweep sees it. Changed and read by one thread; atomic only because hyper
/// wants the socket to be `Send`.
#[derive(Debug, Default)]
pub struct Pulse {
    beat: AtomicU32,
    /// A request body is under way, maybe longer than its response.
    within_body: AtomicBool,
}

/// What a client connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Nothing: between requests, or before the first.
    Idle,
    /// Sending a request head.
    Head,
    /// Having a request answered.
    Busy,
}

/// A reading of a [`Pulse`]: what a connection does, and how often that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat(u32);

impl Beat {
    const ACTIVITIES: u32 = 4;

    /// What the connection does.
    pub fn activity(self) -> Activity {
        match self.0 % Self::ACTIVITIES {
            0 => Activity::Idle,
            1 => Activity::Head,
            _ => Activity::Busy,
        }
    }

    /// Whether it has had a request answered: a head, then an answer, have come before.
    pub fn has_served(self) -> bool {
        self.0 / Self::ACTIVITIES > 2
    }

    /// Wraps after a thousand million changes, but never back to the first ones.
    fn next(self, activity: Activity) -> Self {
        let changes = (self.0 / Self::ACTIVITIES + 1) % (u32::MAX / Self::ACTIVITIES);
        let changes = if self.has_served() { changes.max(3) } else { changes };
        Self(changes * Self::ACTIVITIES + activity as u32)
    }
}

impl Pulse {
    /// Notes what the connection does now.
    pub fn set(&self, activity: Activity) {
        self.beat.store(self.read().next(activity).0, Ordering::Relaxed);
    }

    /// What the connection does.
    pub fn read(&self) -> Beat {
        Beat(self.beat.load(Ordering::Relaxed))
    }

    /// Notes whether a request body is under way: what is received then is no head of another request.
    pub(super) fn set_within_body(&self, within_body: bool) {
        self.within_body.store(within_body, Ordering::Relaxed);
    }

    /// Whether a request body is under way, or was given up before its end.
    pub fn is_within_body(&self) -> bool {
        self.within_body.load(Ordering::Relaxed)
    }

    fn received(&self) {
        if self.read().activity() == Activity::Idle {
            self.set(if self.is_within_body() { Activity::Idle } else { Activity::Head });
        }
    }
}

/// A client's socket with a [`Pulse`].
#[derive(Debug)]
pub struct ClientIo {
    io: TokioIo<Wire>,
    /// Read already, and not handed on yet.
    ahead: Bytes,
    pulse: Arc<Pulse>,
}

impl ClientIo {
    /// Wraps an accepted socket.
    pub fn new(wire: Wire, ahead: Bytes, pulse: Arc<Pulse>) -> Self {
        Self { io: TokioIo::new(wire), ahead, pulse }
    }

    /// The socket itself.
    pub fn into_inner(self) -> Wire {
        self.io.into_inner()
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead.split_to(count));
            self.pulse.received();
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.pulse.received();
        }
        read
    }
}

impl Write for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
