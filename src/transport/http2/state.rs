//! What is known of a connection: its streams and its windows, shared by whoever reads and writes its socket and those
//! who answer its requests, all of one thread.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use h2::Reason;
use slab::Slab;

use super::fault::{Cut, Fault, Refusal};
use super::going::Going;
use super::hpack::{Decoder, Encoder};
use super::section::Head;
use super::stream::{Sending, Stream};
use super::window::{self, Window};
use super::{Agreed, CONNECTION_WINDOW, STREAM_WINDOW, frame};
use crate::transport::scratch;

/// Streams that may be reset because of what the client does wrong, over the life of a connection.
const FAULTS: u32 = 256;
/// Streams that room is kept for while there is none.
const FEW: usize = 16;
/// Streams that were reset here and are remembered, since the client may have sent more before it heard of that.
const REMEMBERED: usize = 128;

/// One connection.
#[derive(Debug)]
pub(super) struct State {
    pub(super) agreed: Agreed,
    pub(super) streams: Slab<Stream>,
    /// Where those are that are open for the client, by their numbers, which only grow.
    index: Vec<(u32, usize)>,
    /// The latest stream that the client has begun.
    pub(super) last: u32,
    /// Requests that nobody has taken yet.
    pub(super) arrived: VecDeque<Arrived>,
    /// The latest that were reset here.
    resets: VecDeque<u32>,
    faults: u32,
    /// Requests, and those that the client has given up before they were answered.
    begun: u64,
    given_up: u64,

    /// Where in a conversation the client is.
    pub(super) awaited: Awaited,
    pub(super) decoder: Decoder,
    /// A field section that is not whole.
    pub(super) partial: Option<Partial>,
    /// What the client may send, on all streams together.
    receive_window: Window,
    unclaimed: u32,
    /// The client sends no more requests.
    pub(super) client_goes: bool,

    pub(super) encoder: Encoder,
    /// Written, and not sent yet but for the first `sent` octets.
    pub(super) out: Vec<u8>,
    pub(super) sent: usize,
    /// Octets that were sent so far.
    pub(super) written: u64,
    /// The system may hold back a part of what it took.
    pub(super) is_unflushed: bool,
    /// Streams that have something to send, in turn.
    pub(super) ready: VecDeque<usize>,
    /// What may be sent, on all streams together.
    pub(super) send_window: Window,
    /// What may be sent on a stream that begins.
    pub(super) first_window: u32,
    pub(super) going: Going,
    pub(super) failure: Option<(Reason, &'static str)>,
    /// The task that reads and writes the socket, while it sleeps.
    pub(super) carrier: Option<Waker>,
}

/// A request that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) key: usize,
    pub(super) request: Result<Head, Refusal>,
    /// It has not ended with its head.
    pub(super) has_body: bool,
}

/// What the client has to say next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// How each connection begins (RFC 9113 §3.4).
    Preface,
    /// The first frame.
    Settings,
    /// Any frame.
    Frames,
}

/// The first frames of a field section (§4.3).
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) stream: u32,
    pub(super) block: BytesMut,
    pub(super) frames: usize,
    pub(super) ends_stream: bool,
    /// What is wrong with the stream whatever the section says.
    pub(super) fault: Option<Fault>,
}

/// Requests that may be given up, whatever their share: each costs a connection to a backend, and the client next to
/// nothing (CVE-2023-44487).
const FREE: u64 = 200;

impl State {
    pub(super) fn new(agreed: Agreed) -> Self {
        let mut state = Self {
            agreed,
            streams: Slab::new(),
            index: Vec::new(),
            last: 0,
            arrived: VecDeque::new(),
            resets: VecDeque::new(),
            faults: 0,
            begun: 0,
            given_up: 0,
            awaited: Awaited::Preface,
            decoder: Decoder::default(),
            partial: None,
            receive_window: Window::of(window::FIRST),
            unclaimed: 0,
            client_goes: false,
            encoder: Encoder::default(),
            out: Vec::new(),
            sent: 0,
            written: 0,
            is_unflushed: false,
            ready: VecDeque::new(),
            send_window: Window::of(window::FIRST),
            first_window: window::FIRST,
            going: Going::Not,
            failure: None,
            carrier: None,
        };
        state.say_settings();
        state.release(CONNECTION_WINDOW - window::FIRST);
        state
    }

