//! HTTP/1.1 (RFC 9112) by the proxy's own hand, on both sides: with backends (`backend`) and with clients ([`client`]).
//!
//! Both sides are alike: a connection belongs to whoever uses it, who reads and writes the socket itself. There is no task
//! that drives it and no channel to one. Octets are parsed by `httparse`; what frames a message is read strictly, for what
//! is taken for the end of one decides whose the next octets are.

pub(super) mod backend;
mod chunked;
pub mod client;
mod fault;
mod fields;
mod filling;
mod outbox;

pub use fault::{Fault, Nonsense};
