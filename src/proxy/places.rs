//! How many client connections there may be: in the process, at one listener, from one address.

use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::AHashMap;

use super::{Limit, Worker};
use crate::listener::Listener;

/// One of the client connections that the process and the listener may have; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    /// The address it counts for, where those are limited.
    from: Option<IpAddr>,
}

/// Connections by address, where they are limited; as many entries as there are connections at most.
#[derive(Debug, Default)]
pub(crate) struct PerAddress(Mutex<AHashMap<IpAddr, usize>>);

impl Place {
    /// Takes a place if there is one in the process, and one at the listener.
    ///
    /// # Errors
    /// The limit that was reached.
    pub(crate) fn take(worker: &Rc<Worker>, listener: &Arc<Listener>) -> Result<Self, Limit> {
        if !take(&worker.core.connections, worker.core.max_connections) {
            return Err(Limit::Connections);
        }
        if !take(&listener.connections, listener.max_connections) {
            worker.core.connections.fetch_sub(1, Ordering::Relaxed);
            return Err(Limit::ListenerConnections);
        }
        worker.tally().connections.up();
        Ok(Self { worker: worker.clone(), listener: listener.clone(), from: None })
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
        self.worker.tally().connections.down();
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
        self.worker.core.connections.fetch_sub(1, Ordering::Relaxed);
        self.worker.freed.notify_one();
    }
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
