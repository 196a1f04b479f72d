//! Finding a backend that takes the request: decide, find room, connect, commit, send, and again where that may be.

mod committing;
mod failed;

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{sleep, timeout};

use super::body::Body;
use super::error::Error;
use super::moving::{self, Waiting};
use super::outbound::{self, Outbound};
use super::request::{Asked, Reply};
use super::retry::Tries;
use super::room::Room;
use super::running::{Begun, Running};
use super::upgrade::{self, ClientEnd};
use super::worker::{AskPool, Current};
use super::{Client, Limit, Plan, Worker, respond, ticket};
use crate::affinity::Ticket;
use crate::backend::Health;
use crate::clock::Now;
use crate::headers::{self, Request, Response};
use crate::pool::{Affinity, Commit, Decision, Lease, Pool, Refusal, Tie, View};
use crate::transport::exchange::{Membership, Phase};
use crate::transport::{Arriving, DialError, Link, Listener, Outgoing};

/// Decisions made for one request, all reasons to decide again together. Far beyond what a healthy fleet needs.
const ROUNDS: usize = 16;
/// Between two looks at a fleet that is just changing.
const SETTLING: Duration = Duration::from_millis(10);

/// A request in search of its backend.
#[derive(Debug)]
pub(super) struct Forward {
    worker: Rc<Worker>,
    current: Rc<Current>,
    plan: Plan,
    membership: Rc<Membership>,
    client: Rc<Client>,
    /// When the request's head was there.
    start: Now,
    /// The time when something was last waited for.
    now: Now,
    /// Backends that refused it, or have no room for it.
    skip: Vec<u32>,
    tries: Tries,
    room: Room,
    /// The tie that is to be cut although the former backend of the key has not let go of it.
    force: Option<Tie>,
    /// Whether its backend refused it, but was found to be up.
    acquitted: bool,
    head: Box<Request>,
    listener: Option<Listener>,
    /// None only while it is on its way.
    body: Option<Outgoing>,
    /// The client's end of a tunnel, where one was asked for.
    upgrade: Option<ClientEnd>,
    reply: Reply,
}

/// A backend that will get the request, reached and bound.
#[derive(Debug)]
struct Reached {
    decision: Decision,
    lease: Option<Lease>,
    link: Link,
    slot: Option<OwnedSemaphorePermit>,
}

/// What follows from a connection that did not come to be.
#[derive(Debug)]
enum Next {
    Decide,
    Fail(Error),
}

/// What came of sending a request.
#[derive(Debug)]
enum Sent {
    Answered(Response<Arriving>),
    /// Nothing of it was sent, and it may be sent again.
    Unsent(Outgoing),
    /// Its connection broke without an octet of a response.
    Broken,
    Failed(Error),
}

impl Forward {
    /// Boxed, since it moves into a future, and that into another: a pointer does so more cheaply.
    pub(super) fn new(worker: Rc<Worker>, current: Rc<Current>, plan: Plan, mut asked: Asked) -> Box<Self> {
        for sealer in &current.snapshot.sealers {
            sealer.strip(&mut asked.head.fields);
        }
        current.budget(plan.pool).earn();
        let membership = Rc::new(worker.exchanges.begin());
        let limits = &current.snapshot.limits;
        let (client, start) = (asked.client.clone(), asked.start);
        let Outbound { head, listener, body, upgrade, reply } =
            outbound::prepare(asked, &membership, current.pool(plan.pool), limits, worker.clock);
        Box::new(Self {
            now: worker.recent(),
            worker,
            current,
            plan,
            membership,
            client,
            start,
            skip: Vec::new(),
            tries: Tries::default(),
            room: Room::default(),
            force: None,
            acquitted: false,
            head,
            listener,
            body: Some(body),
            upgrade,
            reply,
        })
    }

    fn pool(&self) -> &Pool {
        self.current.pool(self.plan.pool)
    }

    /// Carries the request through to a response.
    pub(super) async fn run(mut self: Box<Self>) -> Response<Body> {
        for _ in 0..ROUNDS {
            let (decision, mut running) = match self.reach().await {
                Ok(reached) => (reached.decision, self.begin(reached)),
                Err(error) => return self.fail(&error),
            };
            match self.send(&mut running).await {
                Sent::Answered(response) if upgrade::is_wrong(&response, self.upgrade.as_ref()) => {
                    self.reply.record = running.take_record();
                    return self.fail(&Error::BadUpgrade);
                }
                Sent::Answered(response) => {
                    return respond::respond(response, running, &self.plan, self.upgrade.take());
                }
                Sent::Unsent(returned) => {
                    self.now = self.worker.clock.now();
                    self.body = Some(returned);
                    self.reply.record = running.take_record();
                    if !running.is_reused() && !self.tries_again(&decision, &running) {
                        return self.fail(&Error::Broken);
                    }
                }
                Sent::Broken => {
                    self.now = self.worker.clock.now();
                    self.body = self.tries.again();
                    self.reply.record = running.take_record();
                    if self.body.is_none() || !self.tries_again(&decision, &running) {
                        return self.fail(&Error::Broken);
                    }
                }
                Sent::Failed(error) => {
                    self.reply.record = running.take_record();
                    return self.fail(&error);
                }
            }
        }
        self.fail(&Error::Broken)
    }