    /// Where a stream is that is open for the client.
    pub(super) fn find(&self, id: u32) -> Option<usize> {
        let place = self.index.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.index.get(place).map(|(_, key)| *key)
    }

    /// How many there are.
    pub(super) fn open_count(&self) -> usize {
        self.index.len()
    }

    /// Whether a stream was reset here not long ago.
    pub(super) fn remembers(&self, id: u32) -> bool {
        self.resets.contains(&id)
    }

    /// Begins a stream with a request, or with what is none and is answered all the same.
    pub(super) fn begin(
        &mut self,
        id: u32,
        ends_stream: bool,
        request: Result<Head, Refusal>,
    ) -> Result<(), Fault> {
        self.begun += 1;
        if self.given_up >= FREE && self.given_up > self.begun / 2 {
            let what = "most of its requests are given up";
            return Err(Fault::Connection(Reason::ENHANCE_YOUR_CALM, what));
        }
        let key = self.streams.insert(Stream {
            id,
            has_ended: ends_stream,
            input: BytesMut::new(),
            trailers: None,
            left: request.as_ref().ok().and_then(|head| head.length),
            receive_window: Window::of(STREAM_WINDOW),
            unclaimed: 0,
            is_unwanted: false,
            reader: None,
            sending: Sending::Head,
            send_window: Window::of(self.first_window),
            pending: Bytes::new(),
            is_queued: false,
            sender: None,
            end: None,
            handles: 0,
        });
        self.index.push((id, key));
        self.arrived.push_back(Arrived { key, request, has_body: !ends_stream });
        Ok(())
    }

    /// Takes a stream off that has ended on both sides. Where nobody wants what the client still sends, it is told so
    /// (§8.1).
    pub(super) fn settle(&mut self, key: usize) {
        let Some(stream) = self.streams.get(key) else { return };
        if stream.is_over() || stream.sending != Sending::Ended {
            return;
        }
        if stream.has_ended {
            self.close(key, Ok(()));
        } else if stream.is_unwanted {
            self.reset(key, Reason::NO_ERROR);
        }
    }

    /// Ends a stream on both sides, and says so.
    pub(super) fn reset(&mut self, key: usize, reason: Reason) {
        let Some(stream) = self.streams.get(key) else { return };
        let id = stream.id;
        self.write_reset(id, reason);
        self.cut(key, Cut::Reset(reason));
    }

    pub(super) fn write_reset(&mut self, id: u32, reason: Reason) {
        frame::write_reset(self.out(), id, reason);
        // All that may be open may be reset at one time.
        if self.resets.len() >= REMEMBERED.max(self.agreed.streams as usize) {
            self.resets.pop_front();
        }
        self.resets.push_back(id);
        self.wake_carrier();
    }

