//! Putting another configuration in force: from the file, from changed certificates, and when what has left is forgotten.

use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::task::spawn_blocking;

use super::Control;
use crate::config::{Config, Errors, Problem};
use crate::server::certificates::{Files, Found};
use crate::snapshot::Snapshot;

/// Why a configuration was not put in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Others are being put in force at this moment.
    #[error("too many changes at one time")]
    Busy,
}

/// Why a file was not read again.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The proxy was not started from a file.
    #[error("the configuration did not come from a file")]
    NoFile,
    /// The file is wrong; nothing has changed.
    #[error("{0}")]
    Invalid(#[from] Errors),
    /// It was not put in force.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// Says what of a new configuration counts only after the next start.
fn warn_of_what_waits(before: &Config, now: &Config) {
    let told = |config: &Config| {
        let Config { server, log, listeners, limits, .. } = config;
        [
            ("listener", listeners.iter().map(|listener| listener.address.to_string()).collect()),
            ("log.level", log.level.clone()),
            ("log.format", format!("{:?}", log.format)),
            ("limits.connections", limits.connections.to_string()),
            ("server.workers", server.workers.to_string()),
        ]
    };
    let others = told(before).into_iter().zip(told(now));
    let changed = others.filter(|(before, now)| before != now).map(|((what, _), _)| what);
    // A token does not tell what it is, so this is compared and not shown.
    for what in changed.chain((before.admin != now.admin).then_some("admin")) {
        tracing::warn!(what, "changed in the file; takes effect at the next start");
    }
}

impl Control {
    /// Puts the pools, routes and limits of `config` in force; pools and backends of the same name keep their state.
    /// Listeners, workers and logging stay as they were at the start.
    ///
    /// # Errors
    /// Too many configurations at one time; then nothing has changed.
    pub fn apply(&self, config: &Config) -> Result<(), ApplyError> {
        let mut current = self.current();
        self.put_in_force(config)?;
        warn_of_what_waits(&current, config);
        super::super::warn_of_unverified(config);
        *current = config.clone();
        Ok(())
    }

    /// Reads the file again that the configuration came from, and puts it in force. What is wrong with it is logged.
    ///
    /// # Errors
    /// The file is wrong, and then nothing has changed; or there is none.
    pub fn reload(&self) -> Result<(), ReloadError> {
        let path = self.source.as_deref().ok_or(ReloadError::NoFile)?;
        let config = Config::load(path).inspect_err(|errors| {
            for problem in errors.problems() {
                let Problem { line, key, message, help, .. } = problem;
                let (file, help) = (errors.origin(), help.as_deref());
                tracing::error!(file, line, key, help, "not reloaded: {message}");
            }
        })?;
        self.apply(&config)?;
        tracing::info!(file = %path.display(), "reloaded");
        Ok(())
    }

    fn put_in_force(&self, config: &Config) -> Result<(), ApplyError> {
        let permit = self.applied.try_reserve().map_err(|_| ApplyError::Busy)?;
        let (before, now) = (self.core.snapshot(), self.core.clock.now());
        let snapshot = Arc::new(Snapshot::build(config, Some(&before), self.workers, now));
        self.core.replace(snapshot.clone());
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
            let _ = self.put_in_force(&current);
        }
    }

    /// Certificates are renewed while a proxy runs: what their files say now counts, unless one of them is wrong.
    pub(super) async fn renew_certificates(&self, mut files: Files) -> Files {
        let config = self.current().clone();
        let looked = spawn_blocking(move || {
            let found = files.look(&config);
            (files, found)
        });
        // It does not panic; were it to, the files would be looked at anew.
        let Ok((files, found)) = looked.await else { return Files::default() };
        match found {
            Found::Nothing => {}
            Found::New(new) => match self.put_in_force(&new) {
                Ok(()) => {
                    *self.current() = *new;
                    tracing::info!("certificates renewed");
                }
                // Too busy now: the next second will do.
                Err(ApplyError::Busy) => return Files::default(),
            },
            Found::Wrong(why) => tracing::error!(why, "certificates not renewed: the former ones stay"),
        }
        files
    }

    fn current(&self) -> MutexGuard<'_, Config> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
