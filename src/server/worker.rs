//! One worker: accepts on its own sockets, watches over its connections, and stops when told.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::connection::{self, Accepted, Connections};
use super::stop::{Schedule, Stop};
use crate::listener::Listener;
use crate::proxy::{Core, Order, Place, Worker};
use crate::transport::exchange::Phase;
use crate::watch::{Call, SWEEP};

/// What a worker is given.
#[derive(Debug)]
pub(super) struct Duty {
    pub(super) core: Arc<Core>,
    pub(super) index: usize,
    pub(super) sockets: Vec<std::net::TcpListener>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) settled: watch::Receiver<bool>,
    pub(super) stopping: watch::Receiver<Stop>,
    /// Client connections the process may have.
    pub(super) connections: usize,
    /// Dropped when the worker ends.
    pub(super) _alive: mpsc::Sender<()>,
}

/// What the tasks of one worker share.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) worker: Rc<Worker>,
    pub(super) connections: Rc<Connections>,
    /// TLS handshakes at one time.
    pub(super) handshakes: Semaphore,
    limit: usize,
}

/// TLS handshakes of one worker at one time: each holds a few buffers and, at the end, the processor for a moment. More
/// wait, within the time that they have.
const HANDSHAKES: usize = 512;
/// After an accept failed, or found no place.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Works until told to stop, and then until all is finished or time is up.
pub(super) async fn run(mut duty: Duty) {
    let station = Rc::new(Station {
        worker: Worker::new(duty.index, duty.core.clone()),
        connections: Connections::new(),
        handshakes: Semaphore::new(HANDSHAKES),
        limit: duty.connections,
    });
    tokio::select! {
        _ = duty.settled.wait_for(|settled| *settled) => {}
        _ = duty.stopping.wait_for(|stop| *stop > Stop::No) => {}
    }
    let sockets = duty.sockets.drain(..).enumerate();
    let listeners: Vec<_> = sockets.filter_map(|(index, socket)| listen(&station, index, socket)).collect();
    let watching = tokio::task::spawn_local(watch_over(station.clone()));
    let stop = obey(&station, &mut duty).await;
    listeners.iter().for_each(tokio::task::JoinHandle::abort);
    if stop == Stop::Graceful {
        finish(&station, &mut duty).await;
    }
    watching.abort();
    station.worker.end();
}

fn listen(
    station: &Rc<Station>,
    index: usize,
    socket: std::net::TcpListener,
) -> Option<tokio::task::JoinHandle<()>> {
    match TcpListener::from_std(socket) {
        Ok(socket) => Some(tokio::task::spawn_local(accept(station.clone(), index, socket))),
        Err(error) => {
            tracing::error!(%error, "a listening socket cannot be used");
            None
        }
    }
}

/// Accepts for ever. An error is no reason to spin, nor to stop.
async fn accept(station: Rc<Station>, index: usize, socket: TcpListener) {
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                let (listener, place) = station.place(index).await;
                let accepted = Accepted { listener, place, stream, peer };
                tokio::task::spawn_local(connection::serve(station.clone(), accepted));
            }
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                sleep(BACK_OFF).await;
            }
        }
    }
}

/// Whether an accept failed because of the connection, which is gone, and not because of us.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

impl Station {
    /// A place for one more connection, as soon as there is one. At the limit connections wait in the kernel's queue,
    /// but for the one that each socket has accepted: only when a place is taken no other worker takes it.
    async fn place(&self, listener: usize) -> (Arc<Listener>, Place) {
        loop {
            let listener = self.worker.current().snapshot.listeners[listener].clone();
            if let Some(place) = Place::take(&self.worker, &listener, self.limit) {
                return (listener, place);
            }
            tokio::select! {
                () = self.worker.freed.notified() => {}
                () = sleep(BACK_OFF) => {}
            }
        }
    }
}

/// Sweeps at a steady pace.
async fn watch_over(station: Rc<Station>) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let current = station.worker.current();
        station.worker.sweep();
        station.connections.sweep(&current.snapshot.limits, station.worker.clock.now());
    }
}

/// Carries out orders until told to stop.
async fn obey(station: &Station, duty: &mut Duty) -> Stop {
    loop {
        tokio::select! {
            order = duty.orders.recv() => match order {
                Some(order) => station.worker.obey(order),
                None => return Stop::Now,
            },
            stop = duty.stopping.wait_for(|stop| *stop > Stop::No) => return stop.map_or(Stop::Now, |stop| *stop),
        }
    }
}

/// Lets what runs finish; tunnels are closed near the end, each key's together.
async fn finish(station: &Station, duty: &mut Duty) {
    let begun = Instant::now();
    let schedule = Schedule::new(station.worker.current().snapshot.shutdown_timeout);
    station.connections.finish();
    let mut ticks = interval(SWEEP / 5);
    while begun.elapsed() < schedule.end
        && !(station.connections.is_empty() && station.worker.exchanges.is_empty())
    {
        tokio::select! {
            _ = ticks.tick() => close_due_tunnels(station, &schedule, begun.elapsed()),
            Some(order) = duty.orders.recv() => station.worker.obey(order),
            _ = duty.stopping.wait_for(|stop| *stop == Stop::Now) => return,
        }
    }
}

fn close_due_tunnels(station: &Station, schedule: &Schedule, elapsed: Duration) {
    station.worker.exchanges.each(|slot| {
        let key = slot.data.key().map_or(0, |tag| tag.key);
        if slot.data.phase() == Phase::Tunnel && schedule.is_due(key, elapsed) {
            slot.call(Call::Stopping);
        }
    });
}
