//! From a field section to a request, or to trailer fields (RFC 9113 §8.1, §8.3), and what may be wrong with them.

use bytes::Bytes;
use h2::Reason;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use super::fault::{Fault, Refusal};
use super::hpack::{Decoder, Field, Garbled, Name, Wrong};
use crate::headers::{self, Fields, Lines, Request, Seen};
use crate::transport::http1::Nonsense;
use crate::transport::http1::client::{HeadError, HeadLimits};
use crate::transport::scratch;

/// A request without its body.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) request: Box<Request>,
    /// Octets of its body, where that was said.
    pub(super) length: Option<u64>,
    /// It asks for its stream to become a WebSocket (RFC 8441 §5).
    pub(super) is_websocket: bool,
}

/// Why a section is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfit {
    /// It is malformed (RFC 9113 §8.1.1).
    Malformed(&'static str),
    /// It is none that can be passed on.
    Refused(HeadError),
}

/// What of a section may go beyond the limits and is still decompressed, for the table and for a status that tells of it;
/// more is taken for an attack (§10.5.1).
const BEYOND: usize = 4;
/// The longest target that [`Uri`] takes.
const LONGEST_TARGET: usize = u16::MAX as usize - 1;

impl From<Garbled> for Fault {
    fn from(Garbled(what): Garbled) -> Self {
        Self::Connection(Reason::COMPRESSION_ERROR, what)
    }
}

/// Reads the section of a request on `stream`.
///
/// # Errors
/// What ends the stream or the connection; the inner error is answered.
pub(super) fn request(
    decoder: &mut Decoder,
    block: &[u8],
    limits: &HeadLimits,
    stream: u32,
) -> Result<Result<Head, Refusal>, Fault> {
    let mut draft = Draft::new();
    let mut size = Size { octets: 0, limits };
    decoder.decode(block, |field| {
        match size.add(&field)? {
            true => draft.add(&field, limits),
            false if field.value.len() > limits.octets && *field.name == Name::Path => {
                draft.is_wrong(Unfit::Refused(HeadError::TargetTooLong));
            }
            false => draft.is_wrong(Unfit::Refused(HeadError::TooLong)),
        }
        Ok::<_, Fault>(())
    })?;
    draft.finish(stream)
}

/// Reads the section of trailer fields on `stream`.
///
/// # Errors
/// What ends the stream or the connection.
pub(super) fn trailers(
    decoder: &mut Decoder,
    block: &[u8],
    limits: &HeadLimits,
    stream: u32,
) -> Result<HeaderMap, Fault> {
    let (mut fields, mut is_malformed) = (HeaderMap::new(), false);
    let mut size = Size { octets: 0, limits };
    decoder.decode(block, |field| {
        let is_within = size.add(&field)? && fields.len() < limits.fields;
        match (field.name, HeaderValue::from_bytes(field.value)) {
            (Name::Field(name), Ok(mut value))
                if is_within && field.wrong.is_none() && !is_of_connection(name, field.value) =>
            {
                value.set_sensitive(field.is_sensitive);
                // There are no more than a head may have.
                let _ = fields.try_append(name.clone(), value);
            }
            _ => is_malformed = true,
        }
        Ok::<_, Fault>(())
    })?;
    let malformed = Fault::Stream(stream, Reason::PROTOCOL_ERROR, "trailer fields that there may not be");
    if is_malformed { Err(malformed) } else { Ok(fields) }
}

/// How large a section is so far (§6.5.2).
struct Size<'a> {
    octets: usize,
    limits: &'a HeadLimits,
}

impl Size<'_> {
    /// Counts a field; returns whether the section is still within its limits.
    fn add(&mut self, field: &Field<'_>) -> Result<bool, Fault> {
        self.octets += field.size;
        if self.octets > self.limits.octets.saturating_mul(BEYOND) {
            return Err(Fault::Connection(Reason::ENHANCE_YOUR_CALM, "fields in masses"));
        }
        Ok(self.octets <= self.limits.octets)
    }
}

/// What is known of a request as its fields come.
struct Draft {
    lines: Lines,
    seen: Seen,
    method: Option<Method>,
    has_scheme: bool,
    has_authority: bool,
    path: Option<PathAndQuery>,
    /// Whether it is that of WebSockets.
    protocol: Option<bool>,
    /// A field that is none of HTTP/2's own has come.
    has_fields: bool,
    count: usize,
    cookie: Option<Cookie>,
    wrong: Option<Unfit>,
}

