//! One worker: carries out what it is told, watches over its connections, and stops when told.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::connection::Connections;
use super::doors::Turn;
use super::gates::Gates;
use super::spread::{Passed, Spread};
use super::stop::{Schedule, Stop};
use crate::listener::{Door, Listener};
use crate::proxy::{Core, Order, Worker};
use crate::transport::exchange::Phase;
use crate::watch::{Call, SWEEP};

/// What a worker is given.
#[derive(Debug)]
pub(super) struct Duty {
    pub(super) core: Arc<Core>,
    pub(super) index: usize,
    pub(super) turns: mpsc::Receiver<Turn>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) spread: Spread,
    pub(super) passed: mpsc::Receiver<Passed>,
    pub(super) settled: watch::Receiver<bool>,
    pub(super) stopping: watch::Receiver<Stop>,
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
    pub(super) spread: Spread,
}

/// TLS handshakes of one worker at one time: each holds a few buffers and, at the end, the processor for a moment. More
/// wait, within the time that they have.
const HANDSHAKES: usize = 512;

/// Works until told to stop, and then until all is finished or time is up.
pub(super) async fn run(mut duty: Duty) {
    let station = Rc::new(Station {
        worker: Worker::new(duty.index, duty.core.clone()),
        connections: Connections::new(),
        handshakes: Semaphore::new(HANDSHAKES),
        spread: duty.spread.clone(),
    });
    // Fails only where it is set already, and then to the same.
    let _ = station.worker.tally().runtime.set(tokio::runtime::Handle::current().metrics());
    tokio::select! {
        _ = duty.settled.wait_for(|settled| *settled) => {}
        _ = duty.stopping.wait_for(|stop| *stop > Stop::No) => {}
    }
    let gates = Gates::default();
    let watching = tokio::task::spawn_local(watch_over(station.clone()));
    if obey(&station, &gates, &mut duty).await == Stop::Graceful {
        station.connections.finish();
        // Whoever would hand one over now keeps it, and those that are on their way are still served.
        duty.passed.close();
        while let Some(passed) = duty.passed.recv().await {
            station.take_in(passed);
        }
        gates.close().await;
        finish(&station, &mut duty).await;
    } else {
        gates.abort();
    }
    watching.abort();
    station.worker.end();
}

impl Station {
    /// The listener of a door as it is described now; none once it is gone.
    pub(super) fn listener(&self, door: &Arc<Door>) -> Option<Arc<Listener>> {
        let current = self.worker.current();
        current.snapshot.listeners.iter().find(|listener| Arc::ptr_eq(&listener.door, door)).cloned()
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
async fn obey(station: &Rc<Station>, gates: &Gates, duty: &mut Duty) -> Stop {
    loop {
        tokio::select! {
            Some(turn) = duty.turns.recv() => gates.turn(station, turn),
            Some(passed) = duty.passed.recv() => station.take_in(passed),
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
