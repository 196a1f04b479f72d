//! One client connection, under the eyes of the worker's sweep: opened, then served by the HTTP version it speaks.

mod http1;
mod http2;
mod opening;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::worker::Station;
use crate::clock::Now;
use crate::config::Limits;
use crate::listener::Listener;
use crate::proxy::{Carrier, Client, Place};
use crate::transport::io::{Activity, Beat, Pulse};
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

/// A connection that was just accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) listener: Arc<Listener>,
    pub(super) place: Place,
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
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
                let limit = allowed(&slot.data.pulse, limits);
                slot.set_deadline(limit.map_or(Now::NEVER, |limit| now.after(limit)));
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

/// How long a connection may do what it does. A new one that says nothing has as long as for a head, and so has one that
/// was answered before its body had ended.
fn allowed(pulse: &Pulse, limits: &Limits) -> Option<Duration> {
    let beat = pulse.read();
    match beat.activity() {
        Activity::Idle if beat.has_served() && !pulse.is_within_body() => Some(limits.keep_alive),
        Activity::Idle | Activity::Head => Some(limits.header_timeout),
        Activity::Busy => None,
    }
}

/// Serves a connection until it ends, takes too long, or is told to.
pub(super) async fn serve(station: Rc<Station>, accepted: Accepted) {
    let pulse = Arc::new(Pulse::default());
    let ticket = station.connections.enter(pulse.clone());
    let peer = accepted.peer;
    // Boxed: a handshake is over soon, and would count in the size of every connection.
    let opened = Box::pin(opening::open(&station, &ticket, &pulse, accepted)).await;
    let opening::Opened { wire, ahead, line, place } = match opened {
        Ok(opened) => opened,
        Err(refused) => return refused.log(peer),
    };
    let carrier = line.carrier;
    let client = Rc::new(Client::new(line, pulse, place));
    match carrier {
        Carrier::Http1 => http1::serve(&station, &ticket, client, (wire, ahead)).await,
        Carrier::Http2 => Box::pin(http2::serve(&station, &ticket, client, (wire, ahead))).await,
    }
}
