//! Header fields on their way through: what belongs to one hop is removed, what tells of the client is added.

mod fields;
mod message;
mod names;
mod seen;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ipnet::IpNet;

pub use fields::{Change, Fields};
pub(crate) use fields::{Lines, write_line};
pub use message::{Request, Response};
pub(crate) use names::name;
pub use seen::Seen;

/// Whom a request came from, hop by hop.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// What tells one request from all others.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The epoch of a session's binding, for its backend.
pub const X_SESSION_EPOCH: HeaderName = HeaderName::from_static("x-session-epoch");
/// The subject of the certificate that the client has shown (RFC 4514), for the backend.
pub const X_CLIENT_CERT_SUBJECT: HeaderName = HeaderName::from_static("x-client-cert-subject");

/// The other end of a client connection, as a backend is told of it.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// Its address.
    pub ip: IpAddr,
    /// The same as a field value: made once per connection, not for each request.
    pub ip_value: &'a HeaderValue,
    /// Whether its word about others is believed.
    pub trusted: bool,
    /// Whether it is spoken to through TLS.
    pub tls: bool,
    /// The subject of the certificate it has shown.
    pub subject: Option<&'a HeaderValue>,
}

/// Removes the fields that belong to one hop (RFC 9110 §7.6.1): the known ones, and those `Connection` names, save for
/// fields that must reach the other side whatever it says.
pub fn strip(fields: &mut Fields, seen: &Seen) {
    if seen.named {
        let named: Vec<HeaderName> = fields.get_all(&header::CONNECTION).flat_map(named).collect();
        fields.retain(|name| !named.contains(name));
    }
    if seen.hop {
        fields.retain(|name| !is_hop_by_hop(name.as_str()));
    }
}

/// Removes the fields of a request that a backend could take for the proxy's own.
pub fn strip_disguised(fields: &mut Fields, seen: &Seen) {
    if seen.disguised {
        fields.retain(|name| !is_disguised(name.as_str()));
    }
}

/// Whether fields of this name belong to one hop. `X-Session-Epoch` is the proxy's own to say.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authorization"
            | "proxy-authenticate"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "x-session-epoch"
    )
}

/// Whether a name is that of a field which is the proxy's to say, but for an underscore: CGI and WSGI know no difference
/// (RFC 3875 §4.1.18), and would believe it.
fn is_disguised(name: &str) -> bool {
    name.contains('_') && {
        let plain = name.replace('_', "-");
        plain.starts_with("x-forwarded-") || matches!(&*plain, "x-client-cert-subject" | "x-session-epoch")
    }
}

/// The fields that a `Connection` names, as far as they may be removed for that.
fn named(connection: &[u8]) -> impl Iterator<Item = HeaderName> {
    let options = connection.split(|&b| b == b',').map(<[u8]>::trim_ascii);
    let names = options.filter_map(|option| HeaderName::from_bytes(option).ok());
    names.filter(|name| !matches!(name.as_str(), "keep-alive" | "close") && !is_protected(name.as_str()))
}

fn is_protected(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "content-length"
            | "content-type"
            | "cookie"
            | "set-cookie"
            | "authorization"
            | "forwarded"
            | "x-request-id"
            | "x-client-cert-subject"
    ) || name.starts_with("x-forwarded-")
}

/// Which trailer fields a message announces: over HTTP/1 only those can be sent on.
pub fn trailer(fields: &Fields, seen: &Seen) -> Option<HeaderValue> {
    if seen.hop { fields.value(&header::TRAILER) } else { None }
}

/// Tells the next hop that trailer fields are welcome: for this connection, as `TE` belongs to one hop.
pub fn want_trailers(fields: &mut Fields) {
    fields.insert(header::TE, HeaderValue::from_static("trailers"));
    fields.insert(header::CONNECTION, HeaderValue::from_static("te"));
}

