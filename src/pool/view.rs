//! What one worker knows of a pool at one generation: who may take what. Rebuilt when health or wishes change, so that
//! a decision reads no shared memory but the generation number.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use super::memo::Memo;
use super::{Affinity, Home, Pool};
use crate::affinity::SessionTable;
use crate::affinity::table::Binding;
use crate::backend::health::Failing;
use crate::backend::{Backend, Health, Leave, State};
use crate::balance::{Balancer, Candidate};
use crate::clock::Now;
use crate::config::Balance;
use crate::stable_hash;

/// A worker's picture of a pool. Not shared between threads.
#[derive(Debug)]
pub struct View {
    /// The generation of the pool this was built from.
    pub generation: u64,
    /// Takes keys without a binding.
    pub(super) placer: Chooser,
    /// Takes requests without a key.
    pub(super) keyless: Chooser,
    backends: Vec<Standing>,
    owners: Vec<Option<u32>>,
    /// Positions of the backends, sorted by what cookies call them; none where there are no cookies.
    nodes: Vec<(u64, u32)>,
    /// Where bindings are kept, if they are: it knows of lives that began after this view was made.
    table: Option<Arc<SessionTable>>,
    /// So many seem to fail that it is more likely that the checks do.
    panics: bool,
    leaving: Vec<Leaver>,
    /// Of [`Self::draw`].
    draws: Cell<u64>,
}

/// A backend on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Leaver {
    /// [`State::id`].
    pub id: u64,
    /// How it leaves.
    pub leave: Leave,
}

/// Candidates and the policy that chooses among them.
#[derive(Debug)]
pub(super) struct Chooser {
    pub(super) candidates: Vec<Candidate>,
    pub(super) balancer: Balancer,
    /// Of keys, where each of their requests is placed anew by a policy that looks at all candidates.
    pub(super) memo: Option<Memo>,
}

/// What a binding leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// This backend, which serves.
    Here(u32),
    /// This backend, which is down since then.
    Down {
        /// Position of the backend.
        backend: u32,
        /// When it went down.
        since: Now,
    },
    /// Nothing: its backend is gone, or began another life, or the binding's time is over.
    Gone,
    /// A backend, or a life of one, that began after the view was made.
    Newer,
}

/// One backend as it is now.
#[derive(Debug)]
struct Standing {
    health: Health,
    outlier: bool,
    failing: Failing,
    since: Now,
    address: Option<SocketAddr>,
    owner: u32,
    home: Home,
    leave: Option<Leave>,
}

impl View {
    /// Reads the live state of `pool`. O(backends). Differing `seed`s keep workers from choosing in step.
    pub fn new(pool: &Pool, seed: u64) -> Self {
        let generation = pool.shared.generation();
        let backends: Vec<Standing> = pool.backends.iter().map(|backend| Standing::read(backend)).collect();
        // Without a table nothing is bound, and nothing could be kept in place.
        let panics = pool.table().is_some() && panics(&backends, pool.panic_threshold);
        let suspects = match pool.affinity {
            Affinity::Hash { .. } => Suspects::Included,
            _ if panics => Suspects::Excluded,
            _ => Suspects::LastResort,
        };
        let keyless = if pool.is_sticky() { Balance::RoundRobin } else { pool.balance };
        let leaver = |(backend, standing): (&Arc<Backend>, &Standing)| {
            standing.leave.map(|leave| Leaver { id: backend.state.id, leave })
        };
        Self {
            generation,
            placer: Chooser::new(pool, &backends, suspects, pool.balance, seed),
            keyless: Chooser::new(pool, &backends, suspects.without_hashing(), keyless, seed),
            owners: owners(&backends),
            nodes: if pool.sealer().is_some() { nodes(&pool.backends) } else { Vec::new() },
            table: pool.table().cloned(),
            leaving: pool.backends.iter().zip(&backends).filter_map(leaver).collect(),
            panics,
            backends,
            draws: Cell::new(seed),
        }
    }

    /// Another number at each call, for choices that no key makes.
    pub(super) fn draw(&self) -> u64 {
        self.draws.set(self.draws.get().wrapping_add(1));
        stable_hash::mix(self.draws.get())
    }

    /// Observed health of a backend, by its position in the pool.
    pub fn health(&self, backend: u32) -> Health {
        self.standing(backend).map_or(Health::Down, |standing| standing.health)
    }

    /// Where to dial a backend.
    pub fn address(&self, backend: u32) -> Option<SocketAddr> {
        self.standing(backend)?.address
    }

    /// The position of the backend that cookies call `node`. O(log backends).
    pub(super) fn position(&self, node: u64) -> Option<u32> {
        let at = self.nodes.partition_point(|(known, _)| *known < node);
        self.nodes.get(at).filter(|(known, _)| *known == node).map(|(_, position)| *position)
    }

    /// The number under which the session table knows a backend.
    pub fn owner(&self, backend: u32) -> u32 {
        self.standing(backend).map_or(u32::MAX, |standing| standing.owner)
    }

    /// A backend in its present life, in words that mean the same in every process.
    pub fn home(&self, backend: u32) -> Option<Home> {
        self.standing(backend).map(|standing| standing.home)
    }

    /// When the health of a backend last changed.
    pub fn since(&self, backend: u32) -> Now {
        self.standing(backend).map_or(Now(0), |standing| standing.since)
    }

    /// Whether and how a backend leaves.
    pub fn leave(&self, backend: u32) -> Option<Leave> {
        self.standing(backend)?.leave
    }

