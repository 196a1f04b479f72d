//! An HTTP/1.1 connection with a client, by hyper.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper::service::Service;

use super::Held;
use crate::config::Limits;
use crate::proxy::{Answer, Arrived, Body, Client, Limit, Worker, handle};
use crate::server::worker::Station;
use crate::transport::io::{Activity, ClientIo};
use crate::transport::{Received, TOO_SLOW, Wire};
use crate::watch::{Call, Ticket};

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
        let request = request.map(|incoming| Received::http1(incoming, &self.client.pulse));
        handle(&self.worker, &self.client, Arrived { request, tunnel: None, interim: None })
    }
}

type Served = UpgradeableConnection<ClientIo, Desk>;

/// Serves a connection until it ends, takes too long, or is told to.
pub(super) async fn serve(
    station: &Station,
    ticket: &Ticket<Held>,
    client: Rc<Client>,
    (wire, ahead): (Wire, Bytes),
) {
    let (peer, pulse) = (client.line.peer, client.pulse.clone());
    let desk = Desk { worker: station.worker.clone(), client: client.clone() };
    let builder = builder(&station.worker.current().snapshot.limits);
    let io = ClientIo::new(wire, ahead, pulse.clone());
    let mut connection = builder.serve_connection(io, desk).with_upgrades();
    match until_ended(&mut connection, station, ticket, &client).await {
        Ended::ByItself(Ok(())) => {}
        Ended::ByItself(Err(error)) if error.is_parse() => {
            if error.is_parse_too_large() {
                station.worker.tally().reached(Limit::HeaderBytes);
            }
            tracing::info!(%peer, %error, "refused what is not HTTP/1.1, or too large a head");
        }
        Ended::ByItself(Err(error)) => tracing::debug!(%peer, %error, "connection ended"),
        Ended::Overdue if pulse.read().activity() == Activity::Head => {
            station.worker.tally().reached(Limit::HeaderTimeout);
            say_too_slow(connection, peer);
        }
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

async fn until_ended(
    connection: &mut Served,
    station: &Station,
    ticket: &Ticket<Held>,
    client: &Client,
) -> Ended {
    let mut is_to_finish = ticket.with(|slot| slot.data.ending.get());
    std::future::poll_fn(|cx| {
        while let Some(call) = ticket.hear(cx) {
            match call {
                Call::Stopping => {
                    station.finish_soon(ticket);
                    is_to_finish = true;
                }
                Call::Overdue | Call::Moved | Call::Drop => return Poll::Ready(Ended::Overdue),
            }
        }
        // While the client does not read, hyper does not ask the body whether it is overdue.
        if client.is_stalled(cx) {
            return Poll::Ready(Ended::Stalled);
        }
        if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx) {
            return Poll::Ready(Ended::ByItself(ended));
        }
        if !is_to_finish || has_said_nothing(client) {
            return Poll::Pending;
        }
        // What has come was read first: hyper makes an end at once where it knows of no request.
        is_to_finish = false;
        Pin::new(&mut *connection).graceful_shutdown();
        Pin::new(&mut *connection).poll(cx).map(Ended::ByItself)
    })
    .await
}

fn has_said_nothing(client: &Client) -> bool {
    let beat = client.pulse.read();
    beat.activity() == Activity::Idle && !beat.has_served()
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

fn say_too_slow(connection: Served, peer: SocketAddr) {
    tracing::info!(%peer, status = 408, "a request head did not come in time");
    if let Some(parts) = connection.into_parts() {
        // Said once, to whoever still listens.
        parts.io.into_inner().write_at_once(TOO_SLOW);
    }
}