/// Trailer fields on their way through: those of one hop, and those that must not come after the body because they
/// frame, route or authenticate the message, are left out (RFC 9110 §6.5.1).
pub fn trailers(mut fields: HeaderMap) -> HeaderMap {
    let misplaced: Vec<HeaderName> =
        fields.keys().filter(|name| is_misplaced_in_trailers(name.as_str())).cloned().collect();
    for name in misplaced {
        fields.remove(name);
    }
    fields
}

fn is_misplaced_in_trailers(name: &str) -> bool {
    is_hop_by_hop(name)
        || name.contains('"')
        || name.starts_with("x-forwarded-")
        || name.starts_with("content-")
        || matches!(
            name,
            "host"
                | "cookie"
                | "set-cookie"
                | "authorization"
                | "www-authenticate"
                | "forwarded"
                | "x-request-id"
                | "x-client-cert-subject"
                | "cache-control"
                | "expect"
                | "max-forwards"
                | "range"
        )
}

/// An interim response as a client gets it: without what belongs to the hop before.
pub fn interim(status: StatusCode, mut fields: Fields) -> http::Response<()> {
    let seen = Seen::look(&fields);
    strip(&mut fields, &seen);
    let mut interim = http::Response::new(());
    *interim.status_mut() = status;
    *interim.headers_mut() = HeaderMap::from(&fields);
    interim
}

/// Tells the backend of the client: from a trusted peer what it says is kept and extended, from others replaced.
pub fn forwarded(fields: &mut Fields, seen: &Seen, peer: &Peer<'_>) {
    let proto = if peer.tls { HTTPS } else { HTTP };
    match peer.subject {
        Some(subject) => fields.insert(X_CLIENT_CERT_SUBJECT, subject.clone()),
        // Only a trusted proxy can have seen another certificate than this one.
        None if seen.subject && !peer.trusted => fields.remove(&X_CLIENT_CERT_SUBJECT),
        None => {}
    }
    if peer.trusted && seen.forwarded {
        append_address(fields, peer.ip);
        if !fields.contains(&X_FORWARDED_PROTO) {
            fields.append(X_FORWARDED_PROTO, proto);
        }
        if !fields.contains(&X_FORWARDED_HOST) {
            fields.append_same(X_FORWARDED_HOST, &header::HOST);
        }
        return;
    }
    if seen.forwarded {
        fields.retain(|name| ![X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST].contains(name));
    }
    fields.append(X_FORWARDED_FOR, peer.ip_value.clone());
    fields.append(X_FORWARDED_PROTO, proto);
    fields.append_same(X_FORWARDED_HOST, &header::HOST);
}

const HTTP: HeaderValue = HeaderValue::from_static("http");
const HTTPS: HeaderValue = HeaderValue::from_static("https");

fn append_address(fields: &mut Fields, ip: IpAddr) {
    let name = X_FORWARDED_FOR;
    let known = fields.get_all(&name).filter_map(|value| std::str::from_utf8(value).ok());
    let chain: Vec<&str> = known.filter(|value| value.is_ascii()).collect();
    let chain = if chain.is_empty() { ip.to_string() } else { format!("{}, {ip}", chain.join(", ")) };
    if let Ok(value) = HeaderValue::from_str(&chain) {
        fields.insert(X_FORWARDED_FOR, value);
    }
}

/// The name in a `Host` field, lower case; `None` if that is not `name`, `name:port` or `[address]:port`.
pub fn host_name(field: &[u8]) -> Option<Cow<'_, str>> {
    let end = if field.starts_with(b"[") {
        field.iter().position(|&octet| octet == b']')? + 1
    } else {
        field.iter().position(|&octet| octet == b':').unwrap_or(field.len())
    };
    let (name, port) = field.split_at(end);
    // A port may be left empty (RFC 3986 §3.2.3).
    let is_port = |port: &[u8]| port.starts_with(b":") && port.iter().skip(1).all(u8::is_ascii_digit);
    if !(port.is_empty() || is_port(port)) {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?;
    // Most are, and are looked at for that many octets at a time.
    let is_plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    if name.bytes().fold(true, |so_far, b| so_far & is_plain(b)) {
        return Some(Cow::Borrowed(name));
    }
    if let Some(address) = name.strip_prefix('[') {
        let address = address.strip_suffix(']').filter(|inner| inner.parse::<Ipv6Addr>().is_ok())?;
        return Some(Cow::Owned(address.to_ascii_lowercase()));
    }
    let is_named = |b: u8| is_plain(b.to_ascii_lowercase()) || matches!(b, b'_' | b'~');
    name.bytes().all(is_named).then(|| Cow::Owned(name.to_ascii_lowercase()))
}

