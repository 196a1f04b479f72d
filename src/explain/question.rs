//! One key, or none, in search of a backend of a pool; asked as traffic asks.

use super::{Bound, Candidate, Explanation, Unbound, detail};
use crate::affinity::table::Binding;
use crate::affinity::{Opened, Sealer, SessionKey, Ticket};
use crate::backend::Backend;
use crate::clock::Now;
use crate::config::Balance;
use crate::headers::Fields;
use crate::pool::{Affinity, Choice, Decision, Home, Keeper, Key, Pool, Prospect, Reason, Refusal, View};
use crate::stable_hash;

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) pool: &'a Pool,
    pub(super) view: View,
    pub(super) key: Option<Key>,
    /// Where the key was found.
    pub(super) source: Option<String>,
    key_text: Option<String>,
    pub(super) binding: Option<Binding>,
    /// What the proxy's own cookie says.
    ticket: Option<Ticket>,
    /// Backends with all the requests they may have.
    busy: Vec<u32>,
    pub(super) now: Now,
}

/// What a decision came to.
pub(super) struct Answer<'a> {
    pub(super) decision: Result<Decision, Refusal>,
    /// The backend, where it is certain which one it is.
    pub(super) backend: Option<&'a str>,
    /// It has all the requests it may have, and there is no other: the request queues for it.
    pub(super) queues: bool,
}

impl<'a> Question<'a> {
    /// `cookie` are the fields in which the proxy's own cookie is looked for, where the route is sticky.
    pub(super) fn new(
        pool: &'a Pool,
        found: Option<&SessionKey<'_, '_>>,
        cookie: Option<&Fields>,
        now: Now,
    ) -> Self {
        let is_busy =
            |backend: &Backend| backend.slots.as_ref().is_some_and(|slots| slots.available_permits() == 0);
        let backends = pool.backends.iter().zip(0..);
        let busy = backends.filter(|(backend, _)| is_busy(backend)).map(|(_, at)| at).collect();
        let text = |found: &SessionKey<'_, '_>| String::from_utf8_lossy(&found.bytes).into_owned();
        let mut this = Self {
            pool,
            view: View::new(pool, 0),
            key: found.filter(|_| pool.is_sticky()).map(|found| pool.key(found)),
            key_text: found.map(text),
            source: found.map(|found| found.source.to_string()),
            binding: None,
            ticket: None,
            busy,
            now,
        };
        if let Some((sealer, headers)) = pool.sealer().zip(cookie) {
            this.look_into(sealer, headers, found);
        }
        this.binding = this.key.and_then(|key| pool.table()?.peek(key.fingerprint, now));
        this
    }

    /// In cookie mode every request has a session: that of its cookie, or a new one.
    fn look_into(&mut self, sealer: &Sealer, headers: &Fields, found: Option<&SessionKey<'_, '_>>) {
        self.ticket = match sealer.open(headers, self.now) {
            Opened::Valid(ticket) => Some(ticket),
            Opened::Over(ticket, reason) => {
                Some(ticket).filter(|ticket| self.pool.goes_on(ticket.session, reason, self.now))
            }
            Opened::Absent | Opened::Refused(_) => None,
        };
        if let Some(ticket) = &self.ticket {
            self.key_text = Some(format!("{:016x}", ticket.session));
            self.source = Some(format!("cookie:{}", sealer.name()));
        }
        // A new one gets a number that nobody has.
        let fresh = || stable_hash::mix(self.now.micros());
        let session = self.ticket.map_or_else(fresh, |ticket| ticket.session);
        let told = self.ticket.map_or(0, |ticket| ticket.epoch);
        let home = self.ticket.as_ref().map(Home::from);
        self.key = Some(Key { told, ..self.pool.carried_key(session, home, found) });
    }

    /// What a session leads to, if there is one.
    pub(super) fn keeper(&self) -> Option<Keeper> {
        if let Some(binding) = &self.binding {
            return Some(self.view.keeper(binding, self.now));
        }
        let key = self.key.filter(|key| key.home.is_some())?;
        let backend = self.pool.at_home(&self.view, &key);
        Some(backend.map_or(Keeper::Gone, |backend| self.view.keeps(backend, key.placement, self.now)))
    }

    /// Whether a response had issued the key.
    pub(super) fn was_issued(&self) -> bool {
        self.key.is_some_and(|key| key.learned.is_some())
    }

    pub(super) fn answer(&self, host: &str) -> Explanation {
        // A key that has lost its backend is placed by the hash that its binding carries.
        let placed = self.key.map(|key| Key {
            placement: self.binding.map_or(key.placement, |binding| binding.placement),
            ..key
        });
        let prospects = self.prospects(placed.as_ref());
        let answer = self.decide(&prospects);
        Explanation {
            route: None,
            host: host.to_owned(),
            pool: Some(self.pool.name.to_string()),
            mode: Some(self.pool.mode().to_owned()),
            balance: Some(self.pool.balance.to_string()),
            key: self.key_text.clone(),
            key_source: self.source.clone(),
            candidates: self.candidates(&prospects),
            binding: self.bound(),
            backend: answer.backend.map(str::to_owned),
            reason: answer.decision.into(),
            detail: detail::of(self, &answer),
            without_binding: self.key.as_ref().map(|key| self.without_binding(key)),
        }
    }

