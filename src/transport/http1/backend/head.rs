//! Heads as octets: requests written, responses read, and what a response's head says of where its body ends
//! (RFC 9112 §6.3).

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Method, StatusCode, Version};
use httparse::{Header, ParserConfig, Status};

use crate::headers::{self, Request, Response};
use crate::transport::dial::MAX_RESPONSE_HEAD;
use crate::transport::http1::chunked::Chunked;
use crate::transport::http1::{Fault, Nonsense, fields};

/// Fields of a response head.
const MAX_FIELDS: usize = 100;

/// Where the body of a response ends.
#[derive(Debug)]
pub(super) enum Framing {
    /// After so many octets.
    Length(u64),
    /// Where its coding says.
    Chunked(Chunked),
    /// With the connection.
    Close,
}

/// A response's head, and what it says of its connection.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    /// Octets that it takes.
    pub(super) length: usize,
    pub(super) framing: Framing,
    /// Whether the connection may carry another exchange after this one.
    pub(super) persists: bool,
}

/// Writes the head of a request behind what is in `out`.
pub(super) fn write(request: &Request, out: &mut Vec<u8>) {
    let (root, target) = target(request);
    for piece in [request.method.as_str(), " ", root, target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(piece.as_bytes());
    }
    request.fields.write(out);
    out.extend_from_slice(b"\r\n");
}

/// What is asked for, in origin form: an empty path is the root (RFC 9112 §3.2.1).
fn target(request: &Request) -> (&str, &str) {
    let target = request.uri.path_and_query().map_or("", |target| target.as_str());
    (if target.starts_with(['/', '*']) { "" } else { "/" }, target)
}

/// Takes a response's head from `input`, once it is whole. `seen` octets were there at the last look; the request's
/// method decides with what the body ends.
///
/// # Errors
/// It is not the head of a response, or too long.
pub(super) fn take(input: &mut BytesMut, seen: &mut usize, method: &Method) -> Result<Option<Head>, Fault> {
    let before = std::mem::replace(seen, input.len());
    if before > 0 && !fields::may_end(input, before) {
        return too_long(input);
    }
    let head = parse(input, method)?;
    if let Some(head) = &head {
        input.advance(head.length);
        *seen = 0;
    }
    Ok(head)
}

/// Reads the head that `input` begins with, once it is whole.
///
/// # Errors
/// It is not the head of a response, or too long.
pub(super) fn parse(input: &[u8], method: &Method) -> Result<Option<Head>, Fault> {
    let mut room = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = ParserConfig::default();
    let length = match config
        .parse_response_with_uninit_headers(&mut parsed, input, &mut room)
        .map_err(Nonsense::from)?
    {
        Status::Complete(length) => length,
        Status::Partial => return too_long(input),
    };
    if length > MAX_RESPONSE_HEAD {
        return Err(Fault::Nonsense("the head is too long"));
    }
    let (code, version) = (parsed.code.unwrap_or_default(), parsed.version.unwrap_or_default());
    let status = StatusCode::from_u16(code).map_err(|_| Fault::Nonsense("the status is none"))?;
    let reason = reason(status, parsed.reason.unwrap_or_default());
    let octets = Bytes::copy_from_slice(input.get(..length).unwrap_or_default());
    let version = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let (fields, seen) = fields::collect(parsed.headers, input, octets)?;
    frame(Response { status, version, reason, fields, seen, body: () }, length, method).map(Some)
}

/// A phrase of the backend's own, which is passed on.
fn reason(status: StatusCode, phrase: &str) -> Option<Box<[u8]>> {
    (status.canonical_reason() != Some(phrase)).then(|| phrase.as_bytes().into())
}

fn too_long<T>(input: &[u8]) -> Result<Option<T>, Fault> {
    if input.len() > MAX_RESPONSE_HEAD {
        return Err(Fault::Nonsense("the head is too long"));
    }
    Ok(None)
}

