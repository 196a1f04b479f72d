//! A try that failed: what that means, and whether there may be another.

use http::header;

use super::{Forward, Next, Sent};
use crate::backend::Health;
use crate::backend::health::Observation;
use crate::headers::Response;
use crate::pool::{Decision, Tie};
use crate::proxy::Body;
use crate::proxy::error::Error;
use crate::proxy::moving::Waiting;
use crate::proxy::retry;
use crate::proxy::running::Running;
use crate::transport::exchange::Fault;
use crate::transport::{DialError, Unanswered};

impl Forward {
    /// After a try that broke: whether there may be another. One that belongs to its backend goes there again, be it that
    /// its key is bound, or hashed while the connection had just idled too long. Any other goes elsewhere, if it can.
    pub(super) fn tries_again(&mut self, decision: &Decision, running: &Running) -> bool {
        let stays = decision.tie != Tie::None || running.is_reused() && self.plan.key.is_some();
        if !stays {
            self.skip.push(decision.backend);
            self.tries.last_resort = Some(decision.backend);
        }
        self.may_try_again()
    }

    /// Nobody else takes the request: where its last try broke it may be tried again all the same, if one did.
    pub(super) fn go_back(&mut self) -> Option<()> {
        let backend = self.tries.last_resort.take()?;
        self.skip.retain(|skipped| *skipped != backend);
        Some(())
    }

    /// Notes a failed try; whether there may be another.
    pub(super) fn may_try_again(&mut self) -> bool {
        let (retry, budget) = (self.pool().retry, self.current.clone());
        let next = self.tries.fail_and_go_on(retry, budget.budget(self.plan.pool));
        if let Err(Some(limit)) = next {
            self.worker.tally().reached(limit);
        }
        next.is_ok()
    }

    /// What it means that a request could not be sent, or got no response.
    pub(super) fn not_sent(&self, running: &Running, mut unanswered: Unanswered) -> Sent {
        if let Some(body) = unanswered.unsent.take() {
            if !running.is_reused() {
                running.failed();
            }
            return Sent::Unsent(body);
        }
        match self.membership.fault() {
            Some(Fault::TooLong) => return Sent::Failed(Error::BodyTooLong),
            Some(Fault::Broken) => return Sent::Failed(Error::BodyBroken),
            None => {}
        }
        tracing::debug!(backend = %running.backend().name, error = %unanswered.error, "no response");
        let is_broken = retry::is_broken(&unanswered, running.link.as_ref());
        if is_broken && running.is_reused() {
            // It may just have idled too long: that says nothing of the backend.
            running.counters().failures.up();
        } else {
            running.failed();
        }
        if unanswered.is_nonsense() {
            return Sent::Failed(Error::Nonsense);
        }
        if is_broken { Sent::Broken } else { Sent::Failed(Error::Broken) }
    }

    /// A request that is bound to nothing goes elsewhere. A bound one waits to hear whether its backend is down, and
    /// only then may its key move.
    pub(super) async fn not_connected(&mut self, decision: &Decision, error: &DialError) -> Next {
        let pool = self.current.pool(self.plan.pool);
        let backend = &pool.backends[decision.backend as usize];
        let health = &self.worker.core.health;
        tracing::debug!(pool = %pool.name, backend = %backend.name, %error, "connect failed");
        if error.is_own_fault() {
            tracing::warn!(%error, "no connection to a backend can be made");
            return Next::Fail(Error::Exhausted);
        }
        backend.state.counters(self.worker.index).failures.up();
        self.worker.blame(pool, backend);
        let how = if error.is_silence() { Observation::Silent } else { Observation::Refused };
        health.connect_failed(backend.state.id, how);
        if let Some(record) = &mut self.reply.record {
            record.tries = self.tries.count();
        }
        if decision.tie.is_fixed() {
            self.tries.fail();
            if self.current.view(self.plan.pool).panics() {
                return Next::Fail(Error::Unreachable);
            }
            let verdict = match Waiting::enter(pool, &self.current.snapshot.limits) {
                Ok(_waiting) => health.verdict(backend.state.id, pool.timeouts.connect).await,
                Err(error) => return Next::Fail(error),
            };
            // Up after all: worth one more try, but no more than one.
            let again = verdict == Some(Health::Up) && !std::mem::replace(&mut self.acquitted, true);
            let decide = again || verdict == Some(Health::Down);
            return if decide { Next::Decide } else { Next::Fail(Error::Unreachable) };
        }
        self.skip.push(decision.backend);
        if self.may_try_again() { Next::Decide } else { Next::Fail(Error::NoBackend) }
    }

    /// Gives up on a backend.
    pub(super) fn fail(self: Box<Self>, error: &Error) -> Response<Body> {
        self.worker.reached(error);
        self.pool().shared.tally(self.worker.index).own.count(error.status().as_u16());
        self.reply.fail(error, self.head.fields.get(&header::ACCEPT))
    }
}
