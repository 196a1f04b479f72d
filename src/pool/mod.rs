//! A pool: backends, a balance policy and what ties sessions to backends, brought together into decisions.
//!
//! Synchronous, without clock and I/O. A decision is made in two steps: [`Pool::decide`] only reads, so that
//! explaining a decision asks the same question as traffic does; [`Pool::commit`] binds.

mod bounds;
mod commit;
mod decide;
mod loss;
mod memo;
mod prospects;
mod tally;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::affinity::table::Fingerprint;
use crate::affinity::{Reason as Refused, Sealer, SessionKey, SessionTable, Ticket};
use crate::backend::{Backend, State};
use crate::balance::HashTable;
use crate::clock::Now;
use crate::config::{self, Balance, KeySource, OnBackendDown, Pointer, Timeouts};
use crate::stable_hash;
use crate::tally::Apart;
use crate::transport::Dialing;

pub use commit::{Commit, Lease, Lesson, Lessons};
pub use decide::{Choice, Decision, Reason, Refusal, Tie};
pub use loss::Lost;
pub use prospects::{Bar, Prospect};
pub use tally::{Closing, Source, Tally};
pub use view::{Keeper, Leaver, View};

/// A named set of backends with one balance policy and one stickiness.
#[derive(Debug)]
pub struct Pool {
    /// Unique among pools.
    pub name: Arc<str>,
    /// In the order of the file; behind them those that the file has no more and that are not empty yet.
    pub backends: Vec<Arc<Backend>>,
    /// How new work is placed.
    pub balance: Balance,
    /// Bounded load for new keys, in percent of a backend's share of the sessions; 0: off.
    pub hash_balance_factor: u32,
    /// Whether a backend's sessions are limited.
    pub limits_sessions: bool,
    /// While more than this percentage of the backends fail doubtfully, nothing bound moves for that; 0: off.
    pub panic_threshold: u32,
    /// How long a backend takes to its full share after it came up.
    pub slow_start: Duration,
    /// How backends are emptied.
    pub drain: config::Drain,
    /// The placement table of the backends, where the policy has one.
    pub hash_table: Option<Arc<HashTable>>,
    /// What is remembered of keys.
    pub affinity: Affinity,
    /// How backends are reached.
    pub dialing: Arc<Dialing>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// When requests are tried again.
    pub retry: config::Retry,
    /// When traffic ejects a backend.
    pub outlier: config::Outlier,
    /// What all configurations of this pool share.
    pub shared: Arc<Shared>,
}

/// How a pool keeps keys in place.
#[derive(Debug)]
pub enum Affinity {
    /// Not at all: every request is balanced.
    None,
    /// By hashing: nothing is remembered.
    Hash {
        /// Where keys are found.
        keys: Vec<KeySource>,
    },
    /// By the session table.
    Table(Sessions),
    /// By a sealed cookie of the client's. What this process has seen of its sessions is kept in a table too: so they
    /// are counted, and those that move while the client still shows its old cookie are found again.
    Cookie(Sessions, Arc<Sealer>),
}

/// What is needed to remember sessions.
#[derive(Debug)]
pub struct Sessions {
    /// Where keys are found.
    pub keys: Vec<KeySource>,
    /// Where responses teach keys.
    pub learn: Vec<KeySource>,
    /// Those of them that are in bodies.
    pub bodies: Arc<[Pointer]>,
    /// Who owns which key.
    pub table: Arc<SessionTable>,
    /// What becomes of a key whose backend is down.
    pub on_backend_down: OnBackendDown,
}

/// What outlasts the configurations of a pool.
#[derive(Debug)]
pub struct Shared {
    generation: AtomicU64,
    /// Wakes those who wait for a change of the fleet.
    pub news: Notify,
    /// Cookies that did not count, by the reason.
    refused: [AtomicU64; Refused::COUNT],
    /// Bodies that might have taught a key, had they not been compressed.
    pub encoded_bodies: AtomicU64,
    /// Requests that wait for something, in the whole process; bounded by `limits.queue`. Not beside the generation, which
    /// every request reads.
    pub waiting: Apart<AtomicU64>,
    workers: Box<[Tally]>,
}

