//! An exchange that runs: everything that ends with it, wherever it ends.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::Worker;
use super::worker::Current;
use crate::affinity::Ticket;
use crate::backend::{Backend, Counters};
use crate::clock::Now;
use crate::pool::{Lease, Pool, Tally, View};
use crate::telemetry::Record;
use crate::transport::Link;
use crate::transport::exchange::{Home, Membership, Phase, Tag};

/// Held from the moment a request has a backend until its response body or tunnel has ended, or was dropped.
/// Then the backend's counters, the session's lease and the access log are settled.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) worker: Rc<Worker>,
    pub(super) current: Rc<Current>,
    pub(super) membership: Rc<Membership>,
    pub(super) record: Option<Box<Record>>,
    /// The connection to the backend; none once it serves others, or a tunnel.
    pub(super) link: Option<Link>,
    pool: usize,
    backend: u32,
    lease: Option<Lease>,
    /// What the client's cookie has to say from now on, if that is new.
    pub(super) ticket: Option<Box<Ticket>>,
    /// Its place among those that the backend may have at one time.
    _slot: Option<OwnedSemaphorePermit>,
    /// When the request's head was there.
    start: Now,
    /// When something of the response last came.
    pub(super) seen: Now,
    /// What came of it so far.
    stage: Stage,
}

/// What came of an exchange so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No response.
    Asked,
    /// The head of one.
    Answered,
    /// The last octet of one, at this time.
    Ended(Now),
    /// A tunnel, which lasts as long as it is used.
    Tunnelled,
}

/// With what an exchange begins.
#[derive(Debug)]
pub(super) struct Begun {
    /// Position of the pool.
    pub(super) pool: usize,
    /// Position of the backend in it.
    pub(super) backend: u32,
    /// The hold on the session key.
    pub(super) lease: Option<Lease>,
    /// Its place among those that the backend may have at one time.
    pub(super) slot: Option<OwnedSemaphorePermit>,
    /// The placement hash of the session key, if there is one.
    pub(super) placement: Option<u64>,
    /// What the client's cookie has to say from now on, if that is new.
    pub(super) ticket: Option<Box<Ticket>>,
    /// The connection to the backend.
    pub(super) link: Link,
    /// What will be written to the access log.
    pub(super) record: Option<Box<Record>>,
    /// When the request's head was there.
    pub(super) start: Now,
    /// The time.
    pub(super) now: Now,
}

impl Running {
    pub(super) fn begin(
        worker: Rc<Worker>,
        current: Rc<Current>,
        membership: Rc<Membership>,
        Begun { pool, backend, lease, slot, placement, ticket, link, mut record, start, now }: Begun,
    ) -> Box<Self> {
        if let Some(record) = &mut record {
            // Of an earlier try; the exchange counts all of them.
            record.received = 0;
        }
        if let Some(lease) = lease {
            membership.set_key(Tag { key: lease.key.0, epoch: lease.epoch });
        }
        let this = Box::new(Self {
            worker,
            current,
            membership,
            record,
            link: Some(link),
            pool,
            backend,
            lease,
            ticket,
            _slot: slot,
            start,
            seen: now,
            stage: Stage::Asked,
        });
        let moment = lease.map(|lease| lease.placement).or(placement);
        let moment = moment.unwrap_or_else(|| this.worker.draw.next());
        this.membership.set_home(Home { backend: this.backend().state.id, moment });
        this.count(placement.is_none());
        this
    }

