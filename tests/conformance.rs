//! Conformance: raw octets to the real proxy, raw octets recorded behind it, and for each case the section of an RFC or
//! the CVE that says what must hold.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "conformance/backend.rs"]
mod backend;
#[path = "conformance/front.rs"]
mod front;
#[path = "conformance/http1/mod.rs"]
mod http1;
#[path = "conformance/octets.rs"]
mod octets;
#[path = "conformance/strict.rs"]
mod strict;
