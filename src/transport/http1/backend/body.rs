//! The body of a backend's response, as whoever passes it on reads it.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{Inner, Reading};
use crate::transport::http1::Fault;
use crate::transport::http1::chunked::Step;
use crate::transport::http1::filling::poll_fill;

/// The most that is read at once, where a body fills the reads before.
const MOST_READ: usize = 256 * 1024;
/// Octets to read at first of one that is known to be so long.
const MOST_AHEAD: usize = 64 * 1024;

/// The body of a response on its way in.
#[derive(Debug)]
pub(in crate::transport) struct Incoming(Rc<RefCell<Inner>>);

impl Incoming {
    pub(super) fn new(inner: Rc<RefCell<Inner>>) -> Self {
        Self(inner)
    }
}

impl Inner {
    /// Reads more of a body; 0 at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        let most = match self.reading {
            Reading::Length(left) => {
                usize::try_from(left).unwrap_or(usize::MAX).min(self.appetite.max(MOST_AHEAD))
            }
            _ => self.appetite,
        };
        let wire = self.wire.as_mut().ok_or(Fault::Closed)?;
        let filled = ready!(poll_fill(wire, &mut self.input, most, cx))?;
        if filled.is_full {
            self.appetite = (self.appetite * 2).min(MOST_READ);
        }
        Poll::Ready(Ok(filled.count))
    }

    /// A fault is told at the next call: what came before it is passed on first, where that is possible.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Some(fault) = self.fault.take() {
            return Poll::Ready(Some(Err(fault)));
        }
        match self.poll_frame(cx) {
            Poll::Ready(Some(Err(fault))) => {
                self.persists = false;
                self.fault = Some(fault);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            polled => polled,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if self.upload.is_some() {
            self.reader = Some(cx.waker().clone());
        }
        loop {
            match &mut self.reading {
                Reading::Nothing | Reading::Head | Reading::Length(0) => return Poll::Ready(None),
                Reading::Chunked(chunked) => match chunked.read(&mut self.input)? {
                    Step::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Step::Trailers(fields) => return Poll::Ready(Some(Ok(self.end(fields)))),
                    Step::End => {
                        self.reading = Reading::Nothing;
                        return Poll::Ready(None);
                    }
                    Step::More => {}
                },
                Reading::Length(left) if !self.input.is_empty() => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                    *left -= most as u64;
                    let is_all = most == self.input.len();
                    let data =
                        if is_all { std::mem::take(&mut self.input) } else { self.input.split_to(most) };
                    return Poll::Ready(Some(Ok(Frame::data(data.freeze()))));
                }
                Reading::Close if !self.input.is_empty() => {
                    return Poll::Ready(Some(Ok(Frame::data(self.input.split().freeze()))));
                }
                Reading::Length(_) | Reading::Close => {}
            }
            if ready!(self.poll_fill(cx))? == 0 {
                if matches!(self.reading, Reading::Close) {
                    self.reading = Reading::Nothing;
                    return Poll::Ready(None);
                }
                return Poll::Ready(Some(Err(Fault::Closed)));
            }
        }
    }

    fn end(&mut self, trailers: HeaderMap) -> Frame<Bytes> {
        self.reading = Reading::Nothing;
        Frame::trailers(trailers)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.0.borrow_mut().poll_body(cx)
    }

    fn is_end_stream(&self) -> bool {
        let inner = self.0.borrow();
        inner.is_over() && inner.fault.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.borrow().reading {
            Reading::Nothing => SizeHint::with_exact(0),
            Reading::Length(left) => SizeHint::with_exact(left),
            Reading::Head | Reading::Chunked(_) | Reading::Close => SizeHint::default(),
        }
    }
}