/// Whether a field's name is a token (RFC 9110 §5.6.2): over HTTP/2 a quote passes for a part of one, as `http` allows it
/// in names.
pub fn is_token(name: &HeaderName) -> bool {
    !name.as_str().contains('"')
}

/// Whether any field called `name` lists `token`, in any case.
pub fn lists(fields: &Fields, name: &HeaderName, token: &str) -> bool {
    fields.get_all(name).any(|list| has_token(list, token))
}

/// Whether a list has `token`, in any case.
fn has_token(list: &[u8], token: &str) -> bool {
    let mut tokens = list.split(|&octet| octet == b',');
    tokens.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Whether the only transfer coding is one `chunked`: another before it would go through unseen.
pub fn is_only_chunked(fields: &Fields) -> bool {
    let mut codings = fields.get_all(&header::TRANSFER_ENCODING);
    match (codings.next(), codings.next()) {
        (Some(coding), None) => coding.trim_ascii().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// Leaves one length, in plain digits: of `5, 5` and `05` others may understand something else (RFC 9110 §8.6). What is no
/// length, which nobody minds in an answer to `HEAD`, is removed.
pub fn write_length_plainly(fields: &mut Fields) {
    let mut lengths = fields.get_all(&header::CONTENT_LENGTH);
    match (lengths.next(), lengths.next()) {
        (None, _) => return,
        (Some(field), None) if is_plain_number(field) => return,
        _ => {}
    }
    drop(lengths);
    match length(fields) {
        Some(length) => fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length)),
        None => fields.remove(&header::CONTENT_LENGTH),
    }
}

fn is_plain_number(text: &[u8]) -> bool {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits && (text == b"0" || !text.starts_with(b"0"))
}

/// The number that all `Content-Length` fields agree on; `None` if they do not, or there is none.
pub fn length(fields: &Fields) -> Option<u64> {
    let name = header::CONTENT_LENGTH;
    let lengths = || fields.get_all(&name);
    let mut all = lengths();
    if let (Some(length), None) = (all.next().and_then(number), all.next()) {
        return Some(length);
    }
    let mut listed = lengths().flat_map(|field| field.split(|&b| b == b','));
    let first = number(listed.next()?.trim_ascii())?;
    listed.all(|other| number(other.trim_ascii()) == Some(first)).then_some(first)
}

/// A number in digits alone.
pub fn number(text: &[u8]) -> Option<u64> {
    let add = |so_far: u64, digit: &u8| so_far.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().try_fold(0, add))?
}

/// Whether the word of a peer about others is believed.
pub fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&ip))
}

/// The address of whoever a trusted proxy speaks for: the last in `X-Forwarded-For` that is not itself trusted, or the
/// first of all if all are.
pub fn forwarded_for(peer: IpAddr, fields: &Fields, trusted: &[IpNet]) -> IpAddr {
    let mut known = peer;
    for field in fields.get_all(&X_FORWARDED_FOR).rev() {
        for named in std::str::from_utf8(field).unwrap_or_default().rsplit(',') {
            let Some(ip) = address(named.trim()) else { return known };
            known = ip;
            if !is_trusted(ip, trusted) {
                return known;
            }
        }
    }
    known
}

