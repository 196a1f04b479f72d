//! Fields of messages, between octets and [`Fields`].

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::{EMPTY_HEADER, Header, Status};

use super::Nonsense;
use crate::headers::{self, Fields, Seen};

/// Fields of a trailer section.
const MAX_TRAILERS: usize = 100;

/// Where `part` lies in `source`, which it was cut from.
pub(super) fn span(source: &[u8], part: &[u8]) -> Range<usize> {
    let at = (part.as_ptr() as usize).wrapping_sub(source.as_ptr() as usize);
    at..at.saturating_add(part.len())
}

/// The same part of `copy`, a copy of `source`.
pub(super) fn same(copy: &Bytes, source: &[u8], part: &[u8]) -> Bytes {
    let span = span(source, part);
    if span.end <= copy.len() { copy.slice(span) } else { Bytes::new() }
}

/// What was parsed from `source`, and what of that is of interest; the values are parts of `copy`, a copy of it. So they hold on to no more than the
/// message's own octets, however much was read with them.
///
/// # Errors
/// They are no fields.
pub(super) fn collect(parsed: &[Header<'_>], source: &[u8], copy: Bytes) -> Result<(Fields, Seen), Nonsense> {
    let length = copy.len();
    let (mut fields, mut seen) = (Fields::of(copy, parsed.len()), Seen::default());
    for field in parsed {
        let name = headers::name(field.name.as_bytes()).ok_or(Nonsense("a field's name is none"))?;
        let (spelt, value) = (span(source, field.name.as_bytes()), span(source, field.value));
        if value.end > length || spelt.end > value.start {
            return Err(Nonsense("a field's value cannot be one"));
        }
        seen.add(&name, field.value);
        fields.push_part(name, spelt, value);
    }
    Ok((fields, seen))
}

/// The fields of a trailer section, which ends with an empty line.
///
/// # Errors
/// It is none.
pub(super) fn trailers(section: &Bytes) -> Result<HeaderMap, Nonsense> {
    let bare = memchr::memchr_iter(b'\n', section).any(|at| at == 0 || section.get(at - 1) != Some(&b'\r'));
    if bare {
        return Err(Nonsense("a line does not end as it should"));
    }
    let mut parsed = [EMPTY_HEADER; MAX_TRAILERS];
    let Status::Complete((_, parsed)) = httparse::parse_headers(section, &mut parsed)? else {
        return Err(Nonsense("a trailer section does not end"));
    };
    let (fields, _) = collect(parsed, section, section.clone())?;
    Ok(HeaderMap::from(&fields))
}

/// Writes trailer fields, and what ends a chunked body before and behind them: only those that were announced, for over
/// HTTP/1 another hop may not look for others (RFC 9110 §6.6.2).
pub(super) fn write_trailers(fields: &HeaderMap, announced: Option<&HeaderValue>, out: &mut Vec<u8>) {
    let announced = announced.map(HeaderValue::as_bytes).unwrap_or_default();
    let names: Vec<_> = announced.split(|&octet| octet == b',').map(<[u8]>::trim_ascii).collect();
    let is_announced = |name: &HeaderName| {
        names.iter().any(|announced| announced.eq_ignore_ascii_case(name.as_str().as_bytes()))
    };
    out.extend_from_slice(b"0\r\n");
    for (name, value) in fields.iter().filter(|(name, _)| is_announced(name)) {
        headers::write_line(name, value.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether the last octets of a head can be among those that came after the first `seen`: one that comes octet by octet is
/// not parsed, and not even looked through, as often.
pub(super) fn may_end(input: &[u8], seen: usize) -> bool {
    // The end may have begun in what was there before.
    let fresh = input.get(seen.saturating_sub(2)..).unwrap_or_default();
    memchr::memmem::find(fresh, b"\n\r\n").is_some() || memchr::memmem::find(fresh, b"\n\n").is_some()
}
