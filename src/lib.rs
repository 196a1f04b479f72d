//! Homing: a reverse proxy and load balancer that brings every session home, to the backend that holds its state.
//!
//! The binary's commands are in [`cli`]. To run a proxy inside another program, make a [`config::Config`] and start a
//! [`server::Server`] with it. ARCHITECTURE.md tells the journey of a request.

pub mod admin;
pub mod affinity;
pub mod backend;
pub mod balance;
pub mod cli;
pub mod clock;
mod columns;
pub mod config;
pub mod demo;
pub mod explain;
pub mod headers;
pub mod health;
pub mod listener;
pub mod path;
pub mod pool;
mod proxy;
pub mod route;
pub mod server;
pub mod simulate;
pub mod snapshot;
pub mod stable_hash;
pub mod state;
pub mod tally;
pub mod telemetry;
pub mod transport;
pub mod watch;