/// Cookies may come in several fields, to be compressed better; to others than HTTP/2 they are one (§8.2.3).
struct Cookie {
    /// What comes behind the first.
    more: Vec<u8>,
    is_sensitive: bool,
}

impl Cookie {
    fn add(&mut self, crumb: &Field<'_>) {
        self.is_sensitive |= crumb.is_sensitive;
        self.more.extend_from_slice(b"; ");
        self.more.extend_from_slice(crumb.value);
    }

    fn join(self, fields: &mut Fields) {
        let first = fields.get(&header::COOKIE).filter(|_| !self.more.is_empty());
        let joined =
            first.map(|first| HeaderValue::from_maybe_shared(Bytes::from([first, &self.more].concat())));
        // Made of values that were good, and two characters that are.
        if let Some(Ok(mut joined)) = joined {
            joined.set_sensitive(self.is_sensitive);
            fields.insert(header::COOKIE, joined);
        }
    }
}

impl Draft {
    fn new() -> Self {
        let mut octets = scratch::spare();
        // What the lines are behind.
        octets.push(b'\n');
        Self {
            lines: Lines::behind(octets),
            seen: Seen::default(),
            method: None,
            has_scheme: false,
            has_authority: false,
            path: None,
            protocol: None,
            has_fields: false,
            count: 0,
            cookie: None,
            wrong: None,
        }
    }

    /// Notes what is wrong; a section that is malformed is that before all else.
    fn is_wrong(&mut self, unfit: Unfit) {
        if self.wrong.is_none() || matches!(unfit, Unfit::Malformed(_)) {
            self.wrong = Some(unfit);
        }
    }

    fn is_malformed(&mut self, what: &'static str) {
        self.is_wrong(Unfit::Malformed(what));
    }

    fn is_nonsense(&mut self, what: &'static str) {
        self.is_wrong(Unfit::Refused(Nonsense(what).into()));
    }

    fn add(&mut self, field: &Field<'_>, limits: &HeadLimits) {
        match field.wrong {
            None => {}
            Some(Wrong::Name) => return self.is_malformed("a field's name is none"),
            Some(Wrong::Value) => return self.is_malformed("a field's value cannot be one"),
            Some(Wrong::Padded) => self.is_nonsense("a field begins or ends with white space"),
        }
        if let Name::Field(name) = field.name {
            return self.add_field(name, field, limits);
        }
        if self.has_fields {
            return self.is_malformed("a pseudo-field comes behind a field");
        }
        let is_first = match field.name {
            Name::Method => self.set_method(field.value),
            Name::Scheme => self.set_scheme(field.value),
            Name::Authority => self.set_authority(field.value),
            Name::Path => self.set_path(field.value),
            Name::Protocol => self.protocol.replace(field.value == b"websocket").is_none(),
            Name::Status | Name::Unfit | Name::Field(_) => false,
        };
        if !is_first {
            self.is_malformed("a pseudo-field has no place there");
        }
    }

    /// Sets one of HTTP/2's own fields, as the next three do; returns whether it was not there.
    fn set_method(&mut self, value: &[u8]) -> bool {
        match Method::from_bytes(value) {
            Ok(method) => self.method.replace(method).is_none(),
            Err(_) => false,
        }
    }

    fn set_scheme(&mut self, value: &[u8]) -> bool {
        if !matches!(value, b"http" | b"https") {
            if !is_scheme(value) {
                return false;
            }
            self.is_nonsense("the request target has another scheme than http");
        }
        !std::mem::replace(&mut self.has_scheme, true)
    }

    fn set_authority(&mut self, value: &[u8]) -> bool {
        if value.is_empty() || !value.iter().all(|octet| may_be_in_authority(*octet)) {
            return false;
        }
        self.lines.push(header::HOST, value);
        !std::mem::replace(&mut self.has_authority, true)
    }

