//! What is known of one stream (RFC 9113 §5.1).

use std::task::{Context, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::fault::Cut;
use super::window::Window;

/// One stream, from its request until it has ended on both sides and nobody here knows of it any more.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// The client has ended its direction.
    pub(super) has_ended: bool,
    /// Received and not read yet.
    pub(super) input: BytesMut,
    pub(super) trailers: Option<Box<HeaderMap>>,
    /// Octets of the body that are still to come, where that was said.
    pub(super) left: Option<u64>,
    /// What the client may send.
    pub(super) receive_window: Window,
    /// Octets that were read, and that the client was not told of.
    pub(super) unclaimed: u32,
    /// Nobody reads what comes.
    pub(super) is_unwanted: bool,
    /// Waits for more.
    pub(super) reader: Option<Waker>,
    pub(super) sending: Sending,
    /// What may be sent.
    pub(super) send_window: Window,
    /// To be sent as soon as it may.
    pub(super) pending: Bytes,
    /// It has its place among those that have something to send.
    pub(super) is_queued: bool,
    /// Waits for `pending` to be sent, or for the stream to be over.
    pub(super) sender: Option<Waker>,
    /// How it ended for the client: on both sides, or before its time.
    pub(super) end: Option<Result<(), Cut>>,
    /// Who knows of it here.
    pub(super) handles: u8,
}

/// How far a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// There is none.
    Head,
    /// Its body is on its way.
    Body,
    /// Nothing comes behind what is pending.
    Last,
    /// All of it is sent.
    Ended,
}

impl Stream {
    /// Whether it is over for the client.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// How it ended before its time.
    pub(super) fn cut(&self) -> Option<Cut> {
        self.end.and_then(Result::err)
    }

    /// Whether the response has come to its end here.
    pub(super) fn has_last(&self) -> bool {
        matches!(self.sending, Sending::Last | Sending::Ended)
    }

    /// Whether there is something to send.
    pub(super) fn wants_to_send(&self) -> bool {
        !self.pending.is_empty() || self.sending == Sending::Last
    }

    /// Whether the window of the stream lets something of that be sent.
    pub(super) fn may_send(&self) -> bool {
        self.wants_to_send() && (self.send_window.room() > 0 || self.pending.is_empty())
    }

    /// Whether it has to be given its place among those that send in turn, which it has from now on.
    pub(super) fn takes_turn(&mut self) -> bool {
        let takes = !self.is_queued && !self.is_over() && self.may_send();
        self.is_queued |= takes;
        takes
    }

    pub(super) fn wake_reader(&mut self) {
        wake(&mut self.reader);
    }

    pub(super) fn wake_sender(&mut self) {
        wake(&mut self.sender);
    }
}

fn wake(waiting: &mut Option<Waker>) {
    if let Some(waiting) = waiting.take() {
        waiting.wake();
    }
}

/// Has the task of `cx` woken by `slot`.
pub(super) fn wait(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|waiting| waiting.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}