    fn decide(&self, prospects: &[Prospect]) -> Answer<'a> {
        let key = self.key.as_ref();
        let (decision, queues) = self.ask(|choice| self.pool.decide(&self.view, key, choice));
        let is_bound = |decision: &Decision| decision.reason == Reason::Bound;
        let chosen = decision.ok().filter(|decision| is_bound(decision) || self.is_certain(prospects));
        Answer { decision, backend: chosen.and_then(|decision| self.name(decision.backend)), queues }
    }

    fn without_binding(&self, key: &Key) -> Unbound {
        // A view of its own: policies that take turns have moved on in the other.
        let view = View::new(self.pool, 0);
        let (decision, _) = self.ask(|choice| self.pool.place_anew(&view, key, choice));
        let chosen = decision.ok().filter(|_| self.is_certain(&self.prospects(Some(key))));
        let backend = chosen.and_then(|decision| self.name(decision.backend));
        Unbound { backend: backend.map(str::to_owned), reason: decision.into() }
    }

    /// Asks as traffic does: backends without a place are left out, unless the request belongs to one, or there is no
    /// other. Whether it then queues is the second of what this returns.
    fn ask(
        &self,
        decide: impl Fn(&Choice<'_>) -> Result<Decision, Refusal>,
    ) -> (Result<Decision, Refusal>, bool) {
        let load = |backend| self.load(backend);
        let choice = Choice { skip: &[], load: &load, now: self.now };
        let first = decide(&choice);
        let Some(full) = first.ok().filter(|decision| self.busy.contains(&decision.backend)) else {
            return (first, false);
        };
        let stays = full.tie.is_fixed() || self.is_hashed();
        let other = (!stays).then(|| decide(&Choice { skip: &self.busy, ..choice }).ok()).flatten();
        other.map_or((first, true), |other| (Ok(other), false))
    }

    fn prospects(&self, key: Option<&Key>) -> Vec<Prospect> {
        let load = |backend| self.load(backend);
        // What is hashed waits for a place rather than go elsewhere.
        let skip = if self.is_hashed() { &[] } else { &self.busy[..] };
        self.pool.prospects(&self.view, key, &Choice { skip, load: &load, now: self.now })
    }

    fn is_hashed(&self) -> bool {
        self.key.is_some() && matches!(self.pool.affinity, Affinity::Hash { .. })
    }

    /// Whether every worker would choose the same backend as the one asked here.
    fn is_certain(&self, prospects: &[Prospect]) -> bool {
        let mut able = prospects.iter().filter(|prospect| prospect.bar.is_none());
        let (first, second) = (able.next(), able.next());
        let in_turns = match self.key {
            Some(key) => key.by_turns && self.pool.balance.hashes(),
            None => self.pool.is_sticky(),
        };
        let policy = if in_turns { Balance::RoundRobin } else { self.pool.balance };
        match policy {
            _ if first.is_none() || second.is_none() => true,
            Balance::Rendezvous | Balance::RingHash | Balance::Maglev | Balance::First => true,
            Balance::LeastSessions => {
                first.and_then(|first| first.score) < second.and_then(|second| second.score)
            }
            Balance::RoundRobin | Balance::LeastRequest | Balance::Random => false,
        }
    }

    fn candidates(&self, prospects: &[Prospect]) -> Vec<Candidate> {
        let ranked = (1..).zip(prospects).filter_map(|(rank, prospect)| {
            let backend = self.pool.backends.get(prospect.backend as usize)?;
            Some(Candidate {
                name: backend.name.to_string(),
                address: backend.address.to_string(),
                weight: backend.weight,
                state: backend.state.word().to_owned(),
                health: backend.state.health().as_str().to_owned(),
                sessions: self.pool.table().map_or(0, |table| table.sessions(backend.state.owner())),
                in_flight: self.load(prospect.backend),
                max_sessions: backend.max_sessions,
                eligible: prospect.bar.is_none(),
                why_not: prospect.bar.map(|bar| bar.as_str().to_owned()),
                rank: prospect.bar.is_none().then_some(rank),
                score: prospect.score,
            })
        });
        ranked.collect()
    }

    fn bound(&self) -> Option<Bound> {
        let backend = match self.keeper()? {
            Keeper::Here(backend) | Keeper::Down { backend, .. } => self.name(backend),
            Keeper::Gone | Keeper::Newer => None,
        };
        let since = |ticket: &Ticket| Now(u64::from(ticket.issued) * 1_000_000);
        let (epoch, live) = self.binding.map_or((0, 0), |binding| (binding.epoch, binding.live));
        // The epoch is the moment of binding, or a little later where many were bound at one.
        let since = self.binding.map(|_| Now(epoch)).or_else(|| self.ticket.as_ref().map(since));
        let age_seconds = since.map_or(0.0, |since| self.now.since(since).as_secs_f64());
        Some(Bound { backend: backend.map(str::to_owned), epoch, live, age_seconds })
    }

    pub(super) fn name(&self, backend: u32) -> Option<&'a str> {
        self.pool.backends.get(backend as usize).map(|backend| &*backend.name)
    }

    fn load(&self, backend: u32) -> u64 {
        let known = self.pool.backends.get(backend as usize);
        known.map_or(0, |backend| backend.state.sum(|counters| &counters.in_flight))
    }
}
