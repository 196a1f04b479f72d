//! What of a message is on its way out: its head, and its body as that comes, gathered so that a small message is one
//! write and a large piece is not copied.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use tokio::io::AsyncWrite as _;

use super::fields;
use crate::transport::{Wire, scratch};

/// Octets up to which pieces of a body are copied together, instead of written one by one.
const GATHERED: usize = 16 * 1024;
/// The most that is gathered before it is written.
const ENOUGH: usize = 64 * 1024;

/// One message, as far as it has not been sent.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Gathered, of which `written` octets are sent.
    out: Vec<u8>,
    written: usize,
    /// A large piece of the body, to be sent after that, and what is to follow it.
    piece: Bytes,
    tail: &'static [u8],
    framing: Framing,
    /// Trailer fields that may follow the body.
    trailer: Option<HeaderValue>,
    /// The system may hold back a part of what it took.
    unflushed: bool,
    sent: u64,
}

/// How the end of the body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many octets are to come.
    Length(u64),
    /// By its coding.
    Chunked,
    /// By the end of the connection.
    Close,
    /// There is none, or all of it was gathered or sent.
    Over,
}

impl Outbox {
    /// A message of which nothing is sent: its head, which says already how the end of its body is told, and the names of
    /// the trailer fields that may follow.
    pub(super) fn new(head: Vec<u8>, framing: Framing, trailer: Option<HeaderValue>) -> Self {
        let (written, piece, tail, unflushed, sent) = (0, Bytes::new(), &b""[..], false, 0);
        Self { out: head, written, piece, tail, framing, trailer, unflushed, sent }
    }

    /// Whether the whole message was gathered.
    pub(super) fn is_over(&self) -> bool {
        self.framing == Framing::Over
    }

    /// Whether more of the body is worth waiting for before the next write.
    pub(super) fn wants_more(&self) -> bool {
        !self.is_over() && self.piece.is_empty() && self.out.len() < ENOUGH
    }

    /// Octets of the message that the other side's system took so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether all of it is sent.
    pub(super) fn is_sent(&self) -> bool {
        self.is_over() && self.is_empty() && !self.unflushed
    }

    /// Adds a frame of the body.
    ///
    /// # Errors
    /// The body is longer or shorter than was said.
    pub(super) fn add(&mut self, frame: Frame<Bytes>) -> io::Result<()> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return self.end_with(&frame.into_trailers().unwrap_or_default()),
        };
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::Length(left) => *left = left.checked_sub(data.len() as u64).ok_or_else(wrong_length)?,
            Framing::Chunked => {
                // Never fails: a vector takes all.
                let _ = write!(self.out, "{:x}\r\n", data.len());
                self.tail = b"\r\n";
            }
            Framing::Close | Framing::Over => {}
        }
        if data.len() > GATHERED {
            self.piece = data;
        } else {
            self.out.extend_from_slice(&data);
            self.out.extend_from_slice(std::mem::take(&mut self.tail));
        }
        Ok(())
    }

    fn end_with(&mut self, trailers: &HeaderMap) -> io::Result<()> {
        if self.framing != Framing::Chunked {
            return self.end();
        }
        fields::write_trailers(trailers, self.trailer.as_ref(), &mut self.out);
        self.framing = Framing::Over;
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// It is shorter than was said.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self.framing {
            // Behind a piece that is not sent yet.
            Framing::Chunked if self.piece.is_empty() => self.out.extend_from_slice(b"0\r\n\r\n"),
            Framing::Chunked => self.tail = b"\r\n0\r\n\r\n",
            Framing::Length(1..) => return Err(wrong_length()),
            Framing::Length(0) | Framing::Close | Framing::Over => {}
        }
        self.framing = Framing::Over;
        Ok(())
    }

    /// Sends what was gathered.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn poll_write(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            match ready!(self.poll_some(wire, cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.took(count),
            }
        }
        if self.unflushed {
            ready!(Pin::new(wire).poll_flush(cx))?;
            self.unflushed = false;
        }
        if self.is_over() {
            scratch::give_back(std::mem::take(&mut self.out));
        }
        Poll::Ready(Ok(()))
    }

    fn is_empty(&self) -> bool {
        self.written == self.out.len() && self.piece.is_empty() && self.tail.is_empty()
    }

    fn poll_some(&self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let out = self.out.get(self.written..).unwrap_or_default();
        if self.piece.is_empty() && self.tail.is_empty() {
            return Pin::new(wire).poll_write(cx, out);
        }
        let parts = [out, &self.piece, self.tail].map(IoSlice::new);
        Pin::new(wire).poll_write_vectored(cx, &parts)
    }

    fn took(&mut self, count: usize) {
        let of_out = count.min(self.out.len() - self.written);
        self.written += of_out;
        let of_piece = (count - of_out).min(self.piece.len());
        self.piece.advance(of_piece);
        self.tail = self.tail.get(count - of_out - of_piece..).unwrap_or_default();
        if self.is_empty() {
            self.out.clear();
            self.written = 0;
        }
        self.sent += count as u64;
        self.unflushed = true;
    }
}

/// Were the rest not missed, or too much not noticed, the next message on the connection would be taken for a part of
/// this one.
fn wrong_length() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the body is not as long as was said")
}
