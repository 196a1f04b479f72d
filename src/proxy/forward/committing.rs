//! Binding the key of a decision, and telling of a session that has lost its backend by it.

use super::Forward;
use crate::pool::{Commit, Decision, Lost, Pool, Reason, Tie, View};
use crate::telemetry::Rebind;

impl Forward {
    /// While it was connecting the fleet may have changed: what is committed is what is true now.
    pub(super) fn commit(&self, decision: &Decision) -> Commit {
        if decision.tie == Tie::None {
            return Commit::Go(None);
        }
        let view = self.current.view(self.plan.pool);
        let force = self.force == Some(decision.tie);
        // What is bound now gets an epoch, which other proxies compare with theirs.
        let now = if decision.tie == Tie::Bound { self.now } else { self.worker.clock.now() };
        let lost = self.lost(&view, decision);
        let commit = self.pool().commit(&view, self.plan.key.as_ref(), decision, now, force);
        if let (Commit::Go(_), Some(lost)) = (&commit, lost) {
            self.pool().shared.tally(self.worker.index).rebound(lost.why);
            self.worker.core.rebinds.count(rebind(self.pool(), lost, decision.backend));
        }
        commit
    }

    /// The backend that the key loses by this decision, if it does. Looked at before, since it is known no more after.
    fn lost(&self, view: &View, decision: &Decision) -> Option<Lost> {
        let key = self.plan.key.as_ref().filter(|_| decision.reason == Reason::Rebound)?;
        self.pool().lost(view, key, self.now)
    }
}

fn rebind(pool: &Pool, lost: Lost, to: u32) -> Rebind {
    let to = pool.backends.get(to as usize).map(|backend| backend.name.clone());
    Rebind { pool: pool.name.clone(), from: lost.from, to, cause: lost.why.as_str() }
}
