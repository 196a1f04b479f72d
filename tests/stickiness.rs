//! Where requests go: balancing, session keys, the session table, learning, and one owner for each key.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "stickiness/balance.rs"]
mod balance;
#[path = "stickiness/bodies.rs"]
mod bodies;
#[path = "stickiness/cookie.rs"]
mod cookie;
#[path = "stickiness/keys.rs"]
mod keys;
#[path = "stickiness/learning.rs"]
mod learning;
#[path = "stickiness/owner.rs"]
mod owner;
#[path = "stickiness/table.rs"]
mod table;
