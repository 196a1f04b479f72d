//! A try that failed: what that means, and whether there may be another.

use super::{Forward, Sent};
use crate::pool::{Decision, Tie};
use crate::proxy::error::Error;
use crate::proxy::retry;
use crate::proxy::running::Running;
use crate::transport::Unanswered;
use crate::transport::exchange::Fault;

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
        self.tries.fail_and_go_on(retry, budget.budget(self.plan.pool))
    }

    /// What it means that a request could not be sent, or got no response.
    pub(super) fn not_sent(&self, running: &Running, mut unanswered: Unanswered) -> Sent {
        if let Some(request) = unanswered.request.take() {
            if !running.is_reused() {
                running.failed();
            }
            return Sent::Unsent(request);
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
}
