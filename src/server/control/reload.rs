//! Putting another configuration in force: a new one, changed certificates, and when what has left is forgotten.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::task::spawn_blocking;

use super::{Control, InForce};
use crate::config::{self, Config};
use crate::server::certificates::{Files, Found};
use crate::server::doors::NotOpened;
use crate::snapshot::Snapshot;
use crate::telemetry::Event;

/// Why a configuration was not put in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Others are being put in force at this moment.
    #[error("too many changes at one time")]
    Busy,
    /// The address of a new listener cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address as configured.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl From<NotOpened> for ApplyError {
    fn from(why: NotOpened) -> Self {
        match why {
            NotOpened::Busy => Self::Busy,
            NotOpened::Bind { address, source } => Self::Bind { address, source },
        }
    }
}

impl Control {
    /// Puts the listeners, pools, routes and limits of `config` in force; pools and backends of the same name, and
    /// listeners of the same address, keep what they have. Workers, the admin listener and logging stay as they were at
    /// the start.
    ///
    /// # Errors
    /// A new listener's address cannot be bound, or too many configurations come at one time; then nothing has changed.
    pub fn apply(&self, config: &Config) -> Result<(), ApplyError> {
        let mut current = self.current();
        self.put_in_force(config)?;
        self.warn_of(config);
        current.replace(config.clone());
        Ok(())
    }

    /// Says what of a configuration counts only after the next start, and which backends could be anybody.
    pub(super) fn warn_of(&self, config: &Config) {
        crate::server::warn_of_unverified(config);
        for what in config::at_next_start(&self.started, config) {
            tracing::warn!(what, "changed in the file; takes effect at the next start");
        }
    }

    fn put_in_force(&self, config: &Config) -> Result<(), ApplyError> {
        let permit = self.applied.try_reserve().map_err(|_| ApplyError::Busy)?;
        let (before, now) = (self.core.snapshot(), self.core.clock.now());
        let prepared = self.doors.prepare(config, Some(&before))?;
        let snapshot = Arc::new(Snapshot::build(config, Some(&before), self.workers, now));
        self.core.replace(snapshot.clone());
        prepared.carry_out(Some(&before), &snapshot);
        snapshot.pools.iter().for_each(|pool| pool.shared.changed());
        permit.send(snapshot);
        Ok(())
    }

    /// Lets go of what has left: ends the bindings of backends whose time is over, and forgets removed ones of which
    /// nothing is left. Meant to be called each second.
    pub(super) fn tidy(&self) {
        let (snapshot, now) = (self.core.snapshot(), self.core.clock.now());
        for pool in &snapshot.pools {
            pool.backends.iter().for_each(|backend| pool.end_if_over(backend, now));
        }
        if snapshot.pools.iter().any(|pool| pool.has_forgettable(now)) {
            let current = self.current();
            // Too busy now: the next second will do.
            let _ = self.put_in_force(&current.config);
        }
    }

    /// Certificates are renewed while a proxy runs: what their files say now counts, unless one of them is wrong.
    pub(super) async fn renew_certificates(&self, mut files: Files) -> Files {
        let (config, edition) = {
            let current = self.current();
            (current.config.clone(), current.edition)
        };
        let looked = spawn_blocking(move || {
            let found = files.look(&config);
            (files, found)
        });
        // It does not panic; were it to, the files would be looked at anew.
        let Ok((files, found)) = looked.await else { return Files::default() };
        match found {
            Found::Nothing => {}
            Found::New(new) => {
                let mut current = self.current();
                // Another configuration came meanwhile, or too many at once: the next second will do.
                if current.edition != edition || self.put_in_force(&new).is_err() {
                    return Files::default();
                }
                current.replace(*new);
                tracing::info!("certificates renewed");
                self.note_certificates("renewed", None);
            }
            Found::Wrong(why) => {
                tracing::error!(why, "certificates not renewed: the former ones stay");
                self.note_certificates("failed", Some(why));
            }
        }
        files
    }

    fn note_certificates(&self, outcome: &'static str, error: Option<String>) {
        self.core.journal.note(self.core.clock.now(), Event::Certificates { outcome, error });
    }

    pub(super) fn current(&self) -> MutexGuard<'_, InForce> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
