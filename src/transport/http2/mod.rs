//! HTTP/2 with a client (RFC 9113): one connection, whose requests are answered by whoever serves it, all at one time.
//! What a request means, and how long anything may take, is for others to say. Backends are spoken to by the h2 crate.
//!
//! All of a connection is one `State` in one thread. One task reads and writes the socket; those that answer requests put
//! what they send straight into its buffer, in which responses that come together leave together. An idle connection holds
//! no buffer, and its tables only if it has used them.

mod fault;
mod frame;
mod going;
mod hpack;
mod incoming;
mod receive;
mod respond;
mod section;
mod send;
mod state;
mod stream;
mod window;

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncWrite as _;

use super::http1::client::HeadLimits;
use super::{Wire, scratch};
use crate::headers::Request;

pub use fault::{Cut, Failure, Refusal};
pub use incoming::Incoming;
pub use respond::{Over, Respond};

use going::Going;
use state::{Arrived, Awaited, State};

/// What a client begins with (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Octets of a request body that a client may send before they are read: what is held back for a slow backend at most.
const STREAM_WINDOW: u32 = 64 * 1024 - 1;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What a client is told at the beginning.
#[derive(Debug, Clone, Copy)]
pub struct Agreed {
    /// How large a request head may be.
    pub limits: HeadLimits,
    /// Requests at one time.
    pub streams: u32,
}

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    state: Rc<RefCell<State>>,
    wire: Wire,
    intake: Intake,
}

/// What was read and is less than a whole frame.
#[derive(Debug, Default)]
struct Intake(BytesMut);

/// A request, or why there is none that can be passed on, and the way back.
#[derive(Debug)]
pub struct Arrival {
    /// The request itself.
    pub request: Result<Asked, Refusal>,
    /// Where its response goes.
    pub respond: Respond,
}

/// A request on a stream.
#[derive(Debug)]
pub struct Asked {
    /// The request without its body.
    pub request: Box<Request>,
    /// Its body; none if it ended with its head.
    pub body: Option<Incoming>,
    /// It asks for its stream to become a WebSocket (RFC 8441 §5).
    pub is_websocket: bool,
}

impl Connection {
    /// A connection of which `ahead` was read.
    pub fn new(wire: Wire, ahead: &[u8], agreed: Agreed) -> Self {
        let mut state = State::new(agreed);
        let mut intake = Intake::default();
        intake.take(&mut state, ahead);
        Self { state: Rc::new(RefCell::new(state)), wire, intake }
    }

    /// Whether the client has said that it speaks HTTP/2.
    pub fn has_begun(&self) -> bool {
        self.state.borrow().awaited == Awaited::Frames
    }

