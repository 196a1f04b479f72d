//! The PROXY header that a load balancer puts before a client's octets (HAProxy's `proxy-protocol.txt`): read to its
//! last octet, and no further.

use std::io;
use std::net::SocketAddr;

use ppp::v2::{Addresses, Command};
use ppp::{HeaderResult, v1};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Octets of the shortest header that names nobody, in either version: none begins with fewer.
const LEAST: usize = 15;
/// Octets of the longest line of version 1 (§2.1).
const LONGEST_LINE: usize = 107;
/// Octets of a version 2 header before its addresses (§2.2).
const FIXED: usize = 16;
/// Octets of the longest version 2 header that is read, for one with certificates in its TLVs.
const LONGEST: usize = 4096;
/// How version 2 begins (§2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Whom a header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A client, and where it connected to.
    Client {
        /// The client.
        peer: SocketAddr,
        /// Where it connected to.
        local: SocketAddr,
    },
    /// Nobody: the connection is the load balancer's own, or of a kind that has no addresses.
    Nobody,
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The connection broke, or ended before.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else came.
    #[error("it does not begin with a PROXY header")]
    Missing,
    /// It is not one by the specification.
    #[error("its PROXY header is malformed: {0}")]
    Malformed(String),
}

/// Reads the header that `stream` begins with.
///
/// # Errors
/// There is none, or none that is well formed.
pub async fn read(stream: &mut TcpStream) -> Result<Named, HeaderError> {
    let mut header = vec![0; LEAST];
    stream.read_exact(&mut header).await?;
    if header.starts_with(SIGNATURE) {
        read_binary(stream, &mut header).await?;
    } else if header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        read_line(stream, &mut header).await?;
    } else {
        return Err(HeaderError::Missing);
    }
    parse(&header)
}

/// Whom a whole header names.
///
/// # Errors
/// It is not well formed.
pub fn parse(header: &[u8]) -> Result<Named, HeaderError> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(ip) => {
                client((ip.source_address, ip.source_port), (ip.destination_address, ip.destination_port))
            }
            v1::Addresses::Tcp6(ip) => {
                client((ip.source_address, ip.source_port), (ip.destination_address, ip.destination_port))
            }
            v1::Addresses::Unknown => Named::Nobody,
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            (Command::Proxy, Addresses::IPv4(ip)) => {
                client((ip.source_address, ip.source_port), (ip.destination_address, ip.destination_port))
            }
            (Command::Proxy, Addresses::IPv6(ip)) => {
                client((ip.source_address, ip.source_port), (ip.destination_address, ip.destination_port))
            }
            _ => Named::Nobody,
        }),
        HeaderResult::V1(Err(error)) => Err(HeaderError::Malformed(error.to_string())),
        HeaderResult::V2(Err(error)) => Err(HeaderError::Malformed(error.to_string())),
    }
}

fn client(peer: impl Into<SocketAddr>, local: impl Into<SocketAddr>) -> Named {
    Named::Client { peer: peer.into(), local: local.into() }
}

/// Reads up to the end of the line: what was looked at and has no end belongs to it.
async fn read_line(stream: &mut TcpStream, line: &mut Vec<u8>) -> Result<(), HeaderError> {
    let mut ahead = [0; LONGEST_LINE];
    while !line.ends_with(b"\r\n") {
        let room = LONGEST_LINE - line.len();
        if room == 0 {
            return Err(HeaderError::Malformed("the line does not end".to_owned()));
        }
        let seen = stream.peek(&mut ahead[..room]).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let end = ahead[..seen].iter().position(|&octet| octet == b'\n').map_or(seen, |at| at + 1);
        let from = line.len();
        line.resize(from + end, 0);
        stream.read_exact(&mut line[from..]).await?;
        if line.ends_with(b"\n") && !line.ends_with(b"\r\n") {
            return Err(HeaderError::Malformed("the line ends without CR".to_owned()));
        }
    }
    Ok(())
}

async fn read_binary(stream: &mut TcpStream, header: &mut Vec<u8>) -> Result<(), HeaderError> {
    header.resize(FIXED, 0);
    stream.read_exact(&mut header[LEAST..]).await?;
    let length = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
    if FIXED + length > LONGEST {
        return Err(HeaderError::Malformed(format!("longer than {LONGEST} octets")));
    }
    header.resize(FIXED + length, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    Ok(())
}
