//! Certificates, keys and authorities whose files change: read again, and put in force if all of them are right.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::config::{ClientTls, Config, ServerTls};

/// The files as they were when they were last read.
#[derive(Debug, Default)]
pub(super) struct Files(HashMap<PathBuf, Stamp>);

/// What tells one state of a file from another without reading it; none where it cannot be looked at.
type Stamp = Option<(SystemTime, u64)>;

/// What came of a look at the files.
#[derive(Debug)]
pub(super) enum Found {
    /// They say what they said before.
    Nothing,
    /// They are others now.
    New(Box<Config>),
    /// One is wrong now.
    Wrong(String),
}

impl Files {
    /// Reads the files that `config` names again, if one of them has changed since the last look. Blocks.
    pub(super) fn look(&mut self, config: &Config) -> Found {
        let now: HashMap<PathBuf, Stamp> = files(config).map(|path| (path.to_owned(), stamp(path))).collect();
        if now == self.0 {
            return Found::Nothing;
        }
        self.0 = now;
        match again(config) {
            Ok(new) if speaks_alike(&new, config) => Found::Nothing,
            Ok(new) => Found::New(Box::new(new)),
            Err(why) => Found::Wrong(why),
        }
    }
}

fn files(config: &Config) -> impl Iterator<Item = &Path> {
    let servers = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let clients = config.pools.iter().filter_map(|pool| pool.tls.as_ref());
    servers.flat_map(ServerTls::files).chain(clients.flat_map(ClientTls::files))
}

fn stamp(path: &Path) -> Stamp {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

/// Whether two states of one configuration have the same certificates.
fn speaks_alike(one: &Config, other: &Config) -> bool {
    let listeners = one.listeners.iter().zip(&other.listeners).all(|(a, b)| a.tls == b.tls);
    listeners && one.pools.iter().zip(&other.pools).all(|(a, b)| a.tls == b.tls)
}

fn again(config: &Config) -> Result<Config, String> {
    let mut new = config.clone();
    for tls in new.listeners.iter_mut().filter_map(|listener| listener.tls.as_mut()) {
        *tls = tls.again()?;
    }
    for tls in new.pools.iter_mut().filter_map(|pool| pool.tls.as_mut()) {
        *tls = tls.again()?;
    }
    Ok(new)
}
