//! What ties a request to a backend: session keys, where they are found, and what remembers their
//! owners: the session table, or a sealed cookie of the client's.

pub mod body;
mod jwt;
mod learn;
mod recent;
mod sealed;
mod source;
pub mod table;

use std::borrow::Cow;
use std::net::IpAddr;

use http::Uri;

use crate::config::KeySource;
use crate::headers::Fields;

pub use learn::{Taught, taught};
pub use recent::Recent;
pub use sealed::{Opened, Reason, Sealer, Ticket};
pub use source::extract;
pub use table::SessionTable;

/// The bytes that identify a session or room, and where they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey<'r, 's> {
    /// The key itself, percent-decoded where it came from a path or query. Never empty.
    pub bytes: Cow<'r, [u8]>,
    /// The source that yielded it.
    pub source: &'s KeySource,
}

/// What a decision may look at in a request.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Host of the request without its port, lower case; empty where a request has none.
    pub host: &'a str,
    /// The request target.
    pub uri: &'a Uri,
    /// All header fields.
    pub headers: &'a Fields,
    /// The client, behind trusted proxies the one they name.
    pub client_ip: IpAddr,
    /// The server name of the client's TLS handshake, lower case.
    pub sni: Option<&'a str>,
}

/// The first key present in a request, by the order of `sources`.
pub fn session_key<'r, 's>(sources: &'s [KeySource], facts: &Facts<'r>) -> Option<SessionKey<'r, 's>> {
    sources.iter().find_map(|source| extract(source, facts).map(|bytes| SessionKey { bytes, source }))
}