    /// Finds a backend, a connection to it, and a place for the key, in this order: a binding is made only once
    /// there is a connection to honour it.
    async fn reach(&mut self) -> Result<Reached, Error> {
        for _ in 0..ROUNDS {
            let view = self.current.view(self.plan.pool);
            if !view.leaving().is_empty() {
                // Sessions end at exact moments, of which the time of the last sweep may fall short.
                self.now = self.worker.clock.now();
            }
            let decision = match self.decide(&view) {
                Ok(decision) => decision,
                Err(refusal) => {
                    Box::pin(self.refused(refusal)).await?;
                    continue;
                }
            };
            if !self.room.enter(self.current.pool(self.plan.pool), decision.backend) {
                self.worker.tally().reached(Limit::MaxConnections);
                Box::pin(self.find_room(&view, &decision)).await?;
                continue;
            }
            let link = match self.connect(&view, &decision).await {
                Ok(link) => link,
                Err(Next::Decide) => continue,
                Err(Next::Fail(error)) => return Err(error),
            };
            match self.commit(&decision) {
                Commit::Go(lease) => {
                    return Ok(Reached { decision, lease, link, slot: self.room.take() });
                }
                Commit::Again => self.put_back(link),
                Commit::Full => {
                    self.put_back(link);
                    return Err(Error::TableFull);
                }
                Commit::BackendFull => {
                    self.put_back(link);
                    self.skip.push(decision.backend);
                }
                Commit::Moving(arrival) => {
                    self.put_back(link);
                    let force = Box::pin(self.wait_for_move(&decision, &arrival)).await?;
                    self.force = force.then_some(decision.tie);
                    self.now = self.worker.clock.now();
                }
            }
        }
        Err(Error::Moving)
    }

    /// What to do where no backend takes the request now: wait for one, if that may help.
    async fn refused(&mut self, refusal: Refusal) -> Result<(), Error> {
        let waited = match refusal {
            Refusal::Wait { .. } => self.wait_for_backend().await,
            Refusal::Outdated => self.catch_up().await,
            _ => match self.room.first_full() {
                Some(backend) => self.queue_for(backend).await,
                None => self.go_back().ok_or(refusal.into()),
            },
        };
        self.now = self.worker.clock.now();
        waited
    }

    /// The key lives on a backend that came after the request: from now on it sees the fleet as it is now.
    async fn catch_up(&mut self) -> Result<(), Error> {
        let current = self.worker.current();
        if Rc::ptr_eq(&current, &self.current) {
            // The change is being put in force at this moment.
            sleep(SETTLING).await;
            return Ok(());
        }
        let shared = &self.pool().shared;
        let same = |pool: &Arc<Pool>| Arc::ptr_eq(&pool.shared, shared);
        self.plan.pool = current.snapshot.pools.iter().position(same).ok_or(Error::Moving)?;
        self.current = current;
        // Both named backends by their places in the former order.
        (self.skip, self.room) = (Vec::new(), Room::default());
        Ok(())
    }

    /// The backend has no room. Others may have, unless the request belongs to this one.
    async fn find_room(&mut self, view: &View, decision: &Decision) -> Result<(), Error> {
        let hashed = matches!(self.pool().affinity, Affinity::Hash { .. }) && self.plan.key.is_some();
        if decision.tie.is_fixed() || hashed {
            let queued = self.queue_for(decision.backend).await;
            self.now = self.worker.clock.now();
            return queued;
        }
        let full = self.room.all_full(self.current.pool(self.plan.pool), view, decision.backend);
        self.skip.extend(full);
        Ok(())
    }

    /// Waits for a place at a backend, and is offered to it again.
    async fn queue_for(&mut self, backend: u32) -> Result<(), Error> {
        let pool = self.current.pool(self.plan.pool);
        let _waiting = Waiting::enter(pool, &self.current.snapshot.limits)?;
        self.room.queue(pool, backend).await?;
        self.skip.retain(|skipped| *skipped != backend);
        Ok(())
    }

    /// Waits until the backend of the key is back, or the key may get another.
    async fn wait_for_backend(&mut self) -> Result<(), Error> {
        let current = self.current.clone();
        let pool = current.pool(self.plan.pool);
        let _waiting = Waiting::enter(pool, &current.snapshot.limits)?;
        loop {
            // Made before the look: what changes from now on is not missed.
            let mut news = pin!(pool.shared.news.notified());
            news.as_mut().enable();
            let Err(Refusal::Wait { until }) = self.decide(&current.view(self.plan.pool)) else {
                return Ok(());
            };
            // Fails when the time has come, and then the decision is another.
            let _ = timeout(until.since(self.worker.clock.now()), news).await;
            self.now = self.worker.clock.now();
        }
    }