    /// The backends on their way out.
    pub fn leaving(&self) -> &[Leaver] {
        &self.leaving
    }

    /// Whether traffic has ejected a backend for a time.
    pub fn is_outlier(&self, backend: u32) -> bool {
        self.standing(backend).is_some_and(|standing| standing.outlier)
    }

    /// Whether so many backends seem to fail that nothing bound is moved for that.
    pub fn panics(&self) -> bool {
        self.panics
    }

    /// What a binding leads to at `now`.
    pub fn keeper(&self, binding: &Binding, now: Now) -> Keeper {
        match self.owners.get(binding.owner as usize).copied().flatten() {
            Some(backend) => self.keeps(backend, binding.placement, now),
            None if self.table.as_ref().is_some_and(|table| !table.is_over(binding.owner)) => Keeper::Newer,
            None => Keeper::Gone,
        }
    }

    /// Whether a backend keeps a session that is its own; `moment` is the hash that spreads the ends of sessions.
    pub fn keeps(&self, backend: u32, moment: u64, now: Now) -> Keeper {
        let Some(standing) = self.standing(backend) else { return Keeper::Gone };
        if standing.leave.is_some_and(|leave| leave.is_over_for(moment, now)) {
            return Keeper::Gone;
        }
        let believed = !self.panics || standing.failing == Failing::Plainly;
        if standing.health == Health::Down && believed {
            return Keeper::Down { backend, since: standing.since };
        }
        Keeper::Here(backend)
    }

    /// Backends that may take a key without a binding.
    pub fn candidates(&self) -> &[Candidate] {
        &self.placer.candidates
    }

    fn standing(&self, backend: u32) -> Option<&Standing> {
        self.backends.get(backend as usize)
    }
}

impl Standing {
    fn read(backend: &Backend) -> Self {
        let state: &State = &backend.state;
        let address = state.address().map(|address| address.to_string()).unwrap_or_default();
        Self {
            home: Home {
                backend: backend.node,
                address: stable_hash::hash(address.as_bytes()),
                incarnation: state.incarnation(),
            },
            health: state.health(),
            outlier: state.is_outlier(),
            failing: state.failing(),
            since: state.since(),
            address: state.address(),
            owner: state.owner(),
            leave: state.leave(),
        }
    }
}

/// Whether more than `threshold` percent fail in a way that leaves doubt. Backends that leave do not count.
fn panics(backends: &[Standing], threshold: u32) -> bool {
    let staying = || backends.iter().filter(|standing| standing.leave.is_none());
    let doubtful =
        |standing: &&Standing| standing.health == Health::Down && standing.failing == Failing::Doubtfully;
    threshold > 0 && staying().filter(doubtful).count() * 100 > staying().count() * threshold as usize
}

/// What suspect backends are good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Suspects {
    /// New work only where no other backend can take it.
    LastResort,
    /// As good as any, as are ejected ones: hashing has no memory, so leaving one out would move its keys.
    Included,
    /// No new work at all.
    Excluded,
}

impl Suspects {
    fn without_hashing(self) -> Self {
        if self == Self::Included { Self::LastResort } else { self }
    }
}

impl Chooser {
    fn new(pool: &Pool, backends: &[Standing], suspects: Suspects, policy: Balance, seed: u64) -> Self {
        let of = |wanted: &[Health]| -> Vec<Candidate> {
            let all = pool.backends.iter().zip(backends).zip(0..);
            let takes = |standing: &Standing| standing.leave.is_none() && wanted.contains(&standing.health);
            all.filter(|((backend, now), _)| backend.weight > 0 && takes(now))
                .map(|((backend, _), i)| Candidate { backend: i, weight: backend.weight, node: backend.node })
                .collect()
        };
        let mut candidates = match suspects {
            Suspects::Included => of(&[Health::Up, Health::Suspect]),
            Suspects::LastResort | Suspects::Excluded => of(&[Health::Up]),
        };
        if candidates.is_empty() && suspects != Suspects::Excluded {
            candidates = of(&[Health::Suspect]);
        }
        if suspects != Suspects::Included {
            leave_out(&mut candidates, |backend| backends[backend as usize].outlier);
        }
        let recurring = policy == Balance::Rendezvous && matches!(pool.affinity, Affinity::Hash { .. });
        Self {
            balancer: Balancer::new(policy, &candidates, seed, pool.hash_table.clone()),
            memo: Memo::worthwhile(candidates.len()).filter(|_| recurring),
            candidates,
        }
    }
}

/// Leaves the ejected ones out, unless all are: then they count as if none were.
fn leave_out(candidates: &mut Vec<Candidate>, is_ejected: impl Fn(u32) -> bool) {
    if candidates.iter().any(|candidate| !is_ejected(candidate.backend)) {
        candidates.retain(|candidate| !is_ejected(candidate.backend));
    }
}

fn nodes(backends: &[Arc<Backend>]) -> Vec<(u64, u32)> {
    let mut nodes: Vec<_> = backends.iter().map(|backend| backend.node).zip(0..).collect();
    nodes.sort_unstable();
    nodes
}

fn owners(backends: &[Standing]) -> Vec<Option<u32>> {
    let last = backends.iter().map(|standing| standing.owner).max().unwrap_or(0);
    let mut owners = vec![None; last as usize + 1];
    for (standing, i) in backends.iter().zip(0..) {
        owners[standing.owner as usize] = Some(i);
    }
    owners
}
