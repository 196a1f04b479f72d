//! Addresses, networks, host patterns and paths as they are written in strings.
//! It resolves nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::uri::{Authority, PathAndQuery};
use ipnet::IpNet;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::report::Complaint;
use super::value::Outcome;
use super::{Address, HostPattern};
use crate::path::{Unclear, normalised, segments};

/// Longest DNS name, in octets.
const LONGEST_HOST: usize = 253;
/// Longest label of a DNS name, in octets.
const LONGEST_LABEL: usize = 63;
/// What stands in a path as an escape only.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?');

/// `10.0.0.0/8`, or one address.
pub(super) fn network(text: &str) -> Outcome<IpNet> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let help = "write \"10.0.0.0/8\", \"fd00::/8\" or \"192.0.2.1\"";
    network.map(|network| network.trunc()).map_err(|_| not_a(text, "network").help(help))
}

/// Where a listener binds: an IP address, and a port that may be 0.
pub(super) fn listener(text: &str) -> Outcome<SocketAddr> {
    text.parse().map_err(|_| not_a(text, "listening address").help(listener_help(text)))
}

/// Where a backend listens: an IP address or a DNS name, and a port.
pub(super) fn backend(text: &str) -> Outcome<Address> {
    let address = text.parse().map(Address::Ip).ok().or_else(|| named(text));
    match address.filter(|address| address.port() != 0) {
        Some(address) => Ok(address),
        None => Err(not_a(text, "backend address").help(backend_help(text))),
    }
}

/// The host of a route: a name, or `*.` and a name.
pub(super) fn host_pattern(text: &str) -> Outcome<HostPattern> {
    let host = text.to_ascii_lowercase();
    match host.strip_prefix("*.") {
        Some(rest) if is_host_name(rest) => Ok(HostPattern::Wildcard(rest.to_owned())),
        None if is_host_name(&host) || is_literal(&host) => Ok(HostPattern::Exact(host)),
        _ => Err(not_a(text, "host to match").help(host_help(&host))),
    }
}

/// The path prefix of a route as it is compared with the paths of requests: decoded, without a slash at its end.
pub(super) fn prefix(text: &str) -> Outcome<String> {
    let wrong = |help: &str| Err(not_a(text, "path prefix").help(help));
    if !text.starts_with('/') {
        return wrong("a path starts with `/`");
    }
    if text.contains("//") {
        return wrong("a path has no empty segments");
    }
    if !is_target(text) || text.contains('?') {
        return wrong("write it as in a URL, without a query, and with spaces as %20");
    }
    let normal = normalised(text).map_err(|unclear| not_a(text, "path prefix").help(clear_help(unclear)))?;
    let Ok(normal) = str::from_utf8(&normal) else { return wrong("write it in UTF-8") };
    let normal = if normal == "/" { normal } else { normal.trim_end_matches('/') };
    if !is_normal(text) {
        return wrong(&format!("write \"{}\"", utf8_percent_encode(normal, ESCAPED)));
    }
    Ok(normal.to_owned())
}

/// Whether a path has nothing but escapes that a request's path is freed of before it is compared.
fn is_normal(path: &str) -> bool {
    let has_encoded_slash = path.to_ascii_lowercase().contains("%2f");
    !has_encoded_slash && segments(path).is_ok_and(|segments| segments.eq(path.split('/').skip(1)))
}

fn clear_help(unclear: Unclear) -> &'static str {
    match unclear {
        Unclear::Escape => "a % is followed by two hexadecimal digits; for the character itself write %25",
        Unclear::Control => "no request with a control character in its path is forwarded",
        Unclear::AboveRoot | Unclear::DotSegment => "leave out the dot segments",
    }
}

/// What a health check asks for: a path, perhaps with a query.
pub(super) fn target(text: &str) -> Outcome<String> {
    if text.starts_with('/') && is_target(text) {
        return Ok(text.to_owned());
    }
    Err(not_a(text, "path to ask for").help("write a path, like \"/healthz\""))
}

/// A `Host` header; `None` when empty.
pub(super) fn authority(text: &str) -> Outcome<Option<String>> {
    let is_authority = Authority::try_from(text).is_ok() && !text.contains('@');
    match text {
        "" => Ok(None),
        _ if is_authority => Ok(Some(text.to_owned())),
        _ => Err(not_a(text, "host").help("write a name, and perhaps a port: \"app.internal\"")),
    }
}

fn not_a(text: &str, what: &str) -> Complaint {
    Complaint::invalid(format!("{text:?} is not a {what}"))
}

fn named(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port_number(port)?;
    is_host_name(host).then(|| Address::Name { host: host.to_owned(), port })
}

fn port_number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn bare_v6(text: &str) -> Option<Ipv6Addr> {
    text.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn listener_help(text: &str) -> String {
    if let Some(ip) = bare_v6(text) {
        return format!("write brackets and a port: \"[{ip}]:8080\"");
    }
    let port = text.strip_prefix("localhost").or_else(|| text.strip_prefix('*')).unwrap_or(text);
    match port_number(port.trim_start_matches(':')) {
        Some(port) => {
            format!("write \"0.0.0.0:{port}\" for all of IPv4, or \"127.0.0.1:{port}\" for this machine only")
        }
        None => "write an IP address and a port, like \"0.0.0.0:8080\"".to_owned(),
    }
}

fn backend_help(text: &str) -> String {
    if let Some((_, rest)) = text.split_once("://") {
        return format!("leave out the scheme: {:?}", rest.trim_end_matches('/'));
    }
    if let Some(ip) = bare_v6(text) {
        return format!("write brackets and a port: \"[{ip}]:9000\"");
    }
    if let Some(port) = port_number(text.trim_start_matches(':')) {
        return format!("it needs a host: \"127.0.0.1:{port}\"");
    }
    if is_host_name(text) || is_literal(text) {
        return format!("it needs a port: \"{text}:9000\"");
    }
    "write an IP address or a DNS name, and a port from 1 to 65535: \"10.0.0.1:9000\"".to_owned()
}

fn host_help(host: &str) -> &'static str {
    let has_port = || host.rsplit_once(':').is_some_and(|(_, port)| port_number(port).is_some());
    match host {
        "" | "*" => "leave `host` out to match every host",
        _ if !host.is_ascii() => "write the name as it is sent, in its xn-- form",
        _ if host.parse::<Ipv6Addr>().is_ok() => "write an IPv6 address in brackets",
        _ if has_port() => "leave out the port: a route fits every port",
        _ => "write \"chess.example.com\", or \"*.example.com\" for every name below it",
    }
}

fn is_target(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.contains('#')
        && PathAndQuery::try_from(text).is_ok()
}

/// An IP address as it stands in a URL.
fn is_literal(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    v6.map_or(host.parse::<Ipv4Addr>().is_ok(), |v6| v6.parse::<Ipv6Addr>().is_ok())
}

/// A DNS name. One whose last label is a number would be read as an IPv4 address, and is a slip in one.
fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(fits)
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    host.len() <= LONGEST_HOST && host.split('.').all(is_label) && !is_number
}
