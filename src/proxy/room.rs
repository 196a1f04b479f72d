//! A request's place among those that a backend may have at one time (`max_connections`).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::Error;
use crate::pool::{Pool, View};

/// The place a request has, and the backends that had none for it.
#[derive(Debug, Default)]
pub(super) struct Room {
    taken: Option<(u32, OwnedSemaphorePermit)>,
    /// The backend that would have been chosen had it not been full.
    first_full: Option<u32>,
}

impl Room {
    /// Takes a place at `backend`, if it has one, and gives back that at another.
    pub(super) fn enter(&mut self, pool: &Pool, backend: u32) -> bool {
        if self.taken.as_ref().is_some_and(|(at, _)| *at == backend) {
            return true;
        }
        self.taken = None;
        let Some(slots) = slots(pool, backend) else { return true };
        match slots.clone().try_acquire_owned() {
            Ok(place) => {
                self.taken = Some((backend, place));
                true
            }
            Err(_) => false,
        }
    }

    /// The place, for whoever keeps it until the request has ended.
    pub(super) fn take(&mut self) -> Option<OwnedSemaphorePermit> {
        self.taken.take().map(|(_, place)| place)
    }

    /// The candidates that have no place now, `first` among them, which is remembered.
    pub(super) fn all_full(&mut self, pool: &Pool, view: &View, first: u32) -> Vec<u32> {
        self.first_full.get_or_insert(first);
        let is_full = |backend: &u32| {
            *backend == first || slots(pool, *backend).is_some_and(|slots| slots.available_permits() == 0)
        };
        view.candidates().iter().map(|candidate| candidate.backend).filter(is_full).collect()
    }

    /// The backend to wait for when all are full; it is named once.
    pub(super) fn first_full(&mut self) -> Option<u32> {
        self.first_full.take()
    }

    /// Waits for a place at `backend`, in the order of asking.
    pub(super) async fn queue(&mut self, pool: &Pool, backend: u32) -> Result<(), Error> {
        let Some(slots) = slots(pool, backend) else { return Ok(()) };
        match timeout(pool.timeouts.queue, slots.clone().acquire_owned()).await {
            Ok(Ok(place)) => {
                self.taken = Some((backend, place));
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(Error::QueueTimeout),
        }
    }
}

fn slots(pool: &Pool, backend: u32) -> Option<&Arc<Semaphore>> {
    pool.backends.get(backend as usize)?.slots.as_ref()
}
