//! TLS with clients: which certificate they see, which protocol is spoken, what their own certificates say, and what
//! happens to those who speak it slowly or not at all.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::type_complexity, reason = "tables of cases")]

mod support;

#[path = "tls/clients.rs"]
mod clients;
#[path = "tls/handshake.rs"]
mod handshake;
#[path = "tls/traffic.rs"]
mod traffic;

use support::authority::Issued;
use support::{Backend, Proxy, Setup};

/// The listener that shows these certificates.
fn showing(identities: &[&Issued]) -> String {
    let one = |issued: &&Issued| {
        format!("{{ cert = '{}', key = '{}' }}", issued.cert.display(), issued.key.display())
    };
    format!("tls = [{}]\n", identities.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// A proxy that speaks TLS, with every default.
fn secure(backend: &Backend, identity: &Issued) -> Proxy {
    Setup::of(&[backend]).listener(&showing(&[identity])).start()
}
