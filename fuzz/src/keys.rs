//! Session keys: cookies, tokens, queries, paths and the proxy's own cookie, out of whatever a request has.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use homing::affinity::{Facts, Opened, Sealer, Ticket, extract};
use homing::clock::Now;
use homing::config::{Cookie, KeySource, SameSite, Sealed, Secret, Secure};
use homing::headers::Fields;
use homing::path::{normalised, segments};
use http::{HeaderName, HeaderValue, Uri, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode, percent_encode_byte};

const SOURCES: [&str; 13] = [
    "cookie:sid",
    "header:x-key",
    "query:room",
    "path:/game/{room}",
    "path:/*/{room}",
    "path:/a%20b/*/{room}/c",
    "jwt:sub",
    "jwt:sub@cookie:t",
    "jwt:sub@query:token",
    "client_ip",
    "host",
    "sni",
    "body:/session/id",
];
const NOW: Now = Now(1_800_000_000_000_000);
/// What the proxy's own cookie is called.
const OWN: &str = "own";

/// The first line is a target, the second a key source, the others are fields.
pub fn run(input: &[u8]) {
    let mut lines = input.split(|&octet| octet == b'\n');
    let target = String::from_utf8_lossy(lines.next().unwrap_or_default());
    check_path(&target);
    let own_source = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let fields = fields(lines);
    if let Ok(uri) = target.parse::<Uri>() {
        check_path(uri.path());
        let known = SOURCES.iter().map(|source| KeySource::parse(source).unwrap());
        for source in known.chain(KeySource::parse(&own_source)) {
            check_source(&source, &uri, &fields);
        }
    }
    check_sealed(&fields);
    check_ticket(input);
}

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Fields {
    let mut fields = Fields::new();
    for line in lines.take(100) {
        let Some(colon) = line.iter().position(|&octet| octet == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    fields
}

/// What is written in normal form means the same, and segments are the parts of it.
fn check_path(path: &str) {
    if path.bytes().any(|octet| octet.is_ascii_control()) {
        // No target has such a path.
        return;
    }
    let normal = normalised(path);
    let parts = segments(path).map(Iterator::collect::<Vec<_>>);
    assert_eq!(normal.as_ref().err(), parts.as_ref().err(), "{path:?}");
    let (Ok(normal), Ok(parts)) = (normal, parts) else { return };
    let is_borrowed = matches!(normal, std::borrow::Cow::Borrowed(_));
    assert_eq!(is_borrowed, *normal == *path.as_bytes(), "{path:?}");
    if !path.starts_with('/') {
        assert!(is_borrowed && parts.is_empty(), "{path:?}");
        return;
    }
    assert!(normal.starts_with(b"/") && !normal.windows(2).any(|pair| pair == b"//"), "{path:?}");
    let names: Vec<_> = normal.split(|&octet| octet == b'/').collect();
    assert!(!names.iter().any(|name| *name == b"." || *name == b".."), "{path:?}");
    let escaped: String = names
        .iter()
        .map(|name| percent_encode(name, NON_ALPHANUMERIC).to_string())
        .collect::<Vec<_>>()
        .join("/");
    assert_eq!(normalised(&escaped).as_deref(), Ok(&*normal), "{path:?} in normal form: {escaped:?}");
    let mut joined = Vec::new();
    for part in parts {
        for name in percent_decode_str(part).collect::<Vec<u8>>().split(|&octet| octet == b'/') {
            if joined.last() != Some(&b'/') {
                joined.push(b'/');
            }
            joined.extend_from_slice(name);
        }
    }
    assert_eq!(joined, *normal, "the segments of {path:?}");
}

/// A key is not empty, and the same each time; other spellings of a path have the same.
fn check_source(source: &KeySource, uri: &Uri, headers: &Fields) {
    let facts =
        Facts { host: "homing.test", uri, headers, client_ip: [192, 0, 2, 7].into(), sni: Some("tls.test") };
    let key = extract(source, &facts);
    assert_eq!(key, extract(source, &facts), "{source}");
    assert_ne!(key.as_deref(), Some(&b""[..]), "{source}");
    let again = KeySource::parse(&source.to_string());
    assert_eq!(again.as_ref(), Ok(source), "{source} shows itself as another");
    let Some(key) = key.filter(|_| matches!(source, KeySource::Path(_))) else { return };
    let spelt: Vec<_> = segments(uri.path()).unwrap().map(respelt).collect();
    let spelt: Uri = format!("/{}", spelt.join("/./")).parse().unwrap();
    let facts = Facts { uri: &spelt, ..facts };
    assert_eq!(extract(source, &facts), Some(key), "{source} of {uri} and {spelt}");
}

/// A segment with every character escaped.
fn respelt(segment: &str) -> String {
    let octets: Vec<u8> = percent_decode_str(segment).collect();
    octets.iter().flat_map(|&octet| percent_encode_byte(octet).chars()).collect()
}

fn sealer() -> &'static Sealer {
    static SEALER: OnceLock<Sealer> = OnceLock::new();
    SEALER.get_or_init(|| {
        let secret = Secret::new(b"a secret that is long enough for this").unwrap();
        let cookie = Cookie {
            name: OWN.to_owned(),
            secrets: vec![secret],
            same_site: SameSite::Lax,
            secure: Secure::Auto,
            http_only: true,
            path: "/".to_owned(),
            domain: None,
            max_age: None,
            partitioned: false,
        };
        let (idle_timeout, max_lifetime) = (Duration::from_mins(30), Duration::ZERO);
        let capacity = 1000.try_into().unwrap();
        Sealer::new(&Sealed { cookie, idle_timeout, max_lifetime, capacity }, None)
    })
}

/// Nobody without the secret makes a cookie that counts, and of all cookies only the proxy's own is taken out.
fn check_sealed(fields: &Fields) {
    let opened = sealer().open(fields, NOW);
    assert!(matches!(opened, Opened::Absent | Opened::Refused(_)), "forged: {opened:?}");
    let mut stripped = fields.clone();
    sealer().strip(&mut stripped);
    assert_eq!(sealer().open(&stripped, NOW), Opened::Absent);
    let again = stripped.clone();
    sealer().strip(&mut stripped);
    assert_eq!(again, stripped);
    for name in ["sid", "t"] {
        let source = KeySource::parse(&format!("cookie:{name}")).unwrap();
        assert_eq!(cookie(&source, fields), cookie(&source, &stripped), "{name}");
    }
    let others = |fields: &Fields| -> BTreeSet<String> {
        fields.names().filter(|name| *name != header::COOKIE).map(ToString::to_string).collect()
    };
    assert_eq!(others(fields), others(&stripped));
}

fn cookie(source: &KeySource, headers: &Fields) -> Option<Vec<u8>> {
    let uri = Uri::from_static("/");
    let facts =
        Facts { host: "h", uri: &uri, headers, client_ip: [192, 0, 2, 7].into(), sni: Some("tls.test") };
    extract(source, &facts).map(std::borrow::Cow::into_owned)
}

/// What is sealed is opened, and not if a character of it is changed.
fn check_ticket(input: &[u8]) {
    let number = |at: usize| {
        let octet = |i| u64::from(*input.get(8 * at + i).unwrap_or(&0));
        (0..8).fold(0, |number, i| number << 8 | octet(i))
    };
    let ticket = Ticket {
        backend: number(0),
        address: number(1),
        incarnation: number(2),
        session: number(3),
        epoch: number(4),
        issued: NOW.secs(),
        sealed: NOW.secs(),
    };
    let line = sealer().seal(&ticket, NOW, false);
    let line = line.to_str().unwrap();
    let pair = line.split(';').next().unwrap();
    let open = |pair: &str| {
        let value = HeaderValue::from_str(pair).unwrap();
        sealer().open(&Fields::from_iter([(header::COOKIE, value)]), NOW)
    };
    assert_eq!(open(&format!("a=b; {pair}; c=d")), Opened::Valid(ticket));
    let at = OWN.len() + 1 + usize::try_from(number(5) % 40).unwrap();
    let other = if pair.as_bytes()[at] == b'A' { "B" } else { "A" };
    let changed = [&pair[..at], other, &pair[at + 1..]].concat();
    assert!(matches!(open(&changed), Opened::Refused(_)), "{changed}");
}