    async fn wait_for_move(&self, decision: &Decision, arrival: &Notify) -> Result<bool, Error> {
        let _waiting = Waiting::enter(self.pool(), &self.current.snapshot.limits).inspect_err(|_| {
            // Nobody has been told to let go of the key, so it is not on the move.
            if let Some(key) = &self.plan.key {
                self.pool().stay(key);
            }
        })?;
        moving::wait(&self.worker, self.pool(), self.plan.key.as_ref(), decision, arrival).await
    }

    fn decide(&self, view: &View) -> Result<Decision, Refusal> {
        let Self { worker, current, plan, skip, now, .. } = self;
        let key = plan.key.as_ref();
        current.decide(&AskPool { pool: plan.pool, worker: worker.index, key, skip, now: *now }, view)
    }

    fn put_back(&self, link: Link) {
        link.keep(self.now, self.pool().timeouts.keep_alive);
    }

    /// An idle connection to the backend, or a new one. What happens only without an idle one is boxed, so that the
    /// future of every other request stays small.
    async fn connect(&mut self, view: &View, decision: &Decision) -> Result<Link, Next> {
        let dialed = match view.address(decision.backend) {
            None => Err(DialError::Unresolved),
            Some(address) => {
                let backend = (self.plan.pool, decision.backend);
                let links = self.worker.links(&self.current, backend, address, &self.client);
                if self.tries.may_reuse()
                    && let Some(link) = links.take()
                {
                    return Ok(link);
                }
                let dialed = Box::pin(links.connect(&self.pool().timeouts)).await;
                self.now = self.worker.clock.now();
                dialed
            }
        };
        match dialed {
            Ok(link) => {
                if view.health(decision.backend) == Health::Suspect {
                    let backend = &self.pool().backends[decision.backend as usize];
                    self.worker.core.health.connected(backend.state.id);
                }
                Ok(link)
            }
            Err(error) => {
                let next = Box::pin(self.not_connected(decision, &error)).await;
                self.now = self.worker.clock.now();
                Err(next)
            }
        }
    }

    fn begin(&mut self, reached: Reached) -> Box<Running> {
        let Reached { decision, lease, link, slot } = reached;
        if let Some(record) = &mut self.reply.record {
            record.backend = Some(self.current.backend_name(self.plan.pool, decision.backend));
            record.affinity = Some(decision.reason.as_str());
            record.tries = self.tries.count();
        }
        let begun = Begun {
            pool: self.plan.pool,
            backend: decision.backend,
            lease,
            slot,
            ticket: lease.and_then(|lease| self.ticket_due(&decision, &lease)),
            placement: self.plan.key.map(|key| key.placement),
            link,
            record: self.reply.record.take(),
            start: self.start,
            now: self.now,
        };
        let tally = self.pool().shared.tally(self.worker.index);
        tally.decided(self.plan.source, decision.reason);
        let running =
            Running::begin(self.worker.clone(), self.current.clone(), self.membership.clone(), begun);
        if self.tries.count() > 1 {
            running.counters().retries.up();
        }
        running
    }

    fn ticket_due(&self, decision: &Decision, lease: &Lease) -> Option<Box<Ticket>> {
        let pool = self.pool();
        pool.sealer()?;
        let now = self.worker.clock.now();
        let view = self.current.view(self.plan.pool);
        ticket::due(pool, &view, (decision.backend, lease), (self.plan.ticket.as_deref(), now))
    }

    async fn send(&mut self, running: &mut Running) -> Sent {
        self.membership.wait_for(Phase::Head, self.now.after(self.pool().timeouts.response));
        let epoch = running.epoch();
        let (Some(link), Some(body)) = (&mut running.link, self.body.take()) else {
            return Sent::Failed(Error::Broken);
        };
        if self.upgrade.is_none() {
            self.tries.keep((&self.head.method, &body), self.current.pool(self.plan.pool).retry);
        }
        if let Some(epoch) = epoch.filter(|_| self.current.pool(self.plan.pool).tells_epochs()) {
            self.head.fields.insert(headers::X_SESSION_EPOCH, HeaderValue::from(epoch));
        }
        let sent = link.send(&self.head, self.listener.as_ref(), body);
        let answered = self.membership.unless_called(pin!(sent)).await;
        match answered {
            Ok(Ok(response)) => Sent::Answered(response),
            Ok(Err(error)) => self.not_sent(running, error),
            Err(call) => {
                let error = Error::of_call(call, self.membership.phase());
                if error == Error::ResponseTimeout {
                    running.failed();
                } else {
                    running.counters().failures.up();
                }
                Sent::Failed(error)
            }
        }
    }
}
