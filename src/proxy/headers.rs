//! Header fields on their way through: what belongs to one hop is removed, what tells of the client is added.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Client;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const X_SESSION_EPOCH: HeaderName = HeaderName::from_static("x-session-epoch");

/// Removes the fields that belong to one hop (RFC 9110 §7.6.1): the known ones, and those `Connection` names, save for
/// fields that must reach the other side whatever it says.
pub(super) fn strip(headers: &mut HeaderMap) {
    let connection: Vec<HeaderValue> = headers.get_all(header::CONNECTION).iter().cloned().collect();
    connection.iter().for_each(|named| strip_named(headers, named));
    let mut found = [const { None }; HOP_BY_HOP];
    let mut count = 0;
    for name in headers.keys() {
        if is_hop_by_hop(name.as_str()) {
            found[count] = Some(name.clone());
            count += 1;
        }
    }
    for name in found.into_iter().flatten() {
        headers.remove(name);
    }
}

/// How many names [`is_hop_by_hop`] knows; keys of a map are distinct, so no more can be found.
const HOP_BY_HOP: usize = 11;

/// `X-Session-Epoch` is among them: it is the proxy's to say.
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

fn strip_named(headers: &mut HeaderMap, connection: &HeaderValue) {
    for name in connection.as_bytes().split(|&b| b == b',').map(<[u8]>::trim_ascii) {
        if name.eq_ignore_ascii_case(b"keep-alive") || name.eq_ignore_ascii_case(b"close") {
            continue;
        }
        if let Ok(name) = HeaderName::from_bytes(name)
            && !is_protected(name.as_str())
        {
            headers.remove(name);
        }
    }
}

fn is_protected(name: &str) -> bool {
    matches!(name, "host" | "content-length" | "content-type" | "cookie" | "set-cookie" | "authorization" | "forwarded")
        || name.starts_with("x-forwarded-")
}

/// Tells the backend of the client: from a trusted peer what it says is kept and extended, from others replaced.
pub(super) fn forwarded(headers: &mut HeaderMap, client: &Client, trusted: bool) {
    if trusted {
        append_address(headers, client.ip);
        headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    } else {
        headers.insert(X_FORWARDED_FOR, client.ip_value.clone());
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = headers.get(header::HOST).cloned() {
        match headers.entry(X_FORWARDED_HOST) {
            header::Entry::Occupied(_) if trusted => {}
            header::Entry::Occupied(mut told) => drop(told.insert(host)),
            header::Entry::Vacant(untold) => drop(untold.insert(host)),
        }
    }
}

fn append_address(headers: &mut HeaderMap, ip: IpAddr) {
    let known = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let chain: Vec<&str> = known.collect();
    let chain = if chain.is_empty() { ip.to_string() } else { format!("{}, {ip}", chain.join(", ")) };
    if let Ok(value) = HeaderValue::from_str(&chain) {
        headers.insert(X_FORWARDED_FOR, value);
    }
}

/// Whether any field called `name` lists `token`, in any case.
pub(super) fn lists(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let fields = headers.get_all(name).into_iter();
    let mut tokens = fields.flat_map(|field| field.as_bytes().split(|&b| b == b','));
    tokens.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(fields: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut headers);
        headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().expect("text"))).collect()
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
    fn connection_cannot_name_what_must_arrive() {
        let fields = [("connection", "host, cookie, x-forwarded-for, authorization, content-length"), ("host", "h"), ("cookie", "c")];
        assert_eq!(stripped(&fields), ["host=h", "cookie=c"]);
    }
}