/// An address, also with a port or in brackets, as some proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bracketed).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeSet;

    fn stripped(fields: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = Fields::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let seen = Seen::look(&headers);
        strip(&mut headers, &seen);
        strip_disguised(&mut headers, &seen);
        let left = headers.iter().map(|(name, value)| format!("{name}={}", value.escape_ascii()));
        // Values of one name keep their order; that of names is not promised.
        left.collect::<BTreeSet<_>>().into_iter().collect()
    }

    #[test]
    fn fields_of_one_hop_are_removed_in_every_spelling() {
        let fields = [
            ("connection", "close, X-Once"),
            ("connection", "x-twice"),
            ("x-once", "1"),
            ("x-twice", "2"),
            ("keep-alive", "3"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("x-session-epoch", "7"),
            ("accept", "a"),
            ("accept", "b"),
        ];
        assert_eq!(stripped(&fields), ["accept=a", "accept=b"]);
    }

    #[test]
    fn the_proxys_own_fields_have_no_double_with_an_underscore() {
        let fields = [
            ("x_forwarded_for", "6.6.6.6"),
            ("x-forwarded_proto", "https"),
            ("x_client-cert-subject", "CN=root"),
            ("x_session_epoch", "9"),
            ("x_other", "1"),
            ("session_id", "2"),
        ];
        assert_eq!(stripped(&fields), ["session_id=2", "x_other=1"]);
    }

    #[test]
    fn connection_cannot_name_what_must_arrive() {
        let fields = [
            ("connection", "host, cookie, x-forwarded-for, authorization, content-length"),
            ("host", "h"),
            ("cookie", "c"),
        ];
        assert_eq!(stripped(&fields), ["cookie=c", "host=h"]);
    }

    #[test]
    fn a_length_is_one_number_or_none() {
        let written = |fields: &[&'static str]| {
            let mut headers = Fields::new();
            for field in fields {
                headers.append(header::CONTENT_LENGTH, HeaderValue::from_static(field));
            }
            write_length_plainly(&mut headers);
            let mut left = headers.get_all(&header::CONTENT_LENGTH);
            let length = left.next().map(|length| length.escape_ascii().to_string());
            assert!(left.next().is_none(), "{fields:?}");
            length
        };
        let good = [
            (&["5"][..], "5"),
            (&["0"], "0"),
            (&["05"], "5"),
            (&["000"], "0"),
            (&["5, 5"], "5"),
            (&["5", "05"], "5"),
            (&["18446744073709551615"], "18446744073709551615"),
        ];
        for (fields, length) in good {
            assert_eq!(written(fields).as_deref(), Some(length), "{fields:?}");
        }
        for fields in [&[][..], &["5, 6"], &["5", "6"], &["5,"], &["+5, +5"], &["5, x"], &["0x5"], &[""]] {
            assert_eq!(written(fields), None, "{fields:?}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses_with_an_optional_port() {
        let good = [
            ("a.b", "a.b"),
            ("A.b:80", "a.b"),
            ("[::1]:8080", "::1"),
            ("[::1]", "::1"),
            ("", ""),
            ("x:", "x"),
        ];
        for (field, name) in good {
            assert_eq!(host_name(field.as_bytes()).as_deref(), Some(name), "{field}");
        }
        for field in ["a b", "a/b", "a@b", "a:b", "a:1:2", "[::1", "[x]", "::1", "a,b", "é"] {
            assert_eq!(host_name(field.as_bytes()), None, "{field}");
        }
    }

    #[test]
    fn the_last_untrusted_address_is_the_client() {
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        let seen = |fields: &[&'static str]| {
            let mut headers = Fields::new();
            for field in fields {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_static(field));
            }
            forwarded_for([10, 0, 0, 1].into(), &headers, &trusted).to_string()
        };
        assert_eq!(seen(&[]), "10.0.0.1");
        assert_eq!(seen(&["6.6.6.6, 1.2.3.4, 10.0.0.9"]), "1.2.3.4");
        assert_eq!(seen(&["1.2.3.4", "10.0.0.9"]), "1.2.3.4");
        assert_eq!(seen(&["10.0.0.7, 10.0.0.8"]), "10.0.0.7");
        assert_eq!(seen(&["1.2.3.4, nonsense, 10.0.0.9"]), "10.0.0.9");
        assert_eq!(seen(&["[2001:db8::1]:443"]), "2001:db8::1");
    }
}
