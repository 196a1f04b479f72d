//! The header of the PROXY protocol that a connection to a backend begins with: whom the connection is for.
//! What clients' proxies say of them is not read here.

use std::net::{IpAddr, SocketAddr};

use ppp::v2::{self, Command, Protocol, Version};
use ppp::{v1, v2::Builder};

use crate::config::ProxyProtocol;

/// Whom a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introduction {
    /// Nobody but the proxy: a health check.
    Proxy,
    /// A client.
    Client {
        /// Its end of its connection.
        source: SocketAddr,
        /// The end that it connected to.
        destination: SocketAddr,
    },
}

impl Introduction {
    /// The header, empty where there is to be none.
    pub(super) fn octets(self, version: ProxyProtocol) -> Vec<u8> {
        match version {
            ProxyProtocol::None => Vec::new(),
            ProxyProtocol::V1 => self.line().into_bytes(),
            ProxyProtocol::V2 => self.binary(),
        }
    }

    /// Version 1: a line of text.
    fn line(self) -> String {
        let addresses = match self {
            Self::Proxy => v1::Addresses::Unknown,
            Self::Client { source, destination } => pair(source, destination).into(),
        };
        addresses.to_string()
    }

    /// Version 2. A connection of the proxy's own is `LOCAL`, and has no addresses.
    fn binary(self) -> Vec<u8> {
        let header = match self {
            Self::Proxy => Builder::new(Version::Two | Command::Local, 0),
            Self::Client { source, destination } => {
                let addresses: v2::Addresses = pair(source, destination).into();
                Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, addresses)
            }
        };
        // Fails for headers longer than 64 KiB only.
        header.build().unwrap_or_default()
    }
}

/// Both as addresses of one family: where one is IPv4 only and the other is not, both are written as IPv6.
fn pair(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (source, destination) = (plain(source), plain(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let wide = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    (wide(source), wide(destination))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(source: &str, destination: &str) -> Introduction {
        let address = |text: &str| text.parse().expect("an address");
        Introduction::Client { source: address(source), destination: address(destination) }
    }

    fn line(introduction: Introduction) -> String {
        String::from_utf8(introduction.octets(ProxyProtocol::V1)).expect("text")
    }

    #[test]
    fn the_line_of_version_1() {
        assert_eq!(
            line(client("192.0.2.1:50000", "198.51.100.7:443")),
            "PROXY TCP4 192.0.2.1 198.51.100.7 50000 443\r\n"
        );
        assert_eq!(
            line(client("[2001:db8::1]:1", "[2001:db8::2]:2")),
            "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"
        );
        assert_eq!(line(Introduction::Proxy), "PROXY UNKNOWN\r\n");
    }

    #[test]
    fn mapped_addresses_are_those_they_stand_for_and_families_agree() {
        assert_eq!(
            line(client("[::ffff:192.0.2.1]:1", "198.51.100.7:2")),
            "PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\n"
        );
        assert_eq!(
            line(client("192.0.2.1:1", "[2001:db8::2]:2")),
            "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n"
        );
    }

    #[test]
    fn the_octets_of_version_2() {
        const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
        let v4 = client("192.0.2.1:50000", "198.51.100.7:443").octets(ProxyProtocol::V2);
        let rest = [0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 7, 0xc3, 0x50, 1, 0xbb];
        assert_eq!(v4, [SIGNATURE, &rest].concat());
        let v6 = client("[2001:db8::1]:1", "[2001:db8::2]:2").octets(ProxyProtocol::V2);
        assert_eq!((&v6[..12], &v6[12..16], v6.len()), (SIGNATURE, &[0x21, 0x21, 0, 36][..], 52));
        assert_eq!(Introduction::Proxy.octets(ProxyProtocol::V2), [SIGNATURE, &[0x20, 0, 0, 0]].concat());
        assert!(client("192.0.2.1:1", "192.0.2.2:2").octets(ProxyProtocol::None).is_empty());
    }
}
