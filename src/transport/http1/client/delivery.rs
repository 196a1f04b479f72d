//! A response on its way to a client.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{StatusCode, header};
use http_body::Body;

use super::{Connection, Inner, Said};
use crate::headers::{self, Response};
use crate::transport::http1::outbox::{Framing, Outbox};
use crate::transport::scratch;

/// One response, as far as it has not been sent.
#[derive(Debug)]
pub struct Delivery<B> {
    outbox: Outbox,
    /// None once it has ended.
    body: Option<B>,
    persists: bool,
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
        let mut out = scratch::spare();
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
        Self { outbox: Outbox::new(out, framing, trailer), body, persists }
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
        while self.outbox.wants_more()
            && let Some(body) = &mut self.body
        {
            let ended = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                None => self.outbox.end(),
                Some(Ok(frame)) => {
                    let is_last = body.is_end_stream();
                    self.outbox.add(frame).and_then(|()| if is_last { self.outbox.end() } else { Ok(()) })
                }
                Some(Err(error)) => return Poll::Ready(Err(Undelivered::Body(error))),
            };
            ended.map_err(Undelivered::Io)?;
            if self.outbox.is_over() {
                self.body = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, inner: &mut Inner, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(inner.poll_unsent(cx))?;
        match &mut inner.wire {
            Some(wire) => self.outbox.poll_write(wire, cx),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
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