/// Where the body of a response to a request with `method` ends, and whether the connection persists.
fn frame(response: Response<()>, length: usize, method: &Method) -> Result<Head, Fault> {
    let (status, fields, seen) = (response.status, &response.fields, response.seen);
    let persists = response.version == Version::HTTP_11 && !seen.close;
    let bodiless = method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let (framing, persists) = if bodiless {
        (Framing::Length(0), persists)
    } else if seen.transfer_encoding && response.version < Version::HTTP_11 {
        // It knows no codings (RFC 9112 §6.1).
        return Err(Fault::Nonsense("a coding of an old version"));
    } else if seen.transfer_encoding {
        // Others may believe the length: nothing that follows on this connection is sure to be a response (§6.3).
        let is_sure = !seen.content_length;
        let chunked = headers::is_only_chunked(fields);
        let framing = if chunked { Framing::Chunked(Chunked::new()) } else { Framing::Close };
        (framing, persists && is_sure && chunked)
    } else if seen.content_length {
        let length = headers::length(fields).ok_or(Fault::Nonsense("the length is none"))?;
        (Framing::Length(length), persists)
    } else {
        (Framing::Close, false)
    };
    Ok(Head { response, length, framing, persists })
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn taken(octets: &str, method: &Method) -> Result<Option<Head>, Fault> {
        take(&mut BytesMut::from(octets), &mut 0, method)
    }

    /// What is told of the body and the connection.
    fn framed(octets: &str, method: &Method) -> String {
        match taken(octets, method) {
            Ok(Some(head)) => {
                let framing = match head.framing {
                    Framing::Length(length) => length.to_string(),
                    Framing::Chunked(_) => "chunked".to_owned(),
                    Framing::Close => "close".to_owned(),
                };
                format!("{framing} {}", if head.persists { "persists" } else { "ends" })
            }
            Ok(None) => "more".to_owned(),
            Err(_) => "nonsense".to_owned(),
        }
    }

    #[test]
    fn the_head_says_where_the_body_ends() {
        for (fields, told) in [
            ("Content-Length: 5", "5 persists"),
            ("Content-Length: 5\r\nContent-Length: 5", "5 persists"),
            ("Content-Length: 5\r\nContent-Length: 6", "nonsense"),
            ("Content-Length: 5, 5", "5 persists"),
            ("Content-Length: 5x", "nonsense"),
            ("Content-Length: -5", "nonsense"),
            ("Content-Length: +5", "nonsense"),
            ("Content-Length: ", "nonsense"),
            ("Content-Length: 18446744073709551616", "nonsense"),
            ("Content-Length: 5\r\nConnection: close", "5 ends"),
            ("Content-Length: 5\r\nConnection: x, Close", "5 ends"),
            ("Transfer-Encoding: chunked", "chunked persists"),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5", "chunked ends"),
            ("Transfer-Encoding: gzip, chunked", "close ends"),
            ("Transfer-Encoding: identity", "close ends"),
            ("X: y", "close ends"),
        ] {
            assert_eq!(
                framed(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"), &Method::GET),
                told,
                "{fields}"
            );
        }
        assert_eq!(framed("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", &Method::GET), "5 ends");
        assert_eq!(framed("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &Method::GET), "nonsense");
    }

    #[test]
    fn some_responses_have_no_body_whatever_they_say() {
        for status in ["204 No Content", "304 Not Modified", "100 Continue", "101 Switching Protocols"] {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n");
            assert_eq!(framed(&head, &Method::GET), "0 persists", "{status}");
        }
        for fields in ["Content-Length: 5", "Transfer-Encoding: chunked", "X: y", "Content-Length: x"] {
            let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
            assert_eq!(framed(&head, &Method::HEAD), "0 persists", "{fields}");
        }
    }

    #[test]
    fn what_is_no_head_is_an_error() {
        for wrong in [
            "SSH-2.0-x\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\n folded: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n",
        ] {
            assert_eq!(framed(wrong, &Method::GET), "nonsense", "{wrong:?}");
        }
        let many = "a: b\r\n".repeat(MAX_FIELDS + 1);
        assert_eq!(framed(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"), &Method::GET), "nonsense");
    }

    #[test]
    fn a_head_has_a_longest() {
        let head = |length: usize| format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(length));
        assert_eq!(framed(&head(MAX_RESPONSE_HEAD - 100), &Method::GET), "more");
        assert_eq!(framed(&head(MAX_RESPONSE_HEAD), &Method::GET), "nonsense");
        let whole = format!("{}\r\n\r\n", head(MAX_RESPONSE_HEAD));
        assert_eq!(framed(&whole, &Method::GET), "nonsense");
    }

    #[test]
    fn a_head_may_come_octet_by_octet() {
        let octets =
            b"HTTP/1.1 299 Odd\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nContent-Length: 3\r\n\r\nabc";
        let (mut input, mut seen) = (BytesMut::new(), 0);
        let mut came = octets.iter();
        let head = loop {
            input.extend_from_slice(&[*came.next().expect("a head")]);
            if let Some(head) = take(&mut input, &mut seen, &Method::GET).expect("a good head") {
                break head;
            }
        };
        let cookies: Vec<_> = head.response.fields.get_all(&http::header::SET_COOKIE).collect();
        assert_eq!((head.response.status.as_u16(), cookies), (299, vec![&b"a=1"[..], b"b=2"]));
        assert_eq!(head.response.reason.as_deref(), Some(&b"Odd"[..]));
        assert_eq!((came.len(), input.len()), (3, 0));
    }

    #[test]
    fn a_request_is_written_as_it_is() {
        let request =
            http::Request::post("http://h/a?b=1%20").header("Host", "h").header("x", "\u{e9}").body(());
        let mut out = b"before".to_vec();
        write(&request.expect("a request").into_parts().0.into(), &mut out);
        assert_eq!(out, "beforePOST /a?b=1%20 HTTP/1.1\r\nhost: h\r\nx: \u{e9}\r\n\r\n".as_bytes());
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..300), good in any::<bool>()) {
            let start = if good { b"HTTP/1.1 200 OK\r\n".as_slice() } else { b"" };
            let mut input = BytesMut::from(&[start, &octets].concat()[..]);
            let _ = take(&mut input, &mut 0, &Method::GET);
        }
    }
}