    /// Whether the connection to the backend has carried a request before.
    pub(super) fn is_reused(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.used)
    }

    /// The exchange failed by the backend's fault, before there was a response.
    pub(super) fn failed(&self) {
        self.counters().failures.up();
        self.worker.blame(self.pool(), self.backend());
    }

    fn count(&self, keyless: bool) {
        let counters = self.counters();
        counters.requests.up();
        counters.in_flight.up();
        if keyless && self.pool().is_sticky() {
            counters.keyless.up();
        }
    }

    pub(super) fn pool(&self) -> &Pool {
        self.current.pool(self.pool)
    }

    pub(super) fn backend(&self) -> &Backend {
        &self.pool().backends[self.backend as usize]
    }

    pub(super) fn backend_position(&self) -> u32 {
        self.backend
    }

    pub(super) fn counters(&self) -> &Counters {
        self.backend().state.counters(self.worker.index)
    }

    /// What this worker counts for the pool.
    pub(super) fn tally(&self) -> &Tally {
        self.pool().shared.tally(self.worker.index)
    }

    /// The head of the backend's response has come.
    pub(super) fn answered(&mut self, status: StatusCode, now: Now) {
        (self.seen, self.stage) = (now, Stage::Answered);
        let counters = self.counters();
        counters.responses.count(status.as_u16());
        counters.head.record(now.micros().saturating_sub(self.start.micros()));
        self.worker.judge(self.pool(), self.backend(), status);
        if let Some(record) = &mut self.record {
            record.head = Some(now);
            record.status = Some(status);
        }
    }

    /// The response has no body, so that it has ended with its head.
    pub(super) fn ends_with_head(&mut self) {
        self.stage = Stage::Ended(self.seen);
    }

    /// The connections become a tunnel; returns the one to the backend.
    pub(super) fn tunnels(&mut self) -> Option<Link> {
        self.stage = Stage::Tunnelled;
        self.link.take()
    }

    /// The pool as this worker sees it now.
    pub(super) fn view(&self) -> Rc<View> {
        self.current.view(self.pool)
    }

    /// The epoch of the session's binding.
    pub(super) fn epoch(&self) -> Option<u64> {
        self.lease.map(|lease| lease.epoch)
    }

    /// The response has ended as it should: others may use the connection.
    #[allow(clippy::boxed_local, reason = "it goes where its box is")]
    pub(super) fn finish(mut self: Box<Self>) {
        self.membership.wait_for(Phase::Over, Now::NEVER);
        match self.link.take() {
            Some(link) if link.is_sending() => self.send_on(link),
            Some(link) => link.keep(self.seen, self.pool().timeouts.keep_alive),
            None => {}
        }
    }

    /// The rest of the request is still being sent: its session key is held until then, and whoever takes it elsewhere
    /// ends that first.
    fn send_on(&mut self, link: Link) {
        let (worker, current, membership) =
            (self.worker.clone(), self.current.clone(), self.membership.clone());
        let (lease, pool) = (self.lease.take(), self.pool);
        tokio::task::spawn_local(async move {
            let sent = membership.unless_called(pin!(link.sent())).await;
            let (pool, now) = (current.pool(pool), worker.clock.now());
            match sent {
                Ok(()) => link.keep(now, pool.timeouts.keep_alive),
                Err(_) => drop(link),
            }
            if let Some(lease) = lease {
                pool.release(lease, now);
            }
        });
    }

    /// Lets go of the session key: nothing of this exchange reaches its backend any more.
    pub(super) fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.pool().release(lease, self.worker.clock.now());
        }
    }

    /// When it has ended, which is now unless that is known. One that was answered counts with all of its time.
    fn settle(&self) -> Now {
        let now = match self.stage {
            Stage::Ended(at) => at,
            Stage::Asked | Stage::Answered | Stage::Tunnelled => self.worker.clock.now(),
        };
        if matches!(self.stage, Stage::Answered | Stage::Ended(_)) {
            self.tally().exchanges.record(now.micros().saturating_sub(self.start.micros()));
        }
        now
    }

    /// Hands the record on, since another will write what came of the request.
    pub(super) fn take_record(&mut self) -> Option<Box<Record>> {
        let mut record = self.record.take()?;
        record.received = self.membership.received();
        Some(record)
    }

    /// Notes what went wrong, or how a tunnel ended.
    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(record) = &mut self.record {
            record.error = Some(what());
        }
    }
}

impl Drop for Running {
    /// An exchange that is given up may still have octets on their way to the backend: its connection is closed before
    /// the key is let go.
    fn drop(&mut self) {
        self.counters().in_flight.down();
        let (is_cut, now) = (self.link.is_some(), self.settle());
        if let Some(record) = &mut self.record {
            record.end = Some(now);
            if is_cut && record.head.is_some() && record.error.is_none() {
                record.error = Some("the response ended before its end".to_owned());
            }
            record.received += self.membership.received();
        }
        let Some(lease) = self.lease.take() else { return };
        let Some(link) = self.link.take().filter(|_| self.worker.is_running()) else {
            return self.pool().release(lease, now);
        };
        let (worker, current, pool) = (self.worker.clone(), self.current.clone(), self.pool);
        tokio::task::spawn_local(async move {
            // Were it not closed by then, the key's next owner would wait for it, and then go ahead.
            let _ = timeout(CLOSING, link.closed()).await;
            current.pool(pool).release(lease, worker.clock.now());
        });
    }
}

/// For a connection to close whose exchange was given up.
const CLOSING: Duration = Duration::from_secs(1);