impl Shared {
    /// The shared part of a pool nothing is known of, with tallies for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            generation: AtomicU64::new(1),
            news: Notify::new(),
            refused: [const { AtomicU64::new(0) }; Refused::COUNT],
            encoded_bodies: AtomicU64::new(0),
            waiting: Apart::default(),
            workers: (0..workers).map(|_| Tally::default()).collect(),
        }
    }

    /// What `worker` counts.
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn tally(&self, worker: usize) -> &Tally {
        &self.workers[worker]
    }

    /// What all workers count, each for itself.
    pub fn tallies(&self) -> &[Tally] {
        &self.workers
    }

    /// Grows whenever the health or address of a backend changed; views of an older one are to be rebuilt.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Counts a cookie that does not count; whether it is the first for this reason.
    pub fn refuse(&self, reason: Refused) -> bool {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Cookies that did not count.
    pub fn refused(&self) -> u64 {
        self.refused.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Makes every worker rebuild its view before its next decision.
    pub fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.news.notify_waiters();
    }
}

/// A session key as decisions use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its placement hash, the same in every process.
    pub placement: u64,
    /// What stands for it in the pool's session table; meaningless without one.
    pub fingerprint: Fingerprint,
    /// Where its source stands among those that are learned from responses.
    pub learned: Option<u16>,
    /// A `DELETE` of it ends its session: it is in a header field of its own, which says nothing but which session is
    /// meant. A cookie comes with every request of a browser, whatever that deletes.
    pub deletable: bool,
    /// Nobody would find it again by its hash, so it is placed in turns where a policy hashes.
    pub by_turns: bool,
    /// Where the client says it belongs, by a cookie that nobody else could have made.
    pub home: Option<Home>,
    /// The epoch of the binding that the cookie tells of; 0 without one.
    pub told: u64,
}

/// A backend in one of its lives, in words that mean the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// Hash of the backend's name.
    pub backend: u64,
    /// Hash of its address.
    pub address: u64,
    /// Hash of the instance it names; 0 if it names none, which fits any.
    pub incarnation: u64,
}

/// Begins another life of a backend whose time to leave is over, so that what was bound to it is bound no more, also
/// when it is wanted again. Returns whether there was anything.
pub fn begin_anew_if_over(state: &State, table: &SessionTable, now: Now) -> bool {
    let over = state.leave().filter(|leave| leave.is_over(now));
    let Some(leave) = over.filter(|_| table.sessions(state.owner()) > 0) else { return false };
    state.set_owner(table.succeed_owner(state.owner(), loss::of_leave(&leave)));
    true
}

/// After the deadline of a removed backend, for its exchanges to end before it is forgotten.
const FORGET: Duration = Duration::from_secs(5);

impl Home {
    /// Whether this is the backend that `other` means, in the same life as far as that is known.
    pub fn is(&self, other: &Self) -> bool {
        let same_life =
            self.incarnation == 0 || other.incarnation == 0 || self.incarnation == other.incarnation;
        self.backend == other.backend && self.address == other.address && same_life
    }
}

impl From<&Ticket> for Home {
    fn from(ticket: &Ticket) -> Self {
        let Ticket { backend, address, incarnation, .. } = *ticket;
        Self { backend, address, incarnation }
    }
}

impl Affinity {
    /// Whether nothing is left of a backend: nothing live, and no session that has not ended. In cookie mode there may be
    /// sessions that this process has not seen; those that live ask for their backend within the idle time-out.
    pub fn is_empty(&self, backend: &Backend, now: Now) -> bool {
        let leave = backend.state.leave();
        let over = leave.is_some_and(|leave| leave.is_over(now));
        let sessions =
            self.table().filter(|_| !over).map_or(0, |table| table.sessions(backend.state.owner()));
        let unseen = match self {
            Self::Cookie(_, sealer) => {
                leave.is_some_and(|leave| now < leave.since.after(sealer.idle_timeout()))
            }
            Self::None | Self::Hash { .. } | Self::Table(_) => false,
        };
        sessions == 0 && (over || !unseen) && backend.state.sum(|counters| &counters.in_flight) == 0
    }

    /// Whether a removed backend has nothing left, or has had time enough for that.
    pub fn is_forgettable(&self, backend: &Backend, now: Now) -> bool {
        let late = backend.state.leave().is_some_and(|leave| leave.deadline.after(FORGET) <= now);
        late || self.is_empty(backend, now)
    }

    /// The session table, where there is one.
    pub fn table(&self) -> Option<&Arc<SessionTable>> {
        self.sessions().map(|sessions| &sessions.table)
    }

    fn sessions(&self) -> Option<&Sessions> {
        match self {
            Self::Table(sessions) | Self::Cookie(sessions, _) => Some(sessions),
            Self::None | Self::Hash { .. } => None,
        }
    }
}

