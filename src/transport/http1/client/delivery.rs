//! A response on its way to a client: its head, and its body as that comes, gathered so that a small response is one write
//! and a large piece is not copied.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::{Connection, Inner, Said};
use crate::headers::{self, Response};
use crate::transport::Wire;
use crate::transport::http1::fields;

/// Octets up to which pieces of a body are copied together, instead of written one by one.
const GATHERED: usize = 16 * 1024;
/// The most that is gathered before it is written.
const ENOUGH: usize = 64 * 1024;

/// One response, as far as it has not been sent.
#[derive(Debug)]
pub struct Delivery<B> {
    /// Gathered, of which `written` octets are sent.
    out: Vec<u8>,
    written: usize,
    /// A large piece of the body, to be sent after that, and what is to follow it.
    piece: Bytes,
    tail: &'static [u8],
    /// None once it has ended.
    body: Option<B>,
    framing: Framing,
    /// Trailer fields that may follow the body.
    trailer: Option<HeaderValue>,
    persists: bool,
    /// The system may hold back a part of what it took.
    unflushed: bool,
}

/// How the body's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many octets are to come.
    Length(u64),
    /// By its coding.
    Chunked,
    /// By the end of the connection.
    Close,
    /// There is none, or all of it was gathered or sent.
    Over,
}

/// Why a response was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered<E> {
    /// Its body broke off.
    #[error(transparent)]
    Body(E),
    /// The connection broke.
    #[error(transparent)]
    Io(io::Error),
}

impl<B: Body<Data = Bytes> + Unpin> Delivery<B> {
    /// Nothing of it is sent.
    pub fn new(mut response: Response<B>, said: Said) -> Self {
        let is_tunnel = response.status == StatusCode::SWITCHING_PROTOCOLS;
        let framing = frame(&mut response, said);
        let closes = headers::lists(&response.fields, &header::CONNECTION, "close");
        let persists = said.persists && framing != Framing::Close && !closes && !is_tunnel;
        let mut out = Vec::with_capacity(room(&response));
        write_head(&response, said.is_old, &mut out);
        match framing {
            Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::Length(length) if !response.fields.contains(&header::CONTENT_LENGTH) => {
                // Never fails: a vector takes all.
                let _ = write!(out, "content-length: {length}\r\n");
            }
            _ => {}
        }
        if !persists && !closes && !is_tunnel {
            out.extend_from_slice(b"connection: close\r\n");
        } else if persists && said.is_old {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
        let is_welcome = framing == Framing::Chunked && said.wants_trailers;
        let trailer = if is_welcome { response.fields.value(&header::TRAILER) } else { None };
        let framing = if framing == Framing::Length(0) { Framing::Over } else { framing };
        let body = (framing != Framing::Over).then_some(response.body);
        let (written, piece, tail, unflushed) = (0, Bytes::new(), &b""[..], false);
        Self { out, written, piece, tail, body, framing, trailer, persists, unflushed }
    }

    /// Whether the connection may carry another exchange afterwards.
    pub fn persists(&self) -> bool {
        self.persists
    }

    /// The body, until it has ended.
    pub fn body(&self) -> Option<&B> {
        self.body.as_ref()
    }

    /// Gathers as much as is worth one write. Pending: the body has nothing more now.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Undelivered<B::Error>>> {
        while self.piece.is_empty() && self.out.len() < ENOUGH {
            let Some(body) = &mut self.body else { break };
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                None => self.end()?,
                Some(Ok(frame)) => {
                    let is_last = body.is_end_stream();
                    self.add(frame)?;
                    if is_last && self.body.is_some() {
                        self.end()?;
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(Undelivered::Body(error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn add(&mut self, frame: Frame<Bytes>) -> Result<(), Undelivered<B::Error>> {
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

    fn end_with(&mut self, trailers: &HeaderMap) -> Result<(), Undelivered<B::Error>> {
        if self.framing == Framing::Chunked {
            self.body = None;
            fields::write_trailers(trailers, self.trailer.as_ref(), &mut self.out);
            return Ok(());
        }
        self.end()
    }

    /// The body has ended.
    fn end(&mut self) -> Result<(), Undelivered<B::Error>> {
        self.body = None;
        match self.framing {
            // Behind a piece that is not sent yet.
            Framing::Chunked if self.piece.is_empty() => self.out.extend_from_slice(b"0\r\n\r\n"),
            Framing::Chunked => self.tail = b"\r\n0\r\n\r\n",
            Framing::Length(1..) => return Err(wrong_length()),
            Framing::Length(0) | Framing::Close | Framing::Over => {}
        }
        Ok(())
    }

    fn is_written(&self) -> bool {
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
        if self.is_written() {
            self.out.clear();
            self.written = 0;
        }
        self.unflushed = true;
    }

    fn poll_write(&mut self, inner: &mut Inner, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(inner.poll_unsent(cx))?;
        let Some(wire) = &mut inner.wire else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        while !self.is_written() {
            match ready!(self.poll_some(wire, cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.took(count),
            }
        }
        if self.unflushed {
            ready!(Pin::new(wire).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Connection {
    /// Sends what goes; ready when all of the response is sent.
    ///
    /// # Errors
    /// The body broke off, or the connection did; either way the connection is of no more use.
    pub fn poll_deliver<B: Body<Data = Bytes> + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        delivery: &mut Delivery<B>,
    ) -> Poll<Result<(), Undelivered<B::Error>>> {
        loop {
            // The connection is not borrowed meanwhile: the request's body may end together with that of the response.
            let more = delivery.gather(cx)?;
            ready!(delivery.poll_write(&mut self.inner.borrow_mut(), cx)).map_err(Undelivered::Io)?;
            match more {
                Poll::Ready(()) if delivery.body.is_none() => return Poll::Ready(Ok(())),
                Poll::Ready(()) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// How the end of a response's body is told (RFC 9112 §6.3); leaves no field that says otherwise.
fn frame<B: Body>(response: &mut Response<B>, said: Said) -> Framing {
    let Response { status, fields, body, .. } = response;
    if status.is_informational() || *status == StatusCode::NO_CONTENT {
        fields.remove(&header::CONTENT_LENGTH);
        return Framing::Over;
    }
    // The length is that of a body the client could have.
    if said.is_head || *status == StatusCode::NOT_MODIFIED {
        return Framing::Over;
    }
    let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    match length.or_else(|| headers::length(fields)) {
        Some(length) => Framing::Length(length),
        None if said.is_old => Framing::Close,
        None => Framing::Chunked,
    }
}

/// Octets that a head takes, and a small body behind it.
fn room<B: Body>(response: &Response<B>) -> usize {
    let small = response.body.size_hint().exact().filter(|&length| length <= GATHERED as u64);
    128 + 48 * response.fields.len() + small.unwrap_or(0) as usize
}

fn write_head<B>(response: &Response<B>, is_old: bool, out: &mut Vec<u8>) {
    let Response { status, reason, fields, .. } = response;
    if *status == StatusCode::OK && !is_old && reason.is_none() {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        let version: &[u8] = if is_old { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
        let canonical = || status.canonical_reason().unwrap_or_default().as_bytes();
        let reason = reason.as_deref().unwrap_or_else(canonical);
        for piece in [version, status.as_str().as_bytes(), b" ", reason, b"\r\n"] {
            out.extend_from_slice(piece);
        }
    }
    fields.write(out);
}

/// Were the rest not missed, or too much not noticed, the next response would be taken for a part of this one.
fn wrong_length<E>() -> Undelivered<E> {
    Undelivered::Io(io::Error::new(io::ErrorKind::InvalidData, "the body is not as long as was said"))
}