    /// The next request; `None` once there will be no more, and all that were answered are.
    ///
    /// # Errors
    /// The client does not keep to the protocol, or the connection broke; either way all streams are over.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Arrival>, Failure>> {
        loop {
            let next = self.state.borrow_mut().arrived.pop_front();
            if let Some(arrived) = next {
                return Poll::Ready(Ok(Some(self.arrive(arrived))));
            }
            if let Some((reason, what)) = self.state.borrow().failure {
                return Poll::Ready(Err(Failure::Refused(what, reason)));
            }
            // What follows from what was read leaves in one write.
            let written = self.poll_write(cx)?;
            let is_full = {
                let mut state = self.state.borrow_mut();
                if written.is_ready() && state.is_idle() {
                    if state.going == Going::Heard {
                        return Poll::Ready(Ok(None));
                    }
                    if state.client_goes {
                        state.say_last();
                        continue;
                    }
                }
                state.is_full()
            };
            let read = if is_full { Poll::Pending } else { self.poll_read(cx)? };
            match read {
                Poll::Ready(0) => {
                    self.state.borrow_mut().end();
                    return Poll::Ready(Ok(None));
                }
                Poll::Ready(_) => {}
                Poll::Pending => {
                    self.state.borrow_mut().carrier = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }

    /// Octets that were sent so far, as long as there are more to be sent.
    pub fn under_way(&self) -> Option<u64> {
        let state = self.state.borrow();
        (!state.is_idle()).then_some(state.written)
    }

    /// Says that the connection ends: streams that begin before the client has heard of it are still answered.
    pub fn say_goodbye(&mut self) {
        self.state.borrow_mut().say_goodbye();
    }

    /// Ends the connection, and says which request was the last that was answered. What the client still sends is read
    /// and dropped: a socket that is closed with data unread resets the connection, and the client could lose what was
    /// said last.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.state.borrow_mut().say_last();
        if ready!(self.poll_write(cx)).is_err() || ready!(Pin::new(&mut self.wire).poll_shutdown(cx)).is_err()
        {
            return Poll::Ready(());
        }
        while let Ok(1..) = ready!(scratch::with(|scratch| self.wire.poll_octets(cx, scratch))) {}
        Poll::Ready(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.state.borrow_mut().poll_write(cx, &mut self.wire)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        scratch::with(|scratch| {
            let count = ready!(self.wire.poll_octets(cx, scratch))?;
            self.intake.take(&mut self.state.borrow_mut(), scratch.get(..count).unwrap_or_default());
            Poll::Ready(Ok(count))
        })
    }

    fn arrive(&mut self, Arrived { key, request, has_body }: Arrived) -> Arrival {
        let is_read = has_body && request.is_ok();
        let mut state = self.state.borrow_mut();
        if let Some(stream) = state.streams.get_mut(key) {
            stream.handles = if is_read { 2 } else { 1 };
        }
        if !is_read {
            state.is_unwanted(key);
        }
        drop(state);
        let respond = Respond::new(Rc::clone(&self.state), key);
        let body = is_read.then(|| Incoming::new(Rc::clone(&self.state), key));
        let request =
            request.map(|head| Asked { request: head.request, body, is_websocket: head.is_websocket });
        Arrival { request, respond }
    }
}

impl Drop for Connection {
    /// What is under way ends here.
    fn drop(&mut self) {
        self.state.borrow_mut().end();
    }
}

impl Intake {
    /// Hands over what has come, and keeps what of it is not whole.
    fn take(&mut self, state: &mut State, mut came: &[u8]) {
        while !came.is_empty() {
            if self.0.is_empty() {
                let taken = state.take(came);
                return self.0.extend_from_slice(came.get(taken..).unwrap_or_default());
            }
            let missing = state.length_of_next(&self.0).saturating_sub(self.0.len());
            let (first, rest) = came.split_at(missing.min(came.len()));
            self.0.extend_from_slice(first);
            came = rest;
            let taken = state.take(&self.0);
            self.0.advance(taken);
            if self.0.is_empty() {
                self.0 = BytesMut::new();
            }
        }
    }
}

impl State {
    /// Whether nothing is under way.
    fn is_idle(&self) -> bool {
        self.open_count() == 0 && self.arrived.is_empty() && self.is_written()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    const AGREED: Agreed = Agreed { limits: HeadLimits { octets: 4096, fields: 20 }, streams: 10 };

    /// A frame that may make sense.
    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let stream = prop_oneof![Just(0), Just(1), Just(3), Just(5), 0..10_u32];
        let payload = prop_oneof![
            // `GET http://h/`, whole and in parts.
            Just(b"\x82\x86\x84\x41\x01h".to_vec()),
            Just(b"\x82\x86".to_vec()),
            Just(b"\x84\x41\x01h".to_vec()),
            prop::collection::vec(any::<u8>(), 0..20),
            prop::collection::vec(any::<u8>(), 4),
            prop::collection::vec(any::<u8>(), 8),
        ];
        let flags = prop_oneof![Just(0), Just(4), Just(5), any::<u8>()];
        (0..11_u8, flags, stream, payload).prop_map(|(kind, flags, stream, payload)| {
            let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
            frame.extend([kind, flags]);
            frame.extend(stream.to_be_bytes());
            frame.extend(payload);
            frame
        })
    }

    /// What is there after these octets, in pieces of these sizes.
    fn after(octets: &[u8], sizes: &[usize]) -> (State, Vec<(u32, bool)>) {
        let (mut state, mut intake, mut rest) = (State::new(AGREED), Intake::default(), octets);
        for size in sizes.iter().cycle() {
            let (piece, behind) = rest.split_at((*size).min(rest.len()));
            intake.take(&mut state, piece);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        let streams = state.streams.iter().map(|(_, stream)| (stream.id, stream.has_ended)).collect();
        (state, streams)
    }

    proptest! {
        #[test]
        fn however_frames_are_cut_they_mean_the_same(
            frames in prop::collection::vec(any_frame(), 0..20),
            sizes in prop::collection::vec(1..40_usize, 1..5),
        ) {
            let settings = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
            let octets = [PREFACE.to_vec(), settings, frames.concat()].concat();
            let (whole, streams) = after(&octets, &[octets.len()]);
            let (cut, same_streams) = after(&octets, &sizes);
            prop_assert_eq!(&whole.out, &cut.out);
            prop_assert_eq!((whole.failure, streams), (cut.failure, same_streams));
            prop_assert!(whole.open_count() <= 10 && whole.open_count() == whole.arrived.len());
            prop_assert_eq!(whole.failure.is_some() && whole.open_count() > 0, false);
        }
    }
}