    /// A stream is over before its time.
    pub(super) fn cut(&mut self, key: usize, how: Cut) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let unread = stream.input.len() as u32;
        (stream.input, stream.pending, stream.trailers) = (BytesMut::new(), Bytes::new(), None);
        stream.wake_reader();
        stream.wake_sender();
        if stream.handles == 0 {
            self.arrived.retain(|arrived| arrived.key != key);
        }
        if std::mem::take(&mut stream.is_queued) {
            self.ready.retain(|ready| *ready != key);
        }
        self.release(unread);
        self.close(key, Err(how));
    }

    fn close(&mut self, key: usize, how: Result<(), Cut>) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.end = Some(how);
        let (id, is_known) = (stream.id, stream.handles > 0);
        if let Ok(place) = self.index.binary_search_by_key(&id, |(id, _)| *id) {
            self.index.remove(place);
        }
        if !is_known {
            self.remove(key);
        }
        if self.index.is_empty() {
            // There may be nothing left to wait for.
            self.wake_carrier();
        }
    }

    /// Somebody here knows of a stream no longer.
    pub(super) fn forget(&mut self, key: usize) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.handles -= 1;
        if stream.handles == 0 && stream.is_over() {
            self.remove(key);
        }
    }

    /// Takes a stream out; with the last of many their room goes too.
    fn remove(&mut self, key: usize) {
        self.streams.remove(key);
        if self.streams.is_empty() && self.streams.capacity() > FEW {
            (self.streams, self.index) = (Slab::new(), Vec::new());
            (self.arrived, self.ready) = (VecDeque::new(), VecDeque::new());
        }
    }

    /// The client has reset a stream.
    pub(super) fn given_up(&mut self, key: usize, reason: Reason) {
        if self.streams.get(key).is_some_and(|stream| stream.sending == Sending::Head) {
            self.given_up += 1;
        }
        self.cut(key, Cut::Reset(reason));
    }

    /// Does what follows from what the client did wrong.
    pub(super) fn punish(&mut self, fault: Fault) {
        match fault {
            Fault::Connection(reason, what) => self.fail(reason, what),
            Fault::Stream(id, reason, what) => {
                tracing::debug!(stream = id, %reason, "reset a stream: {what}");
                self.faults += 1;
                if let Some(key) = self.find(id) {
                    self.reset(key, reason);
                } else {
                    self.write_reset(id, reason);
                }
                if self.faults > FAULTS {
                    self.fail(Reason::ENHANCE_YOUR_CALM, "too many of its streams are wrong");
                }
            }
        }
    }

    /// Ends the connection, and says why.
    pub(super) fn fail(&mut self, reason: Reason, what: &'static str) {
        if self.failure.is_none() {
            self.failure = Some((reason, what));
            let last = self.last;
            frame::write_go_away(self.out(), last, reason);
        }
        self.end();
    }

    /// The connection is over, and with it all that was under way.
    pub(super) fn end(&mut self) {
        self.arrived.clear();
        while let Some((_, key)) = self.index.pop() {
            self.cut(key, Cut::Closed);
        }
        self.wake_carrier();
    }

    /// Changes what may be sent on all streams (§6.9.2); false if on one that becomes more than it may.
    pub(super) fn change_windows(&mut self, first: u32) -> bool {
        let former = std::mem::replace(&mut self.first_window, first);
        if former == first {
            return true;
        }
        self.index.iter().all(|(_, key)| {
            let Some(stream) = self.streams.get_mut(*key) else { return true };
            let is_good = stream.send_window.change(former, first);
            if stream.takes_turn() {
                self.ready.push_back(*key);
            }
            is_good
        })
    }

    /// Nobody reads what comes on a stream.
    pub(super) fn is_unwanted(&mut self, key: usize) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        (stream.is_unwanted, stream.reader) = (true, None);
        let unread = std::mem::take(&mut stream.input).len() as u32;
        self.release_on(key, unread);
        self.settle(key);
    }

    /// Counts what has come; false if the client was not allowed to send that much.
    pub(super) fn receive(&mut self, octets: u32) -> bool {
        self.receive_window.take(octets)
    }

    /// Lets the client send so much more on all streams together, in steps that are worth a frame.
    pub(super) fn release(&mut self, octets: u32) {
        self.unclaimed += octets;
        if self.unclaimed >= CONNECTION_WINDOW / 2 {
            let octets = std::mem::take(&mut self.unclaimed);
            // Not more than it was at first.
            let _ = self.receive_window.grow(octets);
            frame::write_window_update(self.out(), 0, octets);
            self.wake_carrier();
        }
    }

    /// The same, and on one stream.
    pub(super) fn release_on(&mut self, key: usize, octets: u32) {
        self.release(octets);
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.unclaimed += octets;
        if stream.unclaimed >= STREAM_WINDOW / 2 && !stream.has_ended && !stream.is_over() {
            let octets = std::mem::take(&mut stream.unclaimed);
            let _ = stream.receive_window.grow(octets);
            let id = stream.id;
            frame::write_window_update(self.out(), id, octets);
            self.wake_carrier();
        }
    }

    /// Where what is to be written is gathered.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        if self.out.capacity() == 0 {
            self.out = scratch::spare();
        }
        &mut self.out
    }

    /// Has the socket read and written.
    pub(super) fn wake_carrier(&mut self) {
        if let Some(carrier) = self.carrier.take() {
            carrier.wake();
        }
    }

    fn say_settings(&mut self) {
        use frame::setting::{ENABLE_CONNECT_PROTOCOL, MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE};
        let list = u32::try_from(self.agreed.limits.octets).unwrap_or(u32::MAX);
        let settings = [
            (MAX_CONCURRENT_STREAMS, self.agreed.streams),
            (MAX_HEADER_LIST_SIZE, list),
            (ENABLE_CONNECT_PROTOCOL, 1),
        ];
        frame::write_settings(self.out(), &settings);
    }
}