impl Pool {
    /// Where this pool's keys are found, unless a route says otherwise.
    pub fn key_sources(&self) -> &[KeySource] {
        match &self.affinity {
            Affinity::None => &[],
            Affinity::Hash { keys } => keys,
            Affinity::Table(sessions) | Affinity::Cookie(sessions, _) => &sessions.keys,
        }
    }

    /// What opens and seals the client's cookie, in cookie mode.
    pub fn sealer(&self) -> Option<&Arc<Sealer>> {
        match &self.affinity {
            Affinity::Cookie(_, sealer) => Some(sealer),
            Affinity::None | Affinity::Hash { .. } | Affinity::Table(_) => None,
        }
    }

    /// How the pool keeps keys, in the words of the file; `none` where it does not.
    pub const fn mode(&self) -> &'static str {
        match self.affinity {
            Affinity::None => "none",
            Affinity::Hash { .. } => "hash",
            Affinity::Table(_) => "table",
            Affinity::Cookie(..) => "cookie",
        }
    }

    /// Whether backends are told the epoch of a session's binding.
    pub fn tells_epochs(&self) -> bool {
        matches!(self.affinity, Affinity::Table(_))
    }

    /// Whether the pool looks for session keys.
    pub fn is_sticky(&self) -> bool {
        !matches!(self.affinity, Affinity::None)
    }

    /// What is needed to remember sessions, where they are remembered.
    pub fn sessions(&self) -> Option<&Sessions> {
        self.affinity.sessions()
    }

    /// The session table, where there is one.
    pub fn table(&self) -> Option<&Arc<SessionTable>> {
        self.affinity.table()
    }

    /// Whether the pool itself is in the configuration no more, and only there until it is empty.
    pub fn is_removed(&self) -> bool {
        self.backends.iter().all(|backend| backend.state.is_removed())
    }

    /// Whether something of the pool that is in the configuration no more can be forgotten: a backend, or if the pool is
    /// removed, the whole of it.
    pub fn has_forgettable(&self, now: Now) -> bool {
        let mut removed = self.backends.iter().filter(|backend| backend.state.is_removed());
        let is_forgettable = |backend: &Arc<Backend>| self.affinity.is_forgettable(backend, now);
        if self.is_removed() { removed.all(is_forgettable) } else { removed.any(is_forgettable) }
    }

    /// Ends what is bound to a backend whose time to leave is over.
    pub fn end_if_over(&self, backend: &Backend, now: Now) {
        if self.table().is_some_and(|table| begin_anew_if_over(&backend.state, table, now)) {
            self.shared.changed();
        }
    }

    /// Hashes a session key for this pool.
    pub fn key(&self, key: &SessionKey<'_, '_>) -> Key {
        let learn = self.sessions().map_or(&[][..], |sessions| &sessions.learn);
        let learned = learn.iter().position(|source| source == key.source).map(|position| position as u16);
        let deletable = learned.is_some() && matches!(key.source, KeySource::Header(_));
        Key { learned, deletable, ..self.hash_key(&key.bytes) }
    }

    /// The key of a session that the client's cookie carries, or will carry. `found` is the key that the request has
    /// beside it, by which a new session is placed.
    pub fn carried_key(&self, session: u64, home: Option<Home>, found: Option<&SessionKey<'_, '_>>) -> Key {
        let placement = found.map(|key| stable_hash::hash(&key.bytes));
        Key {
            placement: placement.unwrap_or_else(|| stable_hash::mix(session)),
            fingerprint: Fingerprint(session),
            learned: None,
            deletable: false,
            by_turns: placement.is_none(),
            home,
            told: 0,
        }
    }

    /// Ends a carried session as soon as nothing of it is live.
    pub fn end_carried(&self, session: u64, now: Now) {
        if let Some(table) = self.table() {
            table.end(Fingerprint(session), now);
        }
    }

    /// Whether a carried session goes on although its cookie says that its time is over, for this `reason`: the table
    /// knows it to have been live more lately, or to be live now.
    pub fn goes_on(&self, session: u64, reason: Refused, now: Now) -> bool {
        let known = self.table().and_then(|table| table.peek(Fingerprint(session), now));
        known.is_some_and(|binding| reason == Refused::Expired || binding.live > 0)
    }

    /// Hashes the bytes of a session key for this pool.
    pub fn hash_key(&self, bytes: &[u8]) -> Key {
        let fingerprint = self.table().map_or(Fingerprint(0), |table| table.fingerprint(bytes));
        Key {
            placement: stable_hash::hash(bytes),
            fingerprint,
            learned: None,
            deletable: false,
            by_turns: false,
            home: None,
            told: 0,
        }
    }
}
