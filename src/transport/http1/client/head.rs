//! Heads of requests: read, and what they say of where their bodies end (RFC 9112 §6.3).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{Method, Uri, Version, header};
use httparse::{Header, ParserConfig, Status};

use crate::headers::{self, Fields, Request, Seen};
use crate::transport::http1::chunked::Chunked;
use crate::transport::http1::{Nonsense, fields};

/// How large a request head may be.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Octets, all together.
    pub octets: usize,
    /// Fields.
    pub fields: usize,
}

/// Why what came is no request that can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is not HTTP/1.
    #[error("{0}")]
    Nonsense(#[from] Nonsense),
    /// It speaks another version of HTTP.
    #[error("the version of HTTP is not spoken here")]
    Version,
    /// The head is too long.
    #[error("the request head is too long")]
    TooLong,
    /// The target alone fills it.
    #[error("the request target is too long")]
    TargetTooLong,
    /// There are too many fields.
    #[error("the request has too many fields")]
    TooManyFields,
}

/// A request's head, and what it says of its connection.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) request: Box<Request>,
    /// Octets that it takes.
    pub(super) length: usize,
    pub(super) framing: Framing,
    /// Whether another request may follow on this connection.
    pub(super) persists: bool,
}

/// Where the body of a request ends.
#[derive(Debug)]
pub(super) enum Framing {
    /// After so many octets.
    Length(u64),
    /// Where its coding says.
    Chunked(Chunked),
}

/// The longest target that [`Uri`] takes.
const LONGEST_TARGET: usize = u16::MAX as usize - 1;
/// Up to so many fields are parsed without an allocation.
const FEW: usize = 100;

