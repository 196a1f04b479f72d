//! One client connection: HTTP/1.1 by hyper, under the eyes of the worker's sweep.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper::service::Service;
use tokio::net::TcpStream;

use super::worker::Station;
use crate::clock::Now;
use crate::config::Limits;
use crate::proxy::{Answer, Body, Client, Place, Worker, handle};
use crate::transport::Wire;
use crate::transport::io::{Activity, Beat, ClientIo, Pulse};
use crate::watch::{Call, Ticket, Watch};

/// The client connections of one worker.
#[derive(Debug)]
pub(super) struct Connections(Rc<Watch<Held>>);

/// What the sweep knows of a connection.
#[derive(Debug)]
struct Held {
    pulse: Arc<Pulse>,
    /// The pulse at the last sweep.
    seen: Cell<Option<Beat>>,
}

impl Connections {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self(Watch::new()))
    }

    fn enter(&self, pulse: Arc<Pulse>) -> Ticket<Held> {
        self.0.enter(Held { pulse, seen: Cell::new(None) })
    }

    /// Notes which connections changed what they do since the last sweep, and calls those that have done it for too
    /// long: a deadline without a timer, as precise as the sweep is frequent.
    pub(super) fn sweep(&self, limits: &Limits, now: Now) {
        self.0.each(|slot| {
            let beat = slot.data.pulse.read();
            if slot.data.seen.replace(Some(beat)) != Some(beat) {
                slot.set_deadline(allowed(beat, limits).map_or(Now::NEVER, |limit| now.after(limit)));
            }
        });
        self.0.sweep(now);
    }

    /// Has every connection finish its request and close.
    pub(super) fn finish(&self) {
        self.0.each(|slot| slot.call(Call::Stopping));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How long a connection may do what it does. A new one that says nothing has as long as for a head.
fn allowed(beat: Beat, limits: &Limits) -> Option<Duration> {
    match beat.activity() {
        Activity::Idle if beat.has_served() => Some(limits.keep_alive),
        Activity::Idle | Activity::Head => Some(limits.header_timeout),
        Activity::Busy => None,
    }
}

/// Answers the requests of a connection.
#[derive(Debug)]
struct Desk {
    worker: Rc<Worker>,
    client: Rc<Client>,
}

impl Service<Request<Incoming>> for Desk {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        self.client.pulse.set(Activity::Busy);
        handle(&self.worker, &self.client, request)
    }
}

type Served = UpgradeableConnection<ClientIo, Desk>;

/// Serves a connection until it ends, takes too long, or is told to.
pub(super) async fn serve(station: Rc<Station>, place: Place, stream: TcpStream, peer: SocketAddr) {
    let pulse = Arc::new(Pulse::default());
    let ticket = station.connections.enter(pulse.clone());
    let client = Rc::new(Client::new(peer, pulse.clone(), place));
    if let Ok(local) = stream.local_addr() {
        client.connected_to(local);
    }
    let desk = Desk { worker: station.worker.clone(), client: client.clone() };
    let builder = builder(&station.worker.current().snapshot.limits);
    let mut connection =
        builder.serve_connection(ClientIo::new(Wire::Plain(stream), pulse.clone()), desk).with_upgrades();
    match until_ended(&mut connection, &ticket, &client).await {
        Ended::ByItself(Ok(())) => {}
        Ended::ByItself(Err(error)) if error.is_parse() => {
            tracing::info!(%peer, %error, "refused what is not HTTP/1.1, or too large a head");
        }
        Ended::ByItself(Err(error)) => tracing::debug!(%peer, %error, "connection ended"),
        Ended::Overdue if pulse.read().activity() == Activity::Head => say_too_slow(connection, peer),
        Ended::Overdue => tracing::debug!(%peer, "connection idled too long"),
        Ended::Stalled => tracing::debug!(%peer, "connection dropped within a response"),
    }
}

/// How a connection ended.
enum Ended {
    ByItself(hyper::Result<()>),
    Overdue,
    Stalled,
}

async fn until_ended(connection: &mut Served, ticket: &Ticket<Held>, client: &Client) -> Ended {
    std::future::poll_fn(|cx| {
        while let Some(call) = ticket.hear(cx) {
            match call {
                Call::Stopping => Pin::new(&mut *connection).graceful_shutdown(),
                Call::Overdue | Call::Moved | Call::Drop => return Poll::Ready(Ended::Overdue),
            }
        }
        // While the client does not read, hyper does not ask the body whether it is overdue.
        if client.is_stalled(cx) {
            return Poll::Ready(Ended::Stalled);
        }
        Pin::new(&mut *connection).poll(cx).map(Ended::ByItself)
    })
    .await
}

/// Hyper's own time-out for heads is a timer for each connection, and closes without a word.
fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .half_close(false)
        .writev(false)
        .auto_date_header(false)
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(MIN_BUFFER));
    if limits.headers != HYPER_HEADERS {
        builder.max_headers(limits.headers);
    }
    builder
}

/// The least that hyper accepts.
const MIN_BUFFER: usize = 8192;
/// Up to so many fields hyper parses without an allocation; setting even this number would lose that.
const HYPER_HEADERS: usize = 100;

const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

fn say_too_slow(connection: Served, peer: SocketAddr) {
    tracing::info!(%peer, status = 408, "a request head did not come in time");
    if let Some(parts) = connection.into_parts() {
        // Said once, to whoever still listens.
        parts.io.into_inner().write_at_once(TOO_SLOW);
    }
}
