//! Reading the file again that the configuration came from: what it would change, doing it, and telling what came of it.

use std::sync::PoisonError;

use serde::Serialize;

use super::plan::{Plan, Running};
use super::watch_file::Stamp;
use super::{ApplyError, Control};
use crate::config::{Config, Errors, Problem};
use crate::telemetry::Event;

/// Why a file was not read again.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The proxy was not started from a file.
    #[error("the configuration did not come from a file")]
    NoFile,
    /// The configuration in force says that this way of asking is off.
    #[error("this is turned off by {0}")]
    Off(&'static str),
    /// The file is wrong; nothing has changed.
    #[error("{0}")]
    Invalid(#[from] Errors),
    /// It was not put in force; nothing has changed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// A file that was read again.
#[derive(Debug, Clone, Serialize)]
pub struct Reloaded {
    /// The generation in force since.
    pub generation: u64,
    /// What has changed.
    pub changes: Plan,
}

/// What came of reading the file again the last time.
#[derive(Debug, Clone, Serialize)]
pub struct LastReload {
    /// Unix time in seconds.
    pub at: f64,
    /// `applied`, `refused` or `unchanged`.
    pub outcome: &'static str,
    /// Who wanted it: `signal`, `api` or `file`.
    pub by: &'static str,
    /// Why it was refused.
    pub error: Option<String>,
    /// What is wrong with the file.
    pub problems: Vec<Problem>,
}

impl Control {
    /// Reads the file again that the configuration came from, and puts it in force. What came of it is logged, noted in
    /// the journal, and kept. `by` says who wants it: `signal`, `api` or `file`. Blocks for as long as reading takes.
    ///
    /// # Errors
    /// The file is wrong or cannot be put in force, and then nothing has changed; or there is none.
    pub fn reload(&self, by: &'static str) -> Result<Reloaded, ReloadError> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = self.turned_off(by) {
            tracing::warn!(by, key, "not reloaded: this is turned off");
            return Err(ReloadError::Off(key));
        }
        let outcome = self.read_again();
        if !matches!(outcome, Err(ReloadError::NoFile)) {
            self.tell(by, &outcome);
        }
        outcome
    }

    /// What reading the file again would change. Nothing is changed, nor noted. Blocks for as long as reading takes.
    ///
    /// # Errors
    /// The file is wrong, or there is none.
    pub fn plan(&self) -> Result<Plan, ReloadError> {
        Ok(self.changes(&self.load()?))
    }

    /// The key that turns off what `by` asks for.
    fn turned_off(&self, by: &str) -> Option<&'static str> {
        let current = self.current();
        let by_api = current.config.admin.as_ref().is_none_or(|admin| admin.reload);
        match by {
            "signal" if !current.config.server.reload_on_signal => Some("server.reload_on_signal"),
            "api" if !by_api => Some("admin.reload"),
            _ => None,
        }
    }

    fn read_again(&self) -> Result<Reloaded, ReloadError> {
        // Looked at before it is read: what comes between is a change.
        let stamp = self.source.as_deref().and_then(Stamp::of);
        self.current().read = stamp;
        let config = self.load()?;
        let changes = self.changes(&config);
        if changes.unchanged {
            self.warn_of(&config);
        } else {
            self.apply(&config)?;
        }
        Ok(Reloaded { generation: self.core.generation(), changes })
    }

    fn load(&self) -> Result<Config, ReloadError> {
        let path = self.source.as_deref().ok_or(ReloadError::NoFile)?;
        Ok(Config::load(path)?)
    }

    fn changes(&self, config: &Config) -> Plan {
        let (before, snapshot) = (self.current().config.clone(), self.core.snapshot());
        let now = self.core.clock.now();
        Plan::of(config, &Running { started: &self.started, config: &before, snapshot: &snapshot, now })
    }

    fn tell(&self, by: &'static str, outcome: &Result<Reloaded, ReloadError>) {
        let file = self.source.as_deref().map(|path| path.display().to_string());
        let (word, error, problems) = match outcome {
            Ok(Reloaded { changes, .. }) if changes.unchanged => {
                tracing::info!(file, by, "reloaded: it says what it said before");
                ("unchanged", None, Vec::new())
            }
            Ok(Reloaded { generation, .. }) => {
                tracing::info!(file, by, generation, "reloaded");
                ("applied", None, Vec::new())
            }
            Err(ReloadError::Invalid(errors)) => {
                log_problems(errors);
                ("refused", Some("the file is wrong".to_owned()), errors.problems().to_vec())
            }
            Err(error) => {
                tracing::error!(file, by, %error, "not reloaded");
                ("refused", Some(error.to_string()), Vec::new())
            }
        };
        let (now, generation) = (self.core.clock.now(), self.core.generation());
        let at = now.micros() as f64 / 1e6;
        self.current().last =
            Some(LastReload { at, outcome: word, by, error: error.clone(), problems: problems.clone() });
        self.core.journal.note(now, Event::Reload { outcome: word, by, generation, error, problems });
    }
}

fn log_problems(errors: &Errors) {
    for Problem { line, key, message, help, .. } in errors.problems() {
        let (file, help) = (errors.origin(), help.as_deref());
        tracing::error!(file, line, key, help, "not reloaded: {message}");
    }
}