    fn set_path(&mut self, value: &[u8]) -> bool {
        if value.len() > LONGEST_TARGET {
            self.is_wrong(Unfit::Refused(HeadError::TargetTooLong));
            return true;
        }
        match value.first() {
            Some(b'/') => {}
            Some(b'*') if value.len() == 1 => {}
            Some(b'?') => self.is_nonsense("the request target is not a path"),
            _ => return false,
        }
        match PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(value)) {
            Ok(path) => self.path.replace(path).is_none(),
            Err(_) => false,
        }
    }

    fn add_field(&mut self, name: &HeaderName, field: &Field<'_>, limits: &HeadLimits) {
        self.has_fields = true;
        self.seen.add(name, field.value);
        if self.seen.hop && is_of_connection(name, field.value) {
            return self.is_malformed("a field belongs to a connection");
        }
        if *name == header::COOKIE {
            match &mut self.cookie {
                Some(cookie) => return cookie.add(field),
                None => self.cookie = Some(Cookie { more: Vec::new(), is_sensitive: field.is_sensitive }),
            }
        }
        self.count += 1;
        if self.count > limits.fields {
            return self.is_wrong(Unfit::Refused(HeadError::TooManyFields));
        }
        if field.is_sensitive {
            self.lines.push_sensitive(name.clone(), field.value);
        } else {
            self.lines.push(name.clone(), field.value);
        }
    }

    /// What came of it all; the outer error is one of the stream.
    fn finish(mut self, stream: u32) -> Result<Result<Head, Refusal>, Fault> {
        let octets = Bytes::copy_from_slice(self.lines.octets());
        let (fields, gathered) = std::mem::take(&mut self.lines).finish(octets);
        scratch::give_back(gathered);
        let method = self.method.clone().unwrap_or_default();
        let (version, seen) = (Version::HTTP_2, self.seen);
        let mut request = Box::new(Request { method, uri: Uri::default(), version, fields, seen });
        let is_websocket = self.protocol == Some(true);
        match self.complete(&mut request) {
            Ok(length) => Ok(Ok(Head { request, length, is_websocket })),
            Err(Unfit::Refused(error)) => Ok(Err(Refusal { error, request })),
            Err(Unfit::Malformed(what)) => Err(Fault::Stream(stream, Reason::PROTOCOL_ERROR, what)),
        }
    }

    /// Completes a request by what is not one of its fields; returns the length of its body, where that was said.
    fn complete(self, request: &mut Request) -> Result<Option<u64>, Unfit> {
        if let Some(unfit) = self.wrong {
            return Err(unfit);
        }
        let method = self.method.ok_or(Unfit::Malformed("there is no :method"))?;
        let is_connect = method == Method::CONNECT;
        if self.protocol.is_some() && !is_connect {
            return Err(Unfit::Malformed("a :protocol without CONNECT"));
        }
        let Request { uri, fields, seen, .. } = request;
        *uri = match self.path {
            Some(path) if self.has_scheme && (!is_connect || self.protocol.is_some()) => Uri::from(path),
            None if is_connect && self.protocol.is_none() && !self.has_scheme && self.has_authority => {
                let host = fields.get(&header::HOST).unwrap_or_default();
                Uri::try_from(host).map_err(|_| Unfit::Malformed("the :authority is none"))?
            }
            _ => return Err(Unfit::Malformed("the pseudo-fields are not those of a request")),
        };
        if self.has_authority {
            say_host_once(fields, seen)?;
        }
        if let Some(cookie) = self.cookie {
            cookie.join(fields);
        }
        let is_websocket = self.protocol == Some(true);
        if seen.content_length { length(fields, is_websocket).map(Some) } else { Ok(None) }
    }
}

/// Leaves the host that `:authority` has said, which is the first; another one may only repeat it (§8.3.1).
fn say_host_once(fields: &mut Fields, seen: &mut Seen) -> Result<(), Unfit> {
    if seen.hosts > 0 {
        let mut hosts = fields.get_all(&header::HOST);
        let (authority, host) = (hosts.next().unwrap_or_default(), hosts.next().unwrap_or_default());
        let is_same = authority.eq_ignore_ascii_case(host) && hosts.next().is_none();
        drop(hosts);
        match fields.value(&header::HOST) {
            Some(authority) if is_same => fields.insert(header::HOST, authority),
            _ => return Err(Unfit::Refused(Nonsense(":authority and Host differ").into())),
        }
    }
    seen.hosts = 1;
    Ok(())
}

