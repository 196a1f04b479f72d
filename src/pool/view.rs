//! What one worker knows of a pool at one generation: who may take what. Rebuilt when health changes, so that
//! a decision reads no shared memory but the generation number.

use std::net::SocketAddr;

use super::{Affinity, Pool};
use crate::backend::Health;
use crate::balance::{Balancer, Candidate};
use crate::config::Balance;

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
}

/// Candidates and the policy that chooses among them.
#[derive(Debug)]
pub(super) struct Chooser {
    pub(super) candidates: Vec<Candidate>,
    pub(super) balancer: Balancer,
}

#[derive(Debug)]
struct Standing {
    health: Health,
    address: Option<SocketAddr>,
    owner: u32,
}

impl View {
    /// Reads the live state of `pool`. O(backends). Differing `seed`s keep workers from choosing in step.
    pub fn new(pool: &Pool, seed: u64) -> Self {
        let generation = pool.shared.generation();
        let backends: Vec<Standing> =
            pool.backends.iter().map(|backend| Standing::read(&backend.state)).collect();
        let hashing = matches!(pool.affinity, Affinity::Hash { .. });
        let keyless_policy = match pool.affinity {
            Affinity::None => pool.balance,
            Affinity::Hash { .. } | Affinity::Table { .. } => Balance::RoundRobin,
        };
        Self {
            generation,
            placer: Chooser::new(pool, &backends, Suspects::include_if(hashing), pool.balance, seed),
            keyless: Chooser::new(pool, &backends, Suspects::LastResort, keyless_policy, seed),
            owners: owners(&backends),
            backends,
        }
    }

    /// Observed health of a backend, by its position in the pool.
    pub fn health(&self, backend: u32) -> Health {
        self.backends.get(backend as usize).map_or(Health::Down, |standing| standing.health)
    }

    /// Where to dial a backend.
    pub fn address(&self, backend: u32) -> Option<SocketAddr> {
        self.backends.get(backend as usize)?.address
    }

    /// The number under which the session table knows a backend.
    pub fn owner(&self, backend: u32) -> u32 {
        self.backends.get(backend as usize).map_or(u32::MAX, |standing| standing.owner)
    }

    /// The backend an owner number stands for, unless it is gone or down.
    pub fn keeper(&self, owner: u32) -> Option<u32> {
        let backend = self.owners.get(owner as usize).copied().flatten()?;
        (self.health(backend) != Health::Down).then_some(backend)
    }

    /// Backends that may take a key without a binding.
    pub fn candidates(&self) -> &[Candidate] {
        &self.placer.candidates
    }
}

impl Standing {
    fn read(state: &crate::backend::State) -> Self {
        Self { health: state.health(), address: state.address(), owner: state.owner() }
    }
}

/// What suspect backends are good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Suspects {
    /// New work only where no other backend can take it.
    LastResort,
    /// As good as any: hashing has no memory, so leaving one out would move its keys.
    Included,
}

impl Suspects {
    fn include_if(included: bool) -> Self {
        if included { Self::Included } else { Self::LastResort }
    }
}

impl Chooser {
    fn new(pool: &Pool, backends: &[Standing], suspects: Suspects, policy: Balance, seed: u64) -> Self {
        let of = |wanted: &[Health]| -> Vec<Candidate> {
            let all = pool.backends.iter().zip(backends).zip(0..);
            all.filter(|((backend, now), _)| backend.weight > 0 && wanted.contains(&now.health))
                .map(|((backend, _), i)| Candidate { backend: i, weight: backend.weight, node: backend.node })
                .collect()
        };
        let mut candidates = match suspects {
            Suspects::Included => of(&[Health::Up, Health::Suspect]),
            Suspects::LastResort => of(&[Health::Up]),
        };
        if candidates.is_empty() {
            candidates = of(&[Health::Suspect]);
        }
        Self { balancer: Balancer::new(policy, &candidates, seed, pool.hash_table.clone()), candidates }
    }
}

fn owners(backends: &[Standing]) -> Vec<Option<u32>> {
    let last = backends.iter().map(|standing| standing.owner).max().unwrap_or(0);
    let mut owners = vec![None; last as usize + 1];
    for (standing, i) in backends.iter().zip(0..) {
        owners[standing.owner as usize] = Some(i);
    }
    owners
}
