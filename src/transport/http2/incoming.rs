//! The body of a request as it comes in on a stream.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::fault::Cut;
use super::state::State;
use super::stream::{Stream, wait};
use crate::transport::Interim;

/// A request body. Dropped before its end, what the client still sends of it is not kept.
#[derive(Debug)]
pub struct Incoming {
    state: Rc<RefCell<State>>,
    key: usize,
    /// It was asked for. Before, whether it is empty is not known, however fast its end comes behind its head.
    is_begun: bool,
    /// The client waits to be told to go on.
    expects: Option<Interim>,
}

impl Incoming {
    /// Of a stream that is open.
    pub(super) fn new(state: Rc<RefCell<State>>, key: usize) -> Self {
        Self { state, key, is_begun: false, expects: None }
    }

    /// The same; whoever `expects` to be told to go on is told through that when somebody first asks for the body (RFC
    /// 9110 §10.1.1).
    #[must_use]
    pub fn expected(mut self, expects: Option<Interim>) -> Self {
        self.expects = expects;
        self
    }

    fn look<T>(&self, at: impl FnOnce(&Stream) -> T) -> Option<T> {
        self.state.borrow().streams.get(self.key).map(at)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(expects) = self.expects.take() {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::CONTINUE;
            // A client that is not told goes on after a while.
            expects.send(response);
        }
        self.is_begun = true;
        let (key, state) = (self.key, &mut *self.state.borrow_mut());
        let Some(stream) = state.streams.get_mut(key) else { return Poll::Ready(None) };
        if let Some(cut) = stream.cut() {
            return Poll::Ready(Some(Err(cut)));
        }
        if !stream.input.is_empty() {
            let data = std::mem::replace(&mut stream.input, BytesMut::new()).freeze();
            // What was passed on makes room for more.
            state.release_on(key, data.len() as u32);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if stream.has_ended {
            return Poll::Ready(stream.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))));
        }
        wait(&mut stream.reader, cx);
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let is_end = |stream: &Stream| {
            stream.has_ended && stream.input.is_empty() && stream.trailers.is_none() && stream.cut().is_none()
        };
        self.is_begun && self.look(is_end).unwrap_or(true)
    }

    fn size_hint(&self) -> SizeHint {
        let left = |stream: &Stream| stream.left.map(|left| left + stream.input.len() as u64);
        self.look(left).flatten().map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut state = self.state.borrow_mut();
        state.is_unwanted(self.key);
        state.forget(self.key);
    }
}