/// The length of the body, which is said once and in digits.
fn length(fields: &Fields, is_websocket: bool) -> Result<u64, Unfit> {
    if is_websocket {
        // To the backend it would announce a body, which is none of a tunnel's octets (RFC 9110 §9.3.6).
        return Err(Unfit::Refused(Nonsense("a tunnel has no length").into()));
    }
    let mut lengths = fields.get_all(&header::CONTENT_LENGTH).map(headers::number);
    let first = lengths.next().flatten().ok_or(Unfit::Malformed("the length is none"))?;
    match lengths.next() {
        None => Ok(first),
        // Of two, others may read either.
        Some(second) if second == Some(first) => {
            Err(Unfit::Refused(Nonsense("the content length is not one number").into()))
        }
        Some(_) => Err(Unfit::Malformed("there are two lengths")),
    }
}

/// Whether a field has no place in HTTP/2 (§8.2.2).
fn is_of_connection(name: &HeaderName, value: &[u8]) -> bool {
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => true,
        "te" => value != b"trailers",
        _ => false,
    }
}

/// RFC 3986 §3.1.
fn is_scheme(value: &[u8]) -> bool {
    let may_follow = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.');
    value.first().is_some_and(u8::is_ascii_alphabetic) && value.iter().all(may_follow)
}

/// RFC 3986 §3.2. Whether the whole is a host is looked at when that is needed.
fn may_be_in_authority(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b':'
                | b'@'
                | b'['
                | b']'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { octets: 4096, fields: 20 };

    /// A literal that no table may have, with its name as it is (RFC 7541 §6.2.3).
    fn secret(name: &str, value: &str) -> Vec<u8> {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        [vec![0x10], text(name), text(value)].concat()
    }

    /// `GET http://h/`, and what comes behind.
    fn get(more: &[u8]) -> Vec<u8> {
        [&[0x82, 0x86, 0x84, 0x41, 1, b'h'][..], more].concat()
    }

    fn read(block: &[u8]) -> Result<Result<Head, Refusal>, Fault> {
        request(&mut Decoder::default(), block, &LIMITS, 1)
    }

    fn good(block: &[u8]) -> Head {
        read(block).expect("well-formed").expect("a request")
    }

    #[test]
    fn fields_are_lines_that_can_be_passed_on() {
        let head = good(&get(&[b"\x00\x01x\x02yz", &secret("x-s", "1")[..]].concat()));
        let mut out = Vec::new();
        head.request.fields.write(&mut out);
        assert_eq!(String::from_utf8(out).expect("text"), "host: h\r\nx: yz\r\nx-s: 1\r\n");
        assert_eq!((head.request.method, head.request.uri), (Method::GET, Uri::from_static("/")));
    }

    #[test]
    fn secrets_stay_secrets() {
        let crumbs =
            [secret("cookie", "a=1"), b"\x00\x06cookie\x03b=2".to_vec(), secret("x-s", "1")].concat();
        let head = good(&get(&[&crumbs[..], b"\x00\x01x\x02yz"].concat()));
        let fields = head.request.fields.each();
        let fields: Vec<_> =
            fields.map(|(name, value, is_sensitive)| (name.as_str(), value, is_sensitive)).collect();
        let expected: [(&str, &[u8], bool); 4] =
            [("host", b"h", false), ("x-s", b"1", true), ("x", b"yz", false), ("cookie", b"a=1; b=2", true)];
        assert_eq!(fields, expected);
    }

    #[test]
    fn what_is_malformed_is_that_before_all_else() {
        let long = [&[0x10, 1, b'x', 0x7f, 0x81, 0x1f][..], &[b'v'; 4096]].concat();
        let refusal = read(&get(&long)).expect("well-formed").expect_err("too long");
        assert_eq!((refusal.error, refusal.request.method), (HeadError::TooLong, Method::GET));
        let malformed = read(&get(&[&secret("x", " padded"), &secret("connection", "x")[..]].concat()));
        assert!(matches!(malformed, Err(Fault::Stream(1, Reason::PROTOCOL_ERROR, _))), "{malformed:?}");
    }

    #[test]
    fn masses_end_the_connection() {
        let many = get(&secret("x-long", &"v".repeat(100)).repeat(200));
        let ended = read(&many);
        assert!(matches!(ended, Err(Fault::Connection(Reason::ENHANCE_YOUR_CALM, _))), "{ended:?}");
    }
}
