//! Which worker serves a connection: the one whose socket the kernel gave it to, unless another has clearly fewer.
//! Decided once, when it is accepted; how it is served is not known here.
//!
//! The kernel draws a socket for each connection by a hash of its addresses. Of many connections each worker gets about
//! as many, of few it does not: of 8 on 8 workers the busiest has 3 and three have none. So a worker that has more than
//! the one with the fewest hands what it accepts over to that one. A hand-over costs the wake-up of another thread, which
//! is nothing to a connection that lasts, but much to one that is there for one request. Those are not handed over: how
//! many a worker has of them at one moment is chance and evens out by itself. They are known by those that have just
//! ended: a worker's connections have to be more than another's by at least as many as it has seen come and go in the
//! last half second, and it has fewer than that at one moment unless they last that long.

use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::connection::{self, Accepted};
use super::worker::Station;
use crate::proxy::{Passage, Worker};

/// The ways to all workers, by their index.
#[derive(Debug, Clone)]
pub(super) struct Spread(Arc<[mpsc::Sender<Passed>]>);

/// A connection that another worker has accepted.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) place: Passage,
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
}

/// Connections on their way to one worker; when there are more, who accepted one keeps it.
const PASSED: usize = 64;
/// A worker hands over what would make its connections more than another's by this,
const MARGIN: u64 = 1;
/// and by this part of its own. The larger the numbers, the less such a part matters, and the rarer it is exceeded.
const PART: u64 = 64;

impl Spread {
    /// For so many workers, each of which hears at one of the receivers.
    pub(super) fn new(workers: usize) -> (Self, Vec<mpsc::Receiver<Passed>>) {
        let (senders, receivers): (Vec<_>, _) = (0..workers).map(|_| mpsc::channel(PASSED)).unzip();
        (Self(senders.into()), receivers)
    }

    /// The worker that is to have the connection which `own` has just accepted, if that is another. Reads the counts of
    /// each worker once, and those of no other while `own` has so few that nobody can have fewer by enough.
    pub(super) fn elsewhere(&self, own: &Worker) -> Option<usize> {
        let tallies = own.core.tallies();
        let count_of = |worker: usize| tallies[worker].connections.get() + self.coming(worker);
        let count = count_of(own.index);
        let margin = MARGIN + count / PART + own.brief.count();
        if count < margin {
            return None;
        }
        // Each begins with the next one, so that not all choose the same of several.
        let others = (1..tallies.len()).map(|step| (own.index + step) % tallies.len());
        let (fewest, other) = others.map(|other| (count_of(other), other)).min_by_key(|(count, _)| *count)?;
        (count >= fewest + margin).then_some(other)
    }

    /// Connections that were given to a worker and do not count as its own yet.
    fn coming(&self, worker: usize) -> u64 {
        let sender = &self.0[worker];
        (sender.max_capacity() - sender.capacity()) as u64
    }
}

impl Station {
    /// Gives a connection to another worker. One that cannot take it, because it stops or has not kept up, leaves it here.
    pub(super) fn hand_over(self: &Rc<Self>, other: usize, passed: Passed) {
        match self.spread.0[other].try_send(passed) {
            Ok(()) => self.worker.tally().handed_over.up(),
            Err(refused) => self.take_in(refused.into_inner()),
        }
    }

    /// Serves a connection from now on.
    pub(super) fn take_in(self: &Rc<Self>, Passed { place, stream, peer }: Passed) {
        let place = place.arrive(&self.worker);
        match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => connection::begin(self, Accepted { place, stream, peer }),
            Err(error) => tracing::warn!(%peer, %error, "a connection cannot be taken over"),
        }
    }
}
