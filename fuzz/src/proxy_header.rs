//! The header of the PROXY protocol: nothing makes its reader panic, and what a header names is read as it was written.

use std::net::SocketAddr;

use homing::transport::proxy_header::{Named, parse};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

pub fn run(input: &[u8]) {
    let Ok(named) = parse(input) else { return };
    assert!(input.starts_with(SIGNATURE) || input.starts_with(b"PROXY"), "not a header");
    let Named::Client { peer, local } = named else { return };
    assert_eq!(peer.is_ipv4(), local.is_ipv4(), "both of one family");
    for header in [line(peer, local), binary(peer, local)] {
        let again = parse(&header).unwrap_or_else(|error| panic!("{error}: {}", header.escape_ascii()));
        assert_eq!(again, named, "{}", header.escape_ascii());
    }
}

/// In version 1.
fn line(peer: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let family = if peer.is_ipv4() { "TCP4" } else { "TCP6" };
    let ports = format!("{} {}", peer.port(), local.port());
    format!("PROXY {family} {} {} {ports}\r\n", peer.ip(), local.ip()).into_bytes()
}

/// In version 2.
fn binary(peer: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let octets = |address: SocketAddr| match address {
        SocketAddr::V4(address) => address.ip().octets().to_vec(),
        SocketAddr::V6(address) => address.ip().octets().to_vec(),
    };
    let ports = [peer.port().to_be_bytes(), local.port().to_be_bytes()].concat();
    let addresses = [octets(peer), octets(local), ports].concat();
    let family = if peer.is_ipv4() { 0x11 } else { 0x21 };
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x21, family], &length, &addresses].concat()
}
