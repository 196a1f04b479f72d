//! The way back to the client of one request.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, StatusCode};

use super::send::Section;
use super::state::State;
use super::stream::wait;
use crate::headers::Fields;

/// Sends the response on a stream. Dropped before its end, the stream is reset with `CANCEL`.
#[derive(Debug)]
pub struct Respond {
    state: Rc<RefCell<State>>,
    key: usize,
}

/// The stream is over before its time: by the client, or with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over;

impl Respond {
    pub(super) fn new(state: Rc<RefCell<State>>, key: usize) -> Self {
        Self { state, key }
    }

    /// Sends an interim response.
    pub fn send_interim(&mut self, response: &http::Response<()>) {
        let fields = Fields::from(response.headers().clone());
        self.send(Section::Interim(response.status(), &fields));
    }

    /// Sends the head of the response, and says whether that is all of it. Fields that only HTTP/1 has were removed,
    /// save for `Connection`, which is left out.
    pub fn send_head(&mut self, status: StatusCode, fields: &Fields, ends: bool) {
        self.send(Section::Head(status, fields, ends));
    }

    /// Sends octets of the body, and says whether those are the last. Whoever calls has seen that `poll_ready` is.
    pub fn send_data(&mut self, data: Bytes, ends: bool) {
        let mut state = self.state.borrow_mut();
        if !is_over(&state, self.key) {
            state.send_data(self.key, data, ends);
        }
    }

    /// Ends the body, behind what was handed over.
    pub fn send_end(&mut self) {
        let mut state = self.state.borrow_mut();
        if !is_over(&state, self.key) {
            state.send_end(self.key);
        }
    }

    /// Ends the body with trailer fields. Whoever calls has seen that `poll_ready` is.
    pub fn send_trailers(&mut self, trailers: HeaderMap) {
        self.send(Section::Trailers(&trailers.into()));
    }

    fn send(&mut self, section: Section<'_>) {
        let mut state = self.state.borrow_mut();
        if !is_over(&state, self.key) {
            state.send_section(self.key, section);
        }
    }

    /// Ready once all that was handed over is on its way.
    ///
    /// # Errors
    /// The stream is over.
    pub fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<Result<(), Over>> {
        let mut state = self.state.borrow_mut();
        match state.streams.get_mut(self.key) {
            Some(stream) if stream.cut().is_none() => {
                if stream.pending.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                wait(&mut stream.sender, cx);
                Poll::Pending
            }
            _ => Poll::Ready(Err(Over)),
        }
    }

    /// Ready once the stream is over, which it is without an end when the client resets it.
    pub fn poll_over(&mut self, cx: &Context<'_>) -> Poll<Option<Reason>> {
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(self.key) else { return Poll::Ready(None) };
        match stream.cut() {
            Some(super::Cut::Reset(reason)) => Poll::Ready(Some(reason)),
            Some(super::Cut::Closed) => Poll::Ready(None),
            None => {
                wait(&mut stream.sender, cx);
                Poll::Pending
            }
        }
    }

    /// Gives the stream up.
    pub fn reset(&mut self, reason: Reason) {
        let mut state = self.state.borrow_mut();
        if !is_over(&state, self.key) {
            state.reset(self.key, reason);
        }
    }
}

/// Whether a stream takes nothing more.
fn is_over(state: &State, key: usize) -> bool {
    state.streams.get(key).is_none_or(|stream| stream.is_over() || stream.has_last())
}

impl Drop for Respond {
    fn drop(&mut self) {
        self.reset(Reason::CANCEL);
        self.state.borrow_mut().forget(self.key);
    }
}
