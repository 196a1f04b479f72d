//! Opening and closing listeners while workers run: sockets are bound here, before anything else changes, and each
//! worker is handed its own. What a worker does with them is its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::inherited::Inherited;
use super::socket::{self, Bound, Origin};
use crate::config::Config;
use crate::listener::Door;
use crate::snapshot::Snapshot;

/// Where doors are opened and closed.
#[derive(Debug)]
pub(super) struct Doors {
    inherited: Inherited,
    workers: Box<[mpsc::Sender<Turn>]>,
    /// Those that are closed and may have sockets still.
    closing: Mutex<Vec<Weak<Door>>>,
}

/// What one worker is told: these doors to open, and those to close.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) open: Vec<Opening>,
    pub(super) close: Vec<Arc<Door>>,
}

/// A socket for one worker.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) door: Arc<Door>,
    pub(super) socket: TcpListener,
    pub(super) origin: Origin,
}

/// Sockets that are bound and belong to nobody yet, and places for what workers will be told.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    doors: &'a Doors,
    bound: Vec<Bound>,
    permits: Vec<mpsc::Permit<'a, Turn>>,
}

/// Why nothing was opened.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// Workers have not carried out what they were told before.
    Busy,
    /// An address cannot be bound.
    Bind { address: SocketAddr, source: io::Error },
}

/// Turns that may wait for a worker.
const TURNS: usize = 16;
/// For workers to close the sockets of a listener that has just gone, when another wants its address.
const CLOSING: Duration = Duration::from_secs(1);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(1);

impl Doors {
    /// For so many workers, each of which hears of its turns at one of the receivers.
    pub(super) fn new(workers: usize, inherited: Inherited) -> (Self, Vec<mpsc::Receiver<Turn>>) {
        let (senders, receivers): (Vec<_>, _) = (0..workers).map(|_| mpsc::channel(TURNS)).unzip();
        (Self { inherited, workers: senders.into(), closing: Mutex::default() }, receivers)
    }

    /// Binds what `config` has and `before` has not. Nothing of it is seen by anybody, and if this fails nothing remains.
    pub(super) fn prepare(
        &self,
        config: &Config,
        before: Option<&Snapshot>,
    ) -> Result<Prepared<'_>, NotOpened> {
        let wanted = Snapshot::new_listeners(config, before);
        let closes =
            before.is_some_and(|before| before.listeners.len() + wanted.len() > config.listeners.len());
        let mut permits = Vec::new();
        if closes || !wanted.is_empty() {
            for worker in &self.workers {
                permits.push(worker.try_reserve().map_err(|_| NotOpened::Busy)?);
            }
        }
        let bind = |address| self.bind(address).map_err(|source| NotOpened::Bind { address, source });
        let bound = wanted.into_iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Prepared { doors: self, bound, permits })
    }

    fn bind(&self, address: SocketAddr) -> io::Result<Bound> {
        let workers = self.workers.len();
        if let Some(socket) = self.inherited.find(address) {
            return socket::share(socket, workers);
        }
        match socket::bind(address, workers) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && self.is_released(address) => {
                socket::bind(address, workers)
            }
            other => other,
        }
    }

    /// Waits until workers have closed the sockets of a listener that had this address and is gone; false if there is
    /// none, or that takes too long.
    fn is_released(&self, address: SocketAddr) -> bool {
        let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        closing.retain(|door| door.upgrade().is_some_and(|door| door.has_sockets()));
        let mut doors = closing.iter().filter_map(Weak::upgrade);
        let Some(door) = doors.find(|door| door.bound() == Some(address)) else { return false };
        let begun = Instant::now();
        while door.has_sockets() && begun.elapsed() < CLOSING {
            std::thread::sleep(LOOK);
        }
        !door.has_sockets()
    }
}

impl Prepared<'_> {
    /// Hands the sockets out, now that `snapshot`, in which their listeners are, is in force after `before`.
    pub(super) fn carry_out(self, before: Option<&Snapshot>, snapshot: &Snapshot) {
        let is_kept = |door: &Arc<Door>| snapshot.listeners.iter().any(|it| Arc::ptr_eq(&it.door, door));
        let known = before.map_or(&[][..], |before| &before.listeners);
        let gone: Vec<_> = known.iter().map(|it| it.door.clone()).filter(|door| !is_kept(door)).collect();
        for door in &gone {
            door.close();
        }
        self.doors.remember(&gone);
        let mut turns: Vec<_> =
            self.permits.iter().map(|_| Turn { open: Vec::new(), close: gone.clone() }).collect();
        let new = snapshot.listeners.iter().filter(|listener| listener.door.bound().is_none());
        for (listener, Bound { address, sockets, origin }) in new.zip(self.bound) {
            listener.door.open(address, sockets.len());
            for (turn, socket) in turns.iter_mut().zip(sockets) {
                turn.open.push(Opening { door: listener.door.clone(), socket, origin });
            }
        }
        self.permits.into_iter().zip(turns).for_each(|(permit, turn)| permit.send(turn));
    }
}

impl Doors {
    fn remember(&self, gone: &[Arc<Door>]) {
        let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        closing.retain(|door| door.upgrade().is_some_and(|door| door.has_sockets()));
        closing.extend(gone.iter().map(Arc::downgrade));
    }
}
