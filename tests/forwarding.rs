//! What a request becomes on its way to a backend, and a response on its way back, octet by octet.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "forwarding/aborts.rs"]
mod aborts;
#[path = "forwarding/errors.rs"]
mod errors;
#[path = "forwarding/fields.rs"]
mod fields;
#[path = "forwarding/framing.rs"]
mod framing;
#[path = "forwarding/identity.rs"]
mod identity;
#[path = "forwarding/interim.rs"]
mod interim;
#[path = "forwarding/responses.rs"]
mod responses;
#[path = "forwarding/reuse.rs"]
mod reuse;
#[path = "forwarding/streaming.rs"]
mod streaming;
#[path = "forwarding/targets.rs"]
mod targets;
