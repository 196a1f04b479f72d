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
use crate::listener::Door;
use crate::proxy::{Carrier, Client, Place};
use crate::transport::http1::client::HeadLimits;
use crate::transport::pulse::{Activity, Beat, Pulse};
use crate::watch::{Call, Ticket, Watch};

/// The client connections of one worker.
#[derive(Debug)]
pub(super) struct Connections {
    watch: Rc<Watch<Held>>,
    /// All are to finish, those that come from now on too.
    ending: Cell<bool>,
}

/// What the sweep knows of a connection.
#[derive(Debug)]
struct Held {
    pulse: Rc<Pulse>,
    /// What it came in by.
    door: Arc<Door>,
    /// It was told to finish before it had said anything: what it says first is still answered.
    ending: Cell<bool>,
    /// The pulse at the last sweep.
    seen: Cell<Option<Beat>>,
}

/// A connection that was just accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) place: Place,
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
}

impl Connections {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self { watch: Watch::new(), ending: Cell::new(false) })
    }

    fn enter(&self, pulse: Rc<Pulse>, door: &Arc<Door>) -> Ticket<Held> {
        let (door, seen, ending) = (door.clone(), Cell::new(None), Cell::new(false));
        let is_late = self.ending.get() || door.is_closed();
        let ticket = self.watch.enter(Held { pulse, door, ending, seen });
        if is_late {
            ticket.with(|slot| slot.call(Call::Stopping));
        }
        ticket
    }

    /// Notes which connections changed what they do since the last sweep, and calls those that have done it for too
    /// long: a deadline without a timer, as precise as the sweep is frequent.
    pub(super) fn sweep(&self, limits: &Limits, now: Now) {
        self.watch.each(|slot| {
            let beat = slot.data.pulse.read();
            if slot.data.seen.replace(Some(beat)) != Some(beat) {
                let limit = allowed(&slot.data, limits);
                slot.set_deadline(limit.map_or(Now::NEVER, |limit| now.after(limit)));
            }
        });
        self.watch.sweep(now);
    }

    /// Has every connection finish its request and close, those that come from now on too.
    pub(super) fn finish(&self) {
        self.ending.set(true);
        self.watch.each(|slot| slot.call(Call::Stopping));
    }

    /// The same for those that came in by one door.
    pub(super) fn finish_at(&self, door: &Arc<Door>) {
        self.watch.each(|slot| {
            if Arc::ptr_eq(&slot.data.door, door) {
                slot.call(Call::Stopping);
            }
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watch.is_empty()
    }
}

/// For a connection that was just accepted to say something, when it is to finish.
const LAST_WORD: Duration = Duration::from_secs(1);

impl Station {
    /// A connection is to finish: one that has said nothing has a moment for what may be on its way already.
    fn finish_soon(&self, ticket: &Ticket<Held>) {
        ticket.with(|slot| {
            slot.data.ending.set(true);
            let beat = slot.data.pulse.read();
            if beat.activity() == Activity::Idle && !beat.has_served() {
                slot.set_deadline(self.worker.clock.now().after(LAST_WORD));
            }
        });
    }
}

/// How long a connection may do what it does. A new one that says nothing has as long as for a head, and so has one that
/// was answered before its body had ended.
fn allowed(held: &Held, limits: &Limits) -> Option<Duration> {
    let beat = held.pulse.read();
    match beat.activity() {
        Activity::Idle if held.ending.get() => Some(LAST_WORD.min(limits.header_timeout)),
        Activity::Idle if beat.has_served() && !held.pulse.is_within_body() => Some(limits.keep_alive),
        Activity::Idle | Activity::Head => Some(limits.header_timeout),
        Activity::Busy => None,
    }
}

/// Takes a connection in, and serves it until it ends, takes too long, or is told to.
pub(super) fn begin(station: &Rc<Station>, accepted: Accepted) {
    let pulse = Rc::new(Pulse::default());
    // Here and not in the task, so that whoever asks how many there are is told of it.
    let ticket = station.connections.enter(pulse.clone(), &accepted.place.listener().door);
    tokio::task::spawn_local(serve(station.clone(), accepted, (ticket, pulse)));
}

async fn serve(station: Rc<Station>, accepted: Accepted, (ticket, pulse): (Ticket<Held>, Rc<Pulse>)) {
    let peer = accepted.peer;
    // Boxed: a handshake is over soon, and would count in the size of every connection.
    let opened = Box::pin(opening::open(&station, &ticket, &pulse, accepted)).await;
    let opening::Opened { wire, ahead, line, place } = match opened {
        Ok(opened) => opened,
        Err(refused) => {
            refused.limit().into_iter().for_each(|limit| station.worker.tally().reached(limit));
            return refused.log(peer);
        }
    };
    let carrier = line.carrier;
    let client = Rc::new(Client::new(line, pulse, place));
    match carrier {
        Carrier::Http1 => http1::serve(&station, &ticket, client, (wire, ahead)).await,
        Carrier::Http2 => Box::pin(http2::serve(&station, &ticket, client, (wire, ahead))).await,
    }
}

fn head_limits(limits: &Limits) -> HeadLimits {
    HeadLimits { octets: limits.header_bytes, fields: limits.headers }
}
