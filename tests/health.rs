//! What backends' health does to traffic: checks, failed connects, and sessions whose backend is gone.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "health/bound.rs"]
mod bound;
#[path = "health/checks.rs"]
mod checks;
#[path = "health/passive.rs"]
mod passive;
