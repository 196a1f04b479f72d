//! An answer in a sentence or two.

use std::time::Duration;

use humantime::format_duration;

use super::question::{Answer, Question};
use crate::path::Unclear;
use crate::pool::{Affinity, Decision, Keeper, Reason, Refusal};

pub(super) const NO_ROUTE: &str = "No route fits this host and path.";
pub(super) const BAD_HOST: &str = "The host is not valid: the proxy would answer 400.";
pub(super) const CONNECT: &str = "The proxy makes no CONNECT tunnels: it would answer 501.";
/// Behind the detail of a request that deletes what a response had issued.
pub(super) const DELETES: &str = " A good answer to this DELETE ends the session.";

/// For a path that has no one meaning.
pub(super) fn bad_path(unclear: Unclear) -> String {
    format!("The proxy would answer 400: {unclear}.")
}

pub(super) fn of(question: &Question<'_>, answer: &Answer<'_>) -> String {
    match answer.decision {
        Ok(decision) => {
            let queues = " It has all the requests it may have: this one would queue for a place.";
            chosen(question, answer, &decision) + if answer.queues { queues } else { "" }
        }
        Err(refusal) => refused(question, refusal),
    }
}

fn chosen(question: &Question<'_>, answer: &Answer<'_>, decision: &Decision) -> String {
    let (pool, source) = (question.pool, question.source.as_deref().unwrap_or("none"));
    let to = answer.backend.map_or_else(|| format!("by {}", pool.balance), |name| format!("on {name}"));
    match (decision.reason, &pool.affinity) {
        (Reason::Bound, _) => format!("The key ({source}) is bound to {}.", answer.backend.unwrap_or("it")),
        (Reason::Placed, Affinity::Hash { .. }) => {
            format!("The key ({source}) hashes to {}.", answer.backend.unwrap_or("a backend"))
        }
        (Reason::Placed, Affinity::Cookie(..)) => {
            format!("The session is new; it would be placed {to}, and a cookie would say so.")
        }
        (Reason::Placed, _) => {
            format!("The key ({source}) is new; it would be placed {to} and bound there.")
        }
        (Reason::Rebound, _) => {
            format!("{} is {}; it would be placed {to} and bound there.", owner(question), fate(question))
        }
        (Reason::Balanced, affinity) => {
            let why = match affinity {
                Affinity::None => format!("Pool {} is not sticky", pool.name),
                _ => "The request has no session key".to_owned(),
            };
            let how = answer.backend.map(|name| format!("it would go to {name}."));
            format!("{why}; {}", how.as_deref().unwrap_or("the backends take turns."))
        }
    }
}

fn refused(question: &Question<'_>, refusal: Refusal) -> String {
    let name = &question.pool.name;
    match refusal {
        Refusal::NoBackend => format!("No backend of pool {name} is available."),
        Refusal::Full => {
            format!("Every available backend of pool {name} has all the sessions it may have.")
        }
        Refusal::Down => {
            format!("{} is {}, and the pool gives its keys no other.", owner(question), fate(question))
        }
        Refusal::Outdated => format!("The backend of the key has just come to pool {name}."),
        Refusal::Wait { until } => {
            // Whole seconds, a begun one counted.
            let left = until.since(question.now);
            let whole = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            let left = format_duration(Duration::from_secs(whole));
            format!(
                "{} is {}; requests wait for it, at most {left} more, before the key gets another.",
                owner(question),
                fate(question)
            )
        }
    }
}

/// Whose key it was.
fn owner(question: &Question<'_>) -> String {
    let source = question.source.as_deref().unwrap_or("none");
    match question.keeper() {
        Some(Keeper::Here(backend) | Keeper::Down { backend, .. }) => {
            format!("{}, the backend of the key ({source}),", question.name(backend).unwrap_or_default())
        }
        Some(Keeper::Gone | Keeper::Newer) | None => format!("The backend of the key ({source})"),
    }
}

fn fate(question: &Question<'_>) -> &'static str {
    match question.keeper() {
        Some(Keeper::Down { .. }) => "down",
        _ => "gone",
    }
}
