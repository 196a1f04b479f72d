//! Whether a request may be tried again, and what is kept of it for that. Where it then goes is decided anew, as for
//! the first try.
//!
//! A try that failed before anything was sent may be followed by another, whatever the request. Once octets may have
//! been sent, only a request may be that has the same effect however often it arrives, and only if its backend broke
//! the connection without an octet of an answer.

use std::cell::Cell;

use http::Method;

use super::Limit;
use crate::config;
use crate::transport::{Link, Outgoing, Replay, Unanswered};

/// Retries that may be saved up.
pub(super) const RESERVE: u32 = 100;

/// The retries that one worker may make for one pool: each request earns a part of one. Full at the start.
#[derive(Debug)]
pub(super) struct Budget {
    /// In hundredths of a retry.
    left: Cell<u32>,
    percent: u32,
}

const ONE: u32 = 100;

impl Budget {
    /// Each request earns `percent` of a retry; with 0 there is none at all.
    pub(super) fn new(percent: u32) -> Self {
        Self { left: Cell::new(if percent == 0 { 0 } else { RESERVE * ONE }), percent }
    }

    /// A request has come.
    pub(super) fn earn(&self) {
        self.left.set((self.left.get() + self.percent).min(RESERVE * ONE));
    }

    /// Takes a retry, if there is one.
    fn spend(&self) -> bool {
        let left = self.left.get().checked_sub(ONE);
        left.inspect(|&left| self.left.set(left)).is_some()
    }
}

/// The tries of one request.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// How many failed.
    failed: u32,
    /// The last one broke after octets may have been sent: other idle connections may be as dead as its was.
    broke: bool,
    /// The backend at which the last one broke, where the next one is to go elsewhere if it can.
    pub(super) last_resort: Option<u32>,
    /// The body, where the request may be sent again.
    kept: Option<Replay>,
}

impl Tries {
    /// How many there were, the one under way included.
    pub(super) fn count(&self) -> u32 {
        self.failed + 1
    }

    /// Whether an idle connection will do.
    pub(super) fn may_reuse(&self) -> bool {
        !self.broke
    }

    /// Notes a failed try.
    pub(super) fn fail(&mut self) {
        self.failed += 1;
    }

    /// Notes a failed try; whether there may be another, for which the budget is charged.
    ///
    /// # Errors
    /// There may not be another: with the limit that says so, if it is not that there were tries enough.
    pub(super) fn fail_and_go_on(
        &mut self,
        retry: config::Retry,
        budget: &Budget,
    ) -> Result<(), Option<Limit>> {
        self.fail();
        match self.failed < retry.attempts {
            true if budget.spend() => Ok(()),
            true => Err(Some(Limit::RetryBudget)),
            false => Err(None),
        }
    }

    /// Keeps what is needed to send a request again after octets of it were sent, where that may be.
    pub(super) fn keep(&mut self, (method, body): (&Method, &Outgoing), retry: config::Retry) {
        if self.kept.is_none() && retry.attempts > 1 && method.is_idempotent() {
            self.kept = Some(body.keep());
        }
    }

    /// The body once more, from its start; `None` where the request is not to be sent again.
    pub(super) fn again(&mut self) -> Option<Outgoing> {
        let body = self.kept.as_ref()?.again()?;
        self.broke = true;
        Some(body)
    }
}

/// Whether a failed exchange failed by its connection, without an octet of an answer.
pub(super) fn is_broken(unanswered: &Unanswered, link: Option<&Link>) -> bool {
    unanswered.is_broken() && link.is_none_or(|link| !link.has_heard())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many retries there are.
    fn drained(budget: &Budget) -> u32 {
        std::iter::from_fn(|| budget.spend().then_some(())).count() as u32
    }

    #[test]
    fn a_budget_is_full_at_the_start_and_holds_no_more() {
        assert_eq!(drained(&Budget::new(20)), RESERVE);
        let budget = Budget::new(20);
        (0..1000).for_each(|_| budget.earn());
        assert_eq!(drained(&budget), RESERVE);
    }

    #[test]
    fn requests_earn_retries() {
        for (percent, requests, retries) in
            [(20, 4, 0), (20, 5, 1), (20, 14, 2), (100, 7, 7), (1, 99, 0), (1, 100, 1)]
        {
            let budget = Budget::new(percent);
            drained(&budget);
            (0..requests).for_each(|_| budget.earn());
            assert_eq!(drained(&budget), retries, "{percent} % of {requests}");
        }
    }

    #[test]
    fn nothing_percent_is_nothing() {
        let budget = Budget::new(0);
        budget.earn();
        assert!(!budget.spend());
    }

    #[test]
    fn only_what_changes_nothing_is_sent_again() {
        let kept = |method: Method, attempts| {
            let mut tries = Tries::default();
            tries.keep((&method, &Outgoing::empty()), config::Retry { attempts, budget_percent: 20 });
            tries.again()
        };
        assert!(kept(Method::GET, 2).is_some() && kept(Method::PUT, 2).is_some());
        assert!(kept(Method::POST, 2).is_none() && kept(Method::GET, 1).is_none());
    }

    #[test]
    fn tries_end_with_the_attempts_or_the_budget() {
        let go_on = |attempts, budget: &Budget| {
            let mut tries = Tries::default();
            let retry = config::Retry { attempts, budget_percent: 1 };
            while tries.fail_and_go_on(retry, budget).is_ok() {}
            tries.count() - 1
        };
        let budget = Budget::new(1);
        assert_eq!([1, 2, 5].map(|attempts| go_on(attempts, &budget)), [1, 2, 5]);
        assert_eq!(drained(&budget), RESERVE - 5, "the last try of each is not followed by another");
        assert_eq!(go_on(5, &budget), 1);
    }
}
