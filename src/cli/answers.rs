//! The answers of the admin API as the command line reads them. A field that a proxy does not send is left out, so that
//! one of another version can be looked at too.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::Failure;

/// A running proxy.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) version: Option<String>,
    pub(super) uptime_seconds: Option<f64>,
    pub(super) generation: Option<u64>,
    pub(super) connections: Option<u64>,
    pub(super) reload: Option<LastReload>,
    pub(super) state: Option<Saved>,
    pub(super) pools: Vec<Pool>,
}

/// How the last reload went.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LastReload {
    pub(super) at: f64,
    pub(super) outcome: String,
    pub(super) problems: Vec<Value>,
}

/// What is kept over a restart.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Saved {
    pub(super) error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) mode: String,
    pub(super) balance: String,
    pub(super) sessions: u64,
    pub(super) capacity: u64,
    pub(super) waiting: u64,
    pub(super) panicking: bool,
    pub(super) backends: Vec<Backend>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Backend {
    pub(super) name: String,
    pub(super) weight: Option<u32>,
    pub(super) state: String,
    pub(super) health: String,
    pub(super) health_reason: Option<String>,
    pub(super) health_since: Option<f64>,
    pub(super) outlier: bool,
    pub(super) ejected_seconds_left: Option<f64>,
    pub(super) slow_start: Option<f64>,
    pub(super) sessions: u64,
    pub(super) connections: u64,
    pub(super) in_flight: u64,
    pub(super) requests_total: u64,
    pub(super) drain: Option<Drain>,
    /// In an answer to `drained`: nothing is left.
    pub(super) done: Option<bool>,
}

/// How far a backend is on its way out.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct Drain {
    pub(super) sessions: u64,
    pub(super) connections: u64,
    pub(super) in_flight: u64,
    pub(super) seconds_left: f64,
    pub(super) done: bool,
}

/// An answer in the shape it should have.
///
/// # Errors
/// It does not have it.
pub(super) fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, Failure> {
    let strange = |error| {
        Failure::Unreachable(format!(
            "the answer cannot be understood: {error}\nis the proxy of another version than this command?"
        ))
    };
    T::deserialize(answer).map_err(strange)
}
