//! Stopping: what is under way may finish, tunnels are closed politely near the end, and the end is kept.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "shutdown/process.rs"]
mod process;
#[path = "shutdown/server.rs"]
mod server;
