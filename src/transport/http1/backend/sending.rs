//! A request on its way out: its head, and its body as that comes, gathered so that a small request is one write.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use http_body::{Body as _, Frame};
use tokio::io::AsyncWrite;

use super::head;
use crate::headers::Request;
use crate::transport::http1::{Fault, fields};
use crate::transport::{Outgoing, Wire};

/// Octets up to which pieces of a body are copied together, instead of written one by one.
const GATHERED: usize = 16 * 1024;
/// The most that is written at once of what was gathered, so that more of the body is not asked for without end.
const ENOUGH: usize = 64 * 1024;

/// One request, as far as it has not been sent.
#[derive(Debug)]
pub(super) struct Sending {
    /// Gathered, of which `written` octets are sent.
    out: Vec<u8>,
    written: usize,
    /// A large piece of the body, to be sent after that.
    piece: Bytes,
    /// What the first piece of the body was, until anything is sent.
    first: Option<Bytes>,
    /// Something was taken of the body that cannot be put back.
    is_taken: bool,
    body: Outgoing,
    /// Trailer fields that may follow the body: those that the head has announced.
    trailer: Option<HeaderValue>,
    framing: Framing,
    /// The system may hold back a part of what it took.
    unflushed: bool,
    /// Octets that the backend took so far.
    pub(super) sent: u64,
}

/// How the body's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many octets are to come.
    Length(u64),
    /// By its coding.
    Chunked,
    /// All of it was gathered or sent.
    Over,
}

impl Sending {
    /// A request of which nothing is sent. Its fields say already how long the body is.
    pub(super) fn new(request: &Request<()>, body: Outgoing) -> Self {
        let mut out = Vec::new();
        head::write(request, &mut out);
        let framing = if body.is_end_stream() {
            Framing::Over
        } else if request.fields.contains(&TRANSFER_ENCODING) {
            Framing::Chunked
        } else {
            Framing::Length(body.size_hint().lower())
        };
        let trailer = if framing == Framing::Chunked { request.fields.value(&TRAILER) } else { None };
        let (written, piece, first, is_taken) = (0, Bytes::new(), None, false);
        Self { out, written, piece, first, is_taken, body, trailer, framing, unflushed: false, sent: 0 }
    }

    /// Whether all of it is sent.
    pub(super) fn is_over(&self) -> bool {
        self.framing == Framing::Over && self.is_written() && !self.unflushed
    }

    /// The body as it was, where nothing of the request is sent.
    pub(super) fn unsent(self) -> Option<Outgoing> {
        let Self { mut body, first, is_taken, sent, .. } = self;
        if sent > 0 || is_taken {
            return None;
        }
        if let Some(first) = first {
            body.put_back(first);
        }
        Some(body)
    }

    /// Sends what goes; ready when all of it is sent.
    ///
    /// # Errors
    /// The connection broke, or the body did.
    pub(super) fn poll(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            // Fails for good: were the body asked again, its end could pass for that of the whole.
            let more = self.gather(cx)?;
            ready!(self.poll_write(wire, cx))?;
            match more {
                Poll::Ready(()) if self.framing == Framing::Over => return Poll::Ready(Ok(())),
                Poll::Ready(()) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Gathers as much as is worth one write. Pending: the body has nothing more now.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.framing != Framing::Over && self.piece.is_empty() && self.out.len() < ENOUGH {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => {
                    self.end()?;
                    continue;
                }
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
            };
            self.add(frame)?;
            // The last piece goes with the end behind it, and nothing is asked for before a try is known to be good.
            if self.framing != Framing::Over && self.body.is_end_stream() {
                self.end()?;
            }
            if self.sent == 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn add(&mut self, frame: Frame<Bytes>) -> Result<(), Fault> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                self.is_taken |= self.sent == 0;
                self.add_trailers(&frame.into_trailers().unwrap_or_default());
                return Ok(());
            }
        };
        if data.is_empty() {
            return Ok(());
        }
        if self.sent == 0 {
            self.first = Some(data.clone());
        }
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or_else(wrong_length)?;
                self.take(data);
            }
            Framing::Chunked => {
                let _ = io::Write::write_fmt(&mut self.out, format_args!("{:x}\r\n", data.len()));
                // Copied, so that what ends the chunk can follow; a chunk has the size of one read.
                self.out.extend_from_slice(&data);
                self.out.extend_from_slice(b"\r\n");
            }
            Framing::Over => {}
        }
        Ok(())
    }

    fn add_trailers(&mut self, trailers: &HeaderMap) {
        if self.framing == Framing::Chunked {
            fields::write_trailers(trailers, self.trailer.as_ref(), &mut self.out);
            self.framing = Framing::Over;
        }
    }

    fn take(&mut self, data: Bytes) {
        if data.len() <= GATHERED {
            self.out.extend_from_slice(&data);
        } else {
            self.piece = data;
        }
    }

    /// The body has ended.
    fn end(&mut self) -> Result<(), Fault> {
        match self.framing {
            Framing::Length(0) | Framing::Over => {}
            Framing::Length(_) => return Err(wrong_length()),
            Framing::Chunked => self.out.extend_from_slice(b"0\r\n\r\n"),
        }
        self.framing = Framing::Over;
        Ok(())
    }

    fn is_written(&self) -> bool {
        self.written == self.out.len() && self.piece.is_empty()
    }

    fn poll_write(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.written < self.out.len() {
            let rest = self.out.get(self.written..).unwrap_or_default();
            let count = ready!(Pin::new(&mut *wire).poll_write(cx, rest))?;
            self.took(count)?;
            self.written += count;
        }
        if self.written > 0 {
            self.out.clear();
            self.written = 0;
        }
        while !self.piece.is_empty() {
            let count = ready!(Pin::new(&mut *wire).poll_write(cx, &self.piece))?;
            self.took(count)?;
            bytes::Buf::advance(&mut self.piece, count);
        }
        if self.unflushed {
            ready!(Pin::new(wire).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn took(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.sent += count as u64;
        self.first = None;
        self.unflushed = true;
        Ok(())
    }
}

/// The client's side holds a body to its length; were it not to, the backend must not wait for the rest, nor take it for
/// another request.
fn wrong_length() -> Fault {
    Fault::Io(io::Error::new(io::ErrorKind::InvalidData, "the request body is not as long as was said"))
}
