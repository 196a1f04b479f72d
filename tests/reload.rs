//! Another configuration in force while traffic runs: what a plan foretells, listeners that come and go, files that are
//! watched.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "reload/listeners.rs"]
mod listeners;
#[path = "reload/load.rs"]
mod load;
#[path = "reload/plan.rs"]
mod plan;
#[path = "reload/systemd.rs"]
mod systemd;
#[path = "reload/watching.rs"]
mod watching;

use homing::server::{Plan, ReloadError, Reloaded};
use serde_json::Value;

use crate::support::process::File;
use crate::support::{Backend, Proxy, Setup};

/// A proxy and the file it reads again.
struct Filed {
    file: File,
    proxy: Proxy,
}

impl Filed {
    #[track_caller]
    fn start(toml: &str) -> Self {
        let file = File::with(toml);
        Self { proxy: Proxy::of_file(&file.0), file }
    }

    fn write(&self, toml: &str) -> &Self {
        std::fs::write(&self.file.0, toml).unwrap();
        self
    }

    #[track_caller]
    fn reload(&self) -> Reloaded {
        self.try_reload().unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_reload(&self) -> Result<Reloaded, ReloadError> {
        self.proxy.control().reload("api")
    }

    #[track_caller]
    fn plan(&self) -> Plan {
        self.proxy.control().plan().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Who serves a key.
    #[track_caller]
    fn home(&self, key: impl std::fmt::Display) -> String {
        let response = self.proxy.get("/", &[&format!("x-room: {key}")]);
        assert_eq!(response.status, 200, "{response:?}");
        response.text()
    }

    /// What the journal says of reloads.
    fn noted(&self) -> Vec<Value> {
        let (kept, _) = self.proxy.control().journal().follow();
        let all = kept.iter().map(|entry| serde_json::to_value(&**entry).unwrap());
        all.filter(|entry| entry["kind"] == "reload").collect()
    }
}

/// Sticky by a header, with these backends.
fn setup(backends: &[&Backend]) -> Setup {
    Setup::of(backends).server("workers = 2").sticky("\"header:x-room\"")
}
