//! The PROXY header before a client's octets (HAProxy's `proxy-protocol.txt`), who may send one, and how many
//! connections there may be from one address and at one listener.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "proxy_protocol/connections.rs"]
mod connections;
#[path = "proxy_protocol/header.rs"]
mod header;
#[path = "proxy_protocol/peers.rs"]
mod peers;

use support::{Backend, Setup};

const TRUSTED: &str = "trusted_proxies = [\"127.0.0.0/8\"]";

/// A listener that wants the header, of which this machine is trusted to send one.
fn wanting(backends: &[&Backend]) -> Setup {
    Setup::of(backends).top(TRUSTED).listener("proxy_protocol = true")
}

/// A header of version 2 (§2.2).
fn binary(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[version_and_command, family][..], &length, rest].concat()
}

/// Addresses and ports of TCP over IPv4, and what follows them.
fn over_ipv4(client: [u8; 4], more: &[u8]) -> Vec<u8> {
    binary(0x21, 0x11, &[&client[..], &[10, 0, 0, 9], &[0x1f, 0x90], &[1, 187], more].concat())
}
