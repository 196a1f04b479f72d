//! An HTTP/2 connection with a client: its streams, each an exchange of its own, and how it ends (RFC 9113).
//!
//! The `h2` crate is used as it is, without hyper over it: so a stream can be reset alone when nobody reads it, interim
//! responses can be passed on, and a tunnel is a stream like any other.

mod exchange;
mod patience;
mod request;

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use self::patience::Patience;
use self::request::arrive;
use super::Held;
use crate::config::Limits;
use crate::proxy::Client;
use crate::server::worker::Station;
use crate::transport::Wire;
use crate::transport::pulse::Activity;
use crate::watch::{Call, Ticket};

/// Octets of a request body that a client may send before they are read, per stream: what is held back for a slow
/// backend at most.
const STREAM_WINDOW: u32 = 64 * 1024 - 1;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Octets of responses that are held for a client that reads slowly, per stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that a client may reset before they were looked at (CVE-2023-44487).
const EARLY_RESETS: usize = 20;
/// Streams that may be reset because of what the client does wrong, over the life of a connection.
const FAULTS: usize = 256;
/// For a client to take notice that the connection ends, and to close it.
const GOODBYE: Duration = Duration::from_secs(2);

/// Serves a connection until it ends, idles too long, or is told to.
pub(super) async fn serve(
    station: &Rc<Station>,
    ticket: &Ticket<Held>,
    client: Rc<Client>,
    (wire, ahead): (Wire, Bytes),
) {
    let peer = client.line.peer;
    client.pulse.set(Activity::Head);
    let io = Resumed { wire, ahead };
    let mut handshake = builder(&station.worker.current().snapshot.limits).handshake(io);
    let connection = poll_fn(|cx| {
        while let Some(call) = ticket.hear(cx) {
            if call != Call::Stopping {
                return Poll::Ready(None);
            }
            ticket.with(|slot| slot.data.ending.set(true));
        }
        Pin::new(&mut handshake).poll(cx).map(Some)
    });
    let end = match connection.await {
        Some(Ok(connection)) => {
            Conversation { connection, client, patience: Rc::default(), goodbye: None }
                .carry(station, ticket)
                .await
        }
        Some(Err(error)) => Err(error),
        None => return tracing::debug!(%peer, "no HTTP/2 preface in time"),
    };
    match end {
        Ok(()) => {}
        // It is this side that found something wrong.
        Err(error) if error.is_library() => tracing::info!(%peer, %error, "refused what is not HTTP/2"),
        Err(error) => tracing::debug!(%peer, %error, "connection ended"),
    }
}

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(EARLY_RESETS)
        .max_local_error_reset_streams(Some(FAULTS))
        .enable_connect_protocol();
    builder
}

/// A connection that is open.
struct Conversation {
    connection: Connection<Resumed, Bytes>,
    client: Rc<Client>,
    patience: Rc<Patience>,
    /// Once it was said that it ends: when that is enforced.
    goodbye: Option<Pin<Box<Sleep>>>,
}

/// What happens on a connection beside requests.
enum Event {
    /// It is to end.
    Called,
    /// It was to end, and has not in time.
    Late,
    Ended(Result<(), h2::Error>),
}

impl Conversation {
    /// Answers requests, each in a task of its own.
    async fn carry(mut self, station: &Rc<Station>, ticket: &Ticket<Held>) -> Result<(), h2::Error> {
        if ticket.with(|slot| slot.data.ending.get()) {
            self.say_goodbye();
        }
        loop {
            match poll_fn(|cx| self.poll_event(cx, station, ticket)).await {
                Event::Called => self.say_goodbye(),
                Event::Late if self.client.is_busy() => self.goodbye = Some(Box::pin(sleep(GOODBYE))),
                Event::Late => return Ok(()),
                Event::Ended(how) => return how,
            }
        }
    }

    /// Streams that begin before the client has heard of it are still answered.
    fn say_goodbye(&mut self) {
        self.connection.graceful_shutdown();
        self.goodbye = Some(Box::pin(sleep(GOODBYE)));
    }

    fn answer(&mut self, station: &Station, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        if !self.patience.count_begun() {
            tracing::info!(peer = %self.client.line.peer, "connection ended: most of its requests are given up");
            return self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
        let (worker, active) = (station.worker.clone(), self.client.begin());
        let asked = arrive(&worker, &active, request);
        // Boxed, since the runtime moves a task as a whole when it ends.
        let exchange = Box::pin(exchange::carry(worker, (active, self.patience.clone()), (asked, respond)));
        tokio::task::spawn_local(exchange);
    }

    /// Waits for what is to be done, and begins to answer the requests that come meanwhile.
    fn poll_event(&mut self, cx: &mut Context<'_>, station: &Station, ticket: &Ticket<Held>) -> Poll<Event> {
        loop {
            if ticket.hear(cx).is_some() {
                return Poll::Ready(Event::Called);
            }
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.answer(station, request, respond),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Event::Ended(Err(error))),
                Poll::Ready(None) => return Poll::Ready(Event::Ended(Ok(()))),
                Poll::Pending => break,
            }
        }
        match &mut self.goodbye {
            Some(goodbye) => goodbye.as_mut().poll(cx).map(|()| Event::Late),
            None => Poll::Pending,
        }
    }
}

/// A wire of which something was read already.
struct Resumed {
    wire: Wire,
    ahead: Bytes,
}

impl AsyncRead for Resumed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.wire).poll_read(cx, buffer);
        }
        let count = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Resumed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
