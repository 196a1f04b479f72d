//! Changes of a fleet, as they are written on the command line, and how a configuration takes them.

use std::fmt;

use super::{Error, Plan, wrong};
use crate::config::{self, Address, Balance, Config, Mode, Wanted, did_you_mean};

/// One change of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Another backend.
    Add {
        /// Its name.
        name: String,
        /// Where it would listen; nobody goes there.
        address: Address,
        /// Its weight.
        weight: u32,
    },
    /// A backend is taken out of the file.
    Remove(String),
    /// A backend gets another weight.
    Weight {
        /// Its name.
        name: String,
        /// The new one.
        weight: u32,
    },
    /// A backend drains.
    Drain(String),
    /// A backend is down.
    Down(String),
    /// The pool gets another policy.
    Policy(Balance),
}

/// An address that leads nowhere (RFC 5737), for backends added without one.
const NO_ADDRESS: &str = "192.0.2.1:80";
/// The largest weight, as in the file.
const MOST_WEIGHT: u32 = 65_535;

impl Change {
    /// Reads `NAME[=ADDRESS][*WEIGHT]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add(text: &str) -> Result<Self, String> {
        let (rest, weight) = match text.rsplit_once('*') {
            Some((rest, weight)) => (rest, number(weight)?),
            None => (text, 1),
        };
        let (name, address) = rest.split_once('=').map_or((rest, None), |(name, at)| (name, Some(at)));
        let address = match address {
            Some(address) => address.parse()?,
            // A backend without a name is called by its address.
            None => name.parse().or_else(|_| NO_ADDRESS.parse())?,
        };
        Ok(Self::Add { name: named(name)?, address, weight })
    }

    /// Reads `NAME=N`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn weight(text: &str) -> Result<Self, String> {
        let (name, weight) = text.rsplit_once('=').ok_or("write NAME=N")?;
        Ok(Self::Weight { name: named(name)?, weight: number(weight)? })
    }

    /// Reads the name of a policy.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn policy(text: &str) -> Result<Self, String> {
        let found = Balance::WORDS.iter().find(|(word, _)| *word == text);
        let words = || Balance::WORDS.iter().map(|(word, _)| *word);
        found.map(|(_, policy)| Self::Policy(*policy)).ok_or_else(|| unknown("policy", text, words()))
    }
}

fn named(name: &str) -> Result<String, String> {
    if name.is_empty() { Err("write the backend's name".into()) } else { Ok(name.to_owned()) }
}

fn number(text: &str) -> Result<u32, String> {
    let weight = text.parse().ok().filter(|weight| *weight <= MOST_WEIGHT);
    weight.ok_or_else(|| format!("{text:?} is not a weight from 0 to {MOST_WEIGHT}"))
}

/// Says that something is not there, and what may have been meant.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    let near = did_you_mean(name, known.iter().copied());
    let help = near.unwrap_or_else(|| format!("there is {}", shorten(&known)));
    format!("there is no {what} {name:?}: {help}")
}

fn shorten(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown}, …") } else { shown }
}

/// The configuration after all changes, and the names of the backends that are down.
pub(super) fn apply(plan: &Plan<'_>) -> Result<(Config, Vec<String>), Error> {
    let (mut config, mut down) = (plan.config.clone(), Vec::new());
    let Some(pool) = config.pools.get_mut(plan.pool) else { return wrong("there is no such pool") };
    for change in plan.changes {
        make(pool, change, &mut down)?;
    }
    check(pool)?;
    Ok((config, down))
}

fn make(pool: &mut config::Pool, change: &Change, down: &mut Vec<String>) -> Result<(), Error> {
    match change {
        Change::Add { name, .. } if position(pool, name).is_ok() => {
            return wrong(&format!("there is a backend {name:?} already"));
        }
        Change::Add { name, address, weight } => pool.backends.push(config::Backend {
            name: name.clone(),
            address: address.clone(),
            weight: *weight,
            state: Wanted::Ready,
            max_connections: 0,
            max_sessions: 0,
        }),
        Change::Remove(name) => drop(pool.backends.remove(position(pool, name)?)),
        Change::Weight { name, weight } => backend(pool, name)?.weight = *weight,
        Change::Drain(name) => backend(pool, name)?.state = Wanted::Drain,
        Change::Down(name) => down.push(backend(pool, name)?.name.clone()),
        Change::Policy(policy) => pool.balance = *policy,
    }
    Ok(())
}

fn position(pool: &config::Pool, name: &str) -> Result<usize, Error> {
    let names = || pool.backends.iter().map(|backend| backend.name.as_str());
    names().position(|known| known == name).ok_or_else(|| Error::Change(unknown("backend", name, names())))
}

fn backend<'a>(pool: &'a mut config::Pool, name: &str) -> Result<&'a mut config::Backend, Error> {
    let at = position(pool, name)?;
    Ok(&mut pool.backends[at])
}

/// What the file's own checks would say of the pool.
fn check(pool: &config::Pool) -> Result<(), Error> {
    let sum: u64 = pool.backends.iter().map(|backend| u64::from(backend.weight)).sum();
    let is_hash = pool.sticky.as_ref().is_some_and(|sticky| matches!(sticky.mode, Mode::Hash));
    let policy = pool.balance;
    if sum == 0 {
        return wrong("no backend with a weight would be left");
    }
    if is_hash && !policy.hashes() {
        return wrong(&format!("\"{policy}\" does not hash, as `mode = \"hash\"` needs"));
    }
    if policy == Balance::RingHash && sum > Balance::MOST_RING_WEIGHT {
        let most = Balance::MOST_RING_WEIGHT;
        return wrong(&format!("\"ring_hash\" takes weights that sum to {most} at most, not to {sum}"));
    }
    Ok(())
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { name, weight: 1, .. } => write!(f, "add {name}"),
            Self::Add { name, weight, .. } => write!(f, "add {name} of weight {weight}"),
            Self::Remove(name) => write!(f, "remove {name}"),
            Self::Weight { name, weight } => write!(f, "weight of {name} to {weight}"),
            Self::Drain(name) => write!(f, "drain {name}"),
            Self::Down(name) => write!(f, "{name} down"),
            Self::Policy(policy) => write!(f, "balance by {policy}"),
        }
    }
}
