//! The proxy's own cookie on its way: opened when a request comes, hidden from backends, issued with a response.

use http::{HeaderValue, header};

use super::Plan;
use super::Worker;
use super::running::Running;
use crate::affinity::{Opened, Recent, Sealer, SessionKey, Ticket};
use crate::clock::Now;
use crate::headers::Fields;
use crate::pool::{Home, Key, Lease, Pool, View};

/// The session that a request belongs to by its cookie, or the one that it begins.
pub(super) fn session(
    worker: &Worker,
    (pool, sealer, recent): (&Pool, &Sealer, &Recent),
    headers: &Fields,
    found: Option<&SessionKey<'_, '_>>,
) -> (Key, Option<Ticket>) {
    let now = worker.clock.now();
    let ticket = match sealer.open_known(recent, headers, now) {
        Opened::Valid(ticket) => Some(ticket),
        Opened::Absent => None,
        Opened::Over(ticket, reason) if pool.goes_on(ticket.session, reason, now) => Some(ticket),
        Opened::Over(_, reason) | Opened::Refused(reason) => {
            if pool.shared.refuse(reason) {
                let (pool, reason) = (&pool.name, reason.as_str());
                tracing::warn!(%pool, reason, "a cookie does not count; said once for each reason");
            }
            None
        }
    };
    let id = ticket.map_or_else(|| worker.draw.next(), |ticket| ticket.session);
    let told = ticket.map_or(0, |ticket| ticket.epoch);
    (Key { told, ..pool.carried_key(id, ticket.as_ref().map(Home::from), found) }, ticket)
}

/// What the cookie has to say from now on; none if what it says is right and fresh.
pub(super) fn due(
    pool: &Pool,
    view: &View,
    (backend, lease): (u32, &Lease),
    (shown, now): (Option<&Ticket>, Now),
) -> Option<Box<Ticket>> {
    let (sealer, home) = (pool.sealer()?, view.home(backend)?);
    // One that knows of a later life of the backend than this proxy does is not corrected.
    let heard = pool.backends.get(backend as usize)?.state.instance_heard();
    let is_later = |shown: &Ticket| shown.backend == home.backend && shown.epoch > heard.micros();
    let right = shown.filter(|shown| Home::from(*shown) == home || is_later(shown));
    if right.is_some_and(|shown| !sealer.needs_seal(shown, now)) {
        return None;
    }
    let told = right.map_or(home, Home::from);
    Some(Box::new(Ticket {
        backend: told.backend,
        address: told.address,
        incarnation: told.incarnation,
        session: lease.key.0,
        epoch: right.map_or(lease.epoch, |shown| shown.epoch),
        issued: shown.map_or(now.secs(), |shown| shown.issued),
        sealed: now.secs(),
    }))
}

/// Puts the cookie into a response, which no shared cache may keep then. A response of which its backend says that
/// shared caches may keep it stays as it is: they would give the cookie to others.
pub(super) fn issue(running: &mut Running, plan: &Plan, fields: &mut Fields, now: Now) {
    let Some(ticket) = running.ticket.take() else { return };
    let Some(sealer) = running.pool().sealer() else { return };
    let caching = Caching::of(fields);
    if caching == Caching::Shared {
        if ticket.issued == ticket.sealed {
            // Nobody could come back to the session that would begin here.
            running.pool().end_carried(ticket.session, now);
        }
        return;
    }
    fields.append(header::SET_COOKIE, sealer.seal(&ticket, now, plan.over_tls));
    if caching == Caching::Unsaid {
        fields.append(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

/// What a response says of shared caches (RFC 9111 §5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caching {
    /// Nothing.
    Unsaid,
    /// They may not keep it.
    Private,
    /// They may.
    Shared,
}

impl Caching {
    fn of(fields: &Fields) -> Self {
        let mut caching = Self::Unsaid;
        for field in fields.get_all(&header::CACHE_CONTROL) {
            for directive in field.split(|&octet| octet == b',') {
                let name = directive.split(|&octet| octet == b'=').next().unwrap_or_default().trim_ascii();
                let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
                if is("private") || is("no-store") {
                    return Self::Private;
                }
                if is("public") || is("s-maxage") {
                    caching = Self::Shared;
                }
            }
        }
        caching
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_response_says_of_shared_caches() {
        let said = |lines: &[&'static str]| {
            let mut fields = Fields::new();
            for line in lines {
                fields.append(header::CACHE_CONTROL, HeaderValue::from_static(line));
            }
            Caching::of(&fields)
        };
        for unsaid in [&[][..], &["max-age=60"], &["no-cache", "must-revalidate"], &["publicly"]] {
            assert_eq!(said(unsaid), Caching::Unsaid, "{unsaid:?}");
        }
        for private in [&["private"][..], &["max-age=1, No-Store"], &["public", "private=\"x\""]] {
            assert_eq!(said(private), Caching::Private, "{private:?}");
        }
        for shared in [&["public, max-age=60"][..], &["s-maxage=1"], &["max-age=1", " Public"]] {
            assert_eq!(said(shared), Caching::Shared, "{shared:?}");
        }
    }
}
