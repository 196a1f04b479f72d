//! How many client connections there may be: in the process, at one listener, from one address.

use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ahash::AHashMap;

use super::{Core, Limit, Worker};
use crate::clock::Now;
use crate::listener::Listener;

/// One of the client connections that the process and the listener may have; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    /// The address it counts for, where those are limited.
    from: Option<IpAddr>,
    since: Now,
}

/// A place of a connection on its way from one worker to another: it counts for the process and the listener, and for
/// no worker until it has arrived.
#[derive(Debug)]
pub(crate) struct Passage {
    core: Arc<Core>,
    /// None once it has arrived.
    listener: Option<Arc<Listener>>,
}

/// How many connections of a worker have ended of late that did not last: [`BRIEF`] at most.
#[derive(Debug, Default)]
pub(crate) struct Brief {
    /// Since the last sweep.
    now: Cell<u64>,
    /// Between the two sweeps before.
    before: Cell<u64>,
}

/// A connection that ends sooner was of those that come and go with a request or a few.
const BRIEF: Duration = Duration::from_secs(1);

/// Connections by address, where they are limited; as many entries as there are connections at most.
#[derive(Debug, Default)]
pub(crate) struct PerAddress(Mutex<AHashMap<IpAddr, usize>>);

impl Place {
    /// Takes a place if there is one in the process, and one at the listener.
    ///
    /// # Errors
    /// The limit that was reached.
    pub(crate) fn take(worker: &Rc<Worker>, listener: &Arc<Listener>) -> Result<Self, Limit> {
        enter(&worker.core, listener)?;
        Ok(Self::of(worker, listener.clone()))
    }

    /// Of one that counts for the process and the listener already.
    fn of(worker: &Rc<Worker>, listener: Arc<Listener>) -> Self {
        worker.tally().connections.up();
        Self { worker: worker.clone(), listener, from: None, since: worker.recent() }
    }

    /// What the connection came in by.
    pub(crate) fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// Counts the connection for its client's address too; false if that has `limit` already. 0: no limit.
    pub(crate) fn count_for(&mut self, client: IpAddr, limit: usize) -> bool {
        if limit == 0 {
            return true;
        }
        let from = subscriber(client);
        let fits = self.worker.core.per_address.enter(from, limit);
        self.from = fits.then_some(from);
        if !fits {
            self.worker.tally().reached(Limit::ConnectionsPerIp);
        }
        fits
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(from) = self.from {
            self.worker.core.per_address.leave(from);
        }
        if self.worker.recent().since(self.since) < BRIEF {
            self.worker.brief.up();
        }
        self.worker.tally().connections.down();
        leave(&self.worker.core, &self.listener);
        self.worker.freed.notify_one();
    }
}

impl Passage {
    /// Takes a place for a connection that another worker will serve.
    ///
    /// # Errors
    /// The limit that was reached.
    pub(crate) fn take(core: &Arc<Core>, listener: &Arc<Listener>) -> Result<Self, Limit> {
        enter(core, listener)?;
        Ok(Self { core: core.clone(), listener: Some(listener.clone()) })
    }

    /// It has arrived: from now on it counts for `worker` too.
    pub(crate) fn arrive(mut self, worker: &Rc<Worker>) -> Place {
        Place::of(worker, self.listener.take().expect("it arrives once, since that consumes it"))
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            leave(&self.core, listener);
        }
    }
}

impl Brief {
    fn up(&self) {
        self.now.set(self.now.get() + 1);
    }

    /// A sweep has come.
    pub(super) fn turn(&self) {
        self.before.set(self.now.take());
    }

    /// Those that ended since the sweep before the last.
    pub(crate) fn count(&self) -> u64 {
        self.now.get() + self.before.get()
    }
}

fn enter(core: &Core, listener: &Listener) -> Result<(), Limit> {
    if !take(&core.connections, core.max_connections) {
        return Err(Limit::Connections);
    }
    if !take(&listener.connections, listener.max_connections) {
        core.connections.fetch_sub(1, Ordering::Relaxed);
        return Err(Limit::ListenerConnections);
    }
    Ok(())
}

fn leave(core: &Core, listener: &Listener) {
    listener.connections.fetch_sub(1, Ordering::Relaxed);
    core.connections.fetch_sub(1, Ordering::Relaxed);
}

fn take(count: &AtomicUsize, limit: usize) -> bool {
    let one_more = |taken| (taken < limit).then_some(taken + 1);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
}

/// Whom an address belongs to: one subscriber has a whole /64 of IPv6 addresses.
fn subscriber(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl PerAddress {
    fn enter(&self, from: IpAddr, limit: usize) -> bool {
        let mut all = self.all();
        let count = all.entry(from).or_default();
        let fits = *count < limit;
        if fits {
            *count += 1;
        }
        fits
    }

    fn leave(&self, from: IpAddr) {
        let mut all = self.all();
        if let Some(count) = all.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                all.remove(&from);
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, AHashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
