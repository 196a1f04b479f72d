//! What goes to a client: sections as they come, bodies in turn and as far as windows let them (RFC 9113 §5.2).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use tokio::io::AsyncWrite as _;

use super::frame::{HEAD, Kind, LONGEST, flag, head};
use super::hpack::Encoder;
use super::state::State;
use super::stream::{Sending, Stream};
use crate::headers::Fields;
use crate::transport::{Wire, scratch};

/// Octets beyond which no body is added to what waits to be written.
const ENOUGH: usize = 64 * 1024;
/// Octets that wait to be written beyond which nothing more is read: what is read makes more of them.
const FULL: usize = 128 * 1024;

/// What a stream has to say of a response.
#[derive(Debug, Clone, Copy)]
pub(super) enum Section<'a> {
    /// An interim response.
    Interim(StatusCode, &'a Fields),
    /// The head of the response, and whether that is all.
    Head(StatusCode, &'a Fields, bool),
    /// What comes behind the body.
    Trailers(&'a Fields),
}

impl State {
    /// Octets that wait to be written.
    fn waiting(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Whether so much waits to be written that nothing more is read.
    pub(super) fn is_full(&self) -> bool {
        self.waiting() > FULL
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_written(&self) -> bool {
        self.waiting() == 0 && self.ready.is_empty()
    }

    /// Sends a field section. What is pending of the body has to be sent before trailer fields come.
    pub(super) fn send_section(&mut self, key: usize, section: Section<'_>) {
        let has_room = self.has_room();
        let Some(stream) = self.streams.get_mut(key) else { return };
        let id = stream.id;
        let ends = match section {
            // There may be any number of them, and each is only a hint.
            Section::Interim(..) if !has_room => return,
            Section::Interim(..) => false,
            Section::Head(_, _, ends) => ends,
            Section::Trailers(_) => true,
        };
        if !matches!(section, Section::Interim(..)) {
            stream.sending = Sending::Body;
        }
        self.write_section(id, ends, |encoder, out| match section {
            Section::Interim(status, fields) | Section::Head(status, fields, _) => {
                encoder.head(status, fields, out);
            }
            Section::Trailers(fields) => encoder.trailers(fields, out),
        });
        if ends {
            self.has_sent(key);
        }
        self.wake_carrier();
    }

    fn write_section(&mut self, id: u32, ends: bool, write: impl FnOnce(&mut Encoder, &mut Vec<u8>)) {
        let end = if ends { flag::END_STREAM } else { 0 };
        let start = self.out.len();
        self.out().extend_from_slice(&[0; HEAD]);
        write(&mut self.encoder, &mut self.out);
        let length = self.out.len() - start - HEAD;
        if length <= LONGEST {
            let head = head(Kind::Headers, end | flag::END_HEADERS, id, length);
            if let Some(place) = self.out.get_mut(start..start + HEAD) {
                place.copy_from_slice(&head);
            }
            return;
        }
        let block = self.out.split_off(start + HEAD);
        self.out.truncate(start);
        let (mut kind, mut flags, mut rest) = (Kind::Headers, end, &block[..]);
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(rest.len().min(LONGEST));
            if behind.is_empty() {
                flags |= flag::END_HEADERS;
            }
            self.out.extend_from_slice(&head(kind, flags, id, part.len()));
            self.out.extend_from_slice(part);
            (kind, flags, rest) = (Kind::Continuation, 0, behind);
        }
    }

    /// Sends octets of a body, or as many as go now; the rest as soon as it may. Whoever calls has waited until all
    /// before was sent.
    pub(super) fn send_data(&mut self, key: usize, data: Bytes, ends: bool) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.pending = data;
            if ends {
                stream.sending = Sending::Last;
            }
            self.send_pending(key);
        }
    }

    /// Ends a body, behind what is pending of it.
    pub(super) fn send_end(&mut self, key: usize) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.sending = Sending::Last;
            self.send_pending(key);
        }
    }

    fn send_pending(&mut self, key: usize) {
        // An end alone takes no room, and does not wait for those that do (§6.9.1).
        let is_bare = self.streams.get(key).is_some_and(|stream| stream.pending.is_empty());
        while (is_bare || self.ready.is_empty() && self.has_room()) && self.write_data(key) {}
        self.enqueue(key);
        self.wake_carrier();
    }

    /// Gives a stream its turn, if it has something to send.
    pub(super) fn enqueue(&mut self, key: usize) {
        if self.streams.get_mut(key).is_some_and(Stream::takes_turn) {
            self.ready.push_back(key);
        }
    }

    fn has_room(&self) -> bool {
        self.waiting() < ENOUGH
    }

    /// Writes one frame of what a stream has; returns whether it may write another.
    fn write_data(&mut self, key: usize) -> bool {
        let Some(stream) = self.streams.get_mut(key) else { return false };
        let window = self.send_window.room().min(stream.send_window.room());
        let count = stream.pending.len().min(window).min(LONGEST);
        if !stream.wants_to_send() || count == 0 && !stream.pending.is_empty() {
            return false;
        }
        let is_last = stream.sending == Sending::Last && count == stream.pending.len();
        let flags = if is_last { flag::END_STREAM } else { 0 };
        let part = stream.pending.split_to(count);
        for window in [&mut self.send_window, &mut stream.send_window] {
            // It has that much room.
            let _ = window.take(count as u32);
        }
        let (head, goes_on) = (head(Kind::Data, flags, stream.id, count), stream.may_send() && !is_last);
        if stream.pending.is_empty() {
            stream.wake_sender();
        }
        let out = self.out();
        out.extend_from_slice(&head);
        out.extend_from_slice(&part);
        if is_last {
            self.has_sent(key);
        }
        goes_on
    }

    /// All of a response is sent.
    fn has_sent(&mut self, key: usize) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.sending = Sending::Ended;
        }
        self.settle(key);
    }

    /// Writes bodies, a frame of each in turn.
    fn write_bodies(&mut self) {
        while self.has_room()
            && let Some(key) = self.ready.pop_front()
        {
            let Some(stream) = self.streams.get_mut(key) else { continue };
            if self.send_window.room() == 0 && !stream.pending.is_empty() {
                self.ready.push_front(key);
                return;
            }
            stream.is_queued = false;
            if self.write_data(key) {
                self.enqueue(key);
            }
        }
    }

    /// Lets go of what was written, also where there is always more.
    fn has_written(&mut self, count: usize) {
        self.sent += count;
        self.written += count as u64;
        if self.waiting() == 0 {
            scratch::give_back(std::mem::take(&mut self.out));
            self.sent = 0;
        } else if self.sent >= ENOUGH {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Writes what there is to write.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, wire: &mut Wire) -> Poll<std::io::Result<()>> {
        let mut has_written = false;
        loop {
            self.write_bodies();
            let rest = self.out.get(self.sent..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            match ready!(Pin::new(&mut *wire).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                count => self.has_written(count),
            }
            has_written = true;
        }
        if has_written || self.is_unflushed {
            self.is_unflushed = true;
            ready!(Pin::new(wire).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::future::poll_fn;
    use std::io::Read as _;

    use crate::transport::http1::client::HeadLimits;
    use crate::transport::http2::{Agreed, PREFACE};

    /// A client that reads all the time and less than there is: what was sent is let go of all the same.
    #[test]
    fn what_was_sent_is_let_go_of_though_there_is_always_more() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let mut client = std::net::TcpStream::connect(listener.local_addr().expect("an address"))
                .expect("a connection");
            let (server, _) = listener.accept().expect("a connection");
            for socket in [socket2::SockRef::from(&client), socket2::SockRef::from(&server)] {
                socket.set_send_buffer_size(32 * 1024).expect("a size");
                socket.set_recv_buffer_size(32 * 1024).expect("a size");
            }
            server.set_nonblocking(true).expect("a mode");
            let mut wire = Wire::Plain(tokio::net::TcpStream::from_std(server).expect("a socket"));

            let mut state =
                State::new(Agreed { limits: HeadLimits { octets: 4096, fields: 20 }, streams: 10 });
            let open = b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff\0\0\x04\x08\0\0\0\0\0\x70\0\0\0";
            let get = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01h";
            state.take(&[PREFACE, open, get].concat());
            let key = state.arrived.pop_front().expect("a request").key;
            state.send_section(key, Section::Head(StatusCode::OK, &Fields::new(), false));
            let (mut buffer, mut read) = (vec![0; 20_000], 0);
            client.set_nonblocking(true).expect("a mode");
            while read < 16 * ENOUGH {
                // For the reactor to see what has changed.
                tokio::task::yield_now().await;
                if state.streams[key].pending.is_empty() {
                    state.send_data(key, Bytes::from(vec![0; 64 * 1024]), false);
                }
                poll_fn(|cx| {
                    let _ = state.poll_write(cx, &mut wire);
                    Poll::Ready(())
                })
                .await;
                read += client.read(&mut buffer).unwrap_or(0);
                assert!(state.out.len() < 4 * ENOUGH, "{} octets", state.out.len());
            }
        });
    }
}