/// Reads the head that `source` begins with; `None` while it is not whole.
///
/// # Errors
/// There is none, or a larger one than `limits` allow.
pub(super) fn parse(source: &[u8], limits: &HeadLimits) -> Result<Option<Head>, HeadError> {
    let mut few = [const { MaybeUninit::<Header<'_>>::uninit() }; FEW];
    let mut many = Vec::new();
    let room = if let Some(room) = few.get_mut(..limits.fields) {
        room
    } else {
        many.resize_with(limits.fields, MaybeUninit::uninit);
        many.as_mut_slice()
    };
    let mut parsed = httparse::Request::new(&mut []);
    match ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, source, room) {
        Ok(Status::Complete(length)) if length <= limits.octets => build(&parsed, source, length).map(Some),
        Ok(Status::Complete(_)) => Err(too_long(source, limits)),
        Ok(Status::Partial) if source.len() > limits.octets => Err(too_long(source, limits)),
        Ok(Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyFields),
        Err(httparse::Error::Version) if names_other_version(source) => Err(HeadError::Version),
        Err(error) => Err(Nonsense::from(error).into()),
    }
}

fn too_long(source: &[u8], limits: &HeadLimits) -> HeadError {
    let line = memchr::memchr(b'\n', source.trim_ascii_start()).unwrap_or(source.len());
    if line >= limits.octets { HeadError::TargetTooLong } else { HeadError::TooLong }
}

/// Whether the first line ends as one of another version of HTTP does (RFC 9112 §2.3).
fn names_other_version(source: &[u8]) -> bool {
    let line = source.trim_ascii_start().split(|&octet| octet == b'\n').next().unwrap_or_default();
    let mut words = line.trim_ascii_end().split(|&octet| octet == b' ');
    let (version, more) = (words.nth(2).unwrap_or_default(), words.next());
    let is_version = |major: u8, minor: u8| major.is_ascii_digit() && minor.is_ascii_digit();
    matches!(version, &[b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if is_version(major, minor))
        && more.is_none()
}

fn build(parsed: &httparse::Request<'_, '_>, source: &[u8], length: usize) -> Result<Head, HeadError> {
    let octets = Bytes::copy_from_slice(source.get(..length).unwrap_or_default());
    let method = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes());
    let target = fields::same(&octets, source, parsed.path.unwrap_or_default().as_bytes());
    if target.len() > LONGEST_TARGET {
        return Err(HeadError::TargetTooLong);
    }
    let method = method.map_err(|_| Nonsense("the method is none"))?;
    let uri = Uri::from_maybe_shared(target).map_err(|_| Nonsense("the request target is none"))?;
    let is_old = parsed.version == Some(0);
    let version = if is_old { Version::HTTP_10 } else { Version::HTTP_11 };
    let (mut fields, mut seen) = fields::collect(parsed.headers, source, octets)?;
    if is_old {
        // It knows neither (RFC 9110 §7.8, §10.1.1).
        (seen.upgrade, seen.continues) = (false, false);
    }
    let framing = framing(&seen, is_old, &mut fields)?;
    let request = Box::new(Request { method, uri, version, fields, seen });
    // Others may believe the length: what follows is not sure to be a request (§6.3).
    let is_sure = !(seen.transfer_encoding && seen.content_length);
    let persists = is_sure && !seen.close && (!is_old || seen.keep_alive);
    Ok(Head { request, length, framing, persists })
}

/// Where the body ends; leaves one field that says so.
fn framing(seen: &Seen, is_old: bool, fields: &mut Fields) -> Result<Framing, Nonsense> {
    if seen.transfer_encoding {
        // An old version knows no codings, and a body that ends with its connection gets no answer (§6.1, §6.3).
        if is_old || !seen.chunked {
            return Err(Nonsense("the transfer coding does not say where the body ends"));
        }
        if seen.content_length {
            fields.remove(&header::CONTENT_LENGTH);
        }
        return Ok(Framing::Chunked(Chunked::new()));
    }
    if !seen.content_length {
        return Ok(Framing::Length(0));
    }
    let length = length(fields).ok_or(Nonsense("the length is none"))?;
    headers::write_length_plainly(fields);
    Ok(Framing::Length(length))
}

/// The number that all lengths are. Lists of one number may be read or refused (RFC 9110 §8.6), and of what others
/// may not read nothing is let in.
fn length(fields: &Fields) -> Option<u64> {
    let mut lengths = fields.get_all(&header::CONTENT_LENGTH).map(headers::number);
    let first = lengths.next()?;
    lengths.all(|other| other == first).then_some(first)?
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { octets: 4096, fields: 20 };

    /// What is told of the body and the connection.
    fn told(head: &str) -> String {
        match parse(head.as_bytes(), &LIMITS) {
            Ok(Some(head)) => {
                let framing = match head.framing {
                    Framing::Length(length) => length.to_string(),
                    Framing::Chunked(_) => "chunked".to_owned(),
                };
                format!("{framing} {}", if head.persists { "persists" } else { "ends" })
            }
            Ok(None) => "more".to_owned(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn the_head_says_where_the_body_ends() {
        for (fields, expected) in [
            ("", "0 persists"),
            ("Content-Length: 5\r\n", "5 persists"),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", "5 persists"),
            ("Content-Length: 05\r\n", "5 persists"),
            ("Transfer-Encoding: chunked\r\n", "chunked persists"),
            ("Transfer-Encoding: Chunked\r\n", "chunked persists"),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "chunked ends"),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "chunked ends"),
            ("Connection: close\r\n", "0 ends"),
            ("Connection: x\r\nConnection: a, Close\r\nConnection: keep-alive\r\n", "0 ends"),
        ] {
            assert_eq!(told(&format!("POST / HTTP/1.1\r\n{fields}\r\n")), expected, "{fields}");
        }
        for fields in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 5,\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
            "Transfer-Encoding: \r\n",
        ] {
            let told = told(&format!("POST / HTTP/1.1\r\n{fields}\r\n"));
            assert!(told.starts_with("Nonsense"), "{fields}: {told}");
        }
    }

    #[test]
    fn an_old_version_ends_unless_it_says_otherwise() {
        assert_eq!(told("GET / HTTP/1.0\r\n\r\n"), "0 ends");
        assert_eq!(told("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), "0 persists");
        assert_eq!(told("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), "0 ends");
        assert!(told("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").starts_with("Nonsense"));
        let head = parse(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nUpgrade: x\r\n\r\n", &LIMITS);
        let head = head.expect("a request").expect("a whole one");
        assert!(!head.request.seen.continues && !head.request.seen.upgrade, "it has neither");
    }

    #[test]
    fn what_is_too_much_is_called_so() {
        let long = "x".repeat(LIMITS.octets);
        assert_eq!(told(&format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n")), "TooLong");
        assert_eq!(told(&format!("GET / HTTP/1.1\r\nA: {long}")), "TooLong");
        assert_eq!(told(&format!("GET /{long} HTTP/1.1\r\n\r\n")), "TargetTooLong");
        assert_eq!(told(&format!("\r\nGET /{long}")), "TargetTooLong");
        let many = "a: b\r\n".repeat(LIMITS.fields + 1);
        assert_eq!(told(&format!("GET / HTTP/1.1\r\n{many}\r\n")), "TooManyFields");
        let all = "a: b\r\n".repeat(LIMITS.fields);
        assert_eq!(told(&format!("GET / HTTP/1.1\r\n{all}\r\n")), "0 persists");
        let more = HeadLimits { fields: 2 * FEW, ..LIMITS };
        let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(FEW + 1));
        assert!(matches!(parse(head.as_bytes(), &more), Ok(Some(_))), "as many as the limit allows");
    }

    #[test]
    fn other_versions_are_told_from_nonsense() {
        assert_eq!(told("GET / HTTP/2.0\r\n\r\n"), "Version");
        assert_eq!(told("GET / HTTP/1.2\r\n\r\n"), "Version");
        for wrong in [
            "GET / HTTP/x\r\n\r\n",
            "GET /\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n",
            "GET /a b HTTP/2.0\r\n\r\n",
            "\u{16}\u{3}\u{1}",
            "GET / FTP/1.1\r\n\r\n",
        ] {
            assert!(told(wrong).starts_with("Nonsense"), "{wrong:?}: {}", told(wrong));
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..300), good in any::<bool>()) {
            let start = if good { b"GET / HTTP/1.1\r\n".as_slice() } else { b"" };
            let _ = parse(&[start, &octets].concat(), &LIMITS);
        }

        #[test]
        fn a_head_is_whole_only_at_its_end(cut in any::<prop::sample::Index>()) {
            let head = b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
            let end = head.len() - 3;
            prop_assert!(matches!(parse(&head[..cut.index(end)], &LIMITS), Ok(None)));
            let whole = parse(head, &LIMITS).expect("a request").expect("a whole one");
            prop_assert_eq!(whole.length, end);
        }
    }
}
