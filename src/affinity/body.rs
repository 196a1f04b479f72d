//! Keys in the body of a response: finds the values at given JSON pointers while the body goes by, chunk by chunk.
//! It changes nothing, holds nothing back and knows no proxy: whoever forwards the body shows it to a [`Scanner`].
//!
//! The parser is `json-event-parser`, which is given a token again from its start when more of it has come. To keep
//! that linear the scanner waits for an octet that can end the token (`Value::can_end`): without it, 64 KiB of
//! one string in chunks of one octet took 1.4 s. `actson` takes single octets, but parts of it are under a licence
//! with a condition of use that deny.toml cannot allow; `picojson` needs room for the longest string in advance.

mod watch;

use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;

use http::header;
use json_event_parser::LowLevelJsonParser;
use memchr::memchr2;

use crate::config::Pointer;
use crate::headers::Fields;
use watch::Watch;

/// Octets of a body that are looked at. It is also the most that a scanner keeps, in a token of this length.
pub const LIMIT: usize = 64 << 10;
/// Octets among which the JSON begins: engine.io writes `0{"sid":…}` or `97:0{"sid":…}`, others guard their JSON with
/// `)]}',` or begin it with a byte order mark.
pub const PREFIX: usize = 64;
/// Arrays and objects within each other. What is nested deeper is not JSON to a scanner.
pub const DEPTH: usize = 128;

/// Whether a response's body can teach a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relevance {
    /// It may be JSON, and is to be shown to a [`Scanner`].
    Read,
    /// It may be JSON, but is compressed.
    Encoded,
    /// It is of another type, or of none.
    Other,
}

/// Finds the values at some pointers in one body.
///
/// Strings and numbers that are not empty count, and of keys that occur twice the first. It never waits, and never
/// keeps more than the token that has not ended yet.
pub struct Scanner {
    pointers: Arc<[Pointer]>,
    /// Octets seen, at most [`LIMIT`].
    seen: usize,
    phase: Phase,
}

enum Phase {
    /// Before the `{` or `[`.
    Prefix,
    /// In the JSON value. Boxed, as a scanner rides in every response of its pool.
    Value(Box<Value>),
    /// Nothing more can come.
    Done,
}

/// The JSON value of a body.
struct Value {
    parser: LowLevelJsonParser,
    watch: Watch,
    /// The token that has not ended yet, from its first octet.
    tail: Vec<u8>,
    /// Whether `tail` is a string that ends within an escape: its next octet is no closing quote.
    escape: bool,
}

/// Whether a body with these header fields is worth scanning: JSON by its type, or plain text, as engine.io calls its
/// JSON. A type is compared without its parameters.
pub fn relevance(headers: &Fields) -> Relevance {
    let kind = headers.get(&header::CONTENT_TYPE);
    if !kind.is_some_and(may_be_json) {
        return Relevance::Other;
    }
    let mut fields = headers.get_all(&header::CONTENT_ENCODING);
    let is_plain = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    let all_plain = |field: &[u8]| field.split(|&b| b == b',').all(|coding| is_plain(coding.trim_ascii()));
    if fields.all(all_plain) { Relevance::Read } else { Relevance::Encoded }
}

fn may_be_json(kind: &[u8]) -> bool {
    let end = kind.iter().position(|&b| b == b';').unwrap_or(kind.len());
    let essence = kind[..end].trim_ascii().to_ascii_lowercase();
    matches!(&essence[..], b"application/json" | b"text/json" | b"text/plain")
        || essence.contains(&b'/') && essence.ends_with(b"+json")
}

impl Scanner {
    /// A scanner for one body. It allocates nothing until the JSON begins.
    pub fn new(pointers: Arc<[Pointer]>) -> Self {
        let phase = if pointers.is_empty() { Phase::Done } else { Phase::Prefix };
        Self { pointers, seen: 0, phase }
    }

    /// Looks at the next octets of the body. `found` is called with each value whose last octet is among them: a
    /// string as UTF-8 without quotes and escapes, a number as it is written; a number has ended with the octet after
    /// it. O(length of `bytes`), plus that of a token which ends in them.
    pub fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(&[u8])) {
        let bytes = bytes.get(..LIMIT - self.seen).unwrap_or(bytes);
        let json = self.without_prefix(bytes);
        self.seen += bytes.len();
        let is_over = match &mut self.phase {
            Phase::Value(value) => value.feed(json, &mut found).is_break() || self.seen == LIMIT,
            Phase::Prefix => self.seen >= PREFIX,
            Phase::Done => true,
        };
        if is_over {
            self.phase = Phase::Done;
        }
    }

    /// Whether nothing more can come: each pointer has led to its value or is known to lead to none, the JSON or what
    /// is looked at of it has ended, or it is none.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// What of the next octets belongs to the value.
    fn without_prefix<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        if !matches!(self.phase, Phase::Prefix) {
            return bytes;
        }
        let window = bytes.get(..PREFIX.saturating_sub(self.seen)).unwrap_or(bytes);
        let Some(start) = memchr2(b'{', b'[', window) else { return &[] };
        self.phase = Phase::Value(Box::new(Value::new(Arc::clone(&self.pointers))));
        &bytes[start..]
    }
}

impl Value {
    fn new(pointers: Arc<[Pointer]>) -> Self {
        let mut parser = LowLevelJsonParser::new().with_max_stack_size(DEPTH);
        // It looks for a byte order mark in the first three octets, and would wait for them with `{}`.
        parser.parse_next(b"   ", false);
        Self { parser, watch: Watch::new(pointers), tail: Vec::new(), escape: false }
    }

    /// Breaks when nothing more can come.
    fn feed(&mut self, bytes: &[u8], found: &mut dyn FnMut(&[u8])) -> ControlFlow<()> {
        if self.tail.is_empty() {
            let consumed = self.parse(bytes, found)?;
            return self.keep(&bytes[consumed..]);
        }
        let can_end = self.can_end(bytes);
        self.tail.extend_from_slice(bytes);
        if !can_end {
            return ControlFlow::Continue(());
        }
        let text = mem::take(&mut self.tail);
        let consumed = self.parse(&text, found)?;
        self.keep(&text[consumed..])
    }

    /// Shows all whole tokens to `watch`, and tells how many octets they are.
    fn parse(&mut self, text: &[u8], found: &mut dyn FnMut(&[u8])) -> ControlFlow<(), usize> {
        let mut consumed = 0;
        loop {
            let next = self.parser.parse_next(&text[consumed..], false);
            consumed += next.consumed_bytes;
            match next.event {
                Some(Ok(event)) => self.watch.see(&event, found)?,
                Some(Err(_)) => return ControlFlow::Break(()),
                None => return ControlFlow::Continue(consumed),
            }
        }
    }

    /// Keeps a token that has begun. A string that has ended and is nevertheless none to the parser has an escape that
    /// is none, which the parser would only say later.
    fn keep(&mut self, token: &[u8]) -> ControlFlow<()> {
        self.escape = false;
        if let Some((b'"', inner)) = token.split_first()
            && self.closes(inner)
        {
            return ControlFlow::Break(());
        }
        self.tail.extend_from_slice(token);
        ControlFlow::Continue(())
    }

    /// Whether the token in `tail` can end with, or before, one of the octets that follow it.
    fn can_end(&mut self, following: &[u8]) -> bool {
        if self.tail.first() == Some(&b'"') {
            return self.closes(following);
        }
        let belongs = |octet: &u8| octet.is_ascii_alphanumeric() || b"+-.".contains(octet);
        !following.iter().all(belongs)
    }

    /// Whether the closing quote of a string is among its next octets.
    fn closes(&mut self, octets: &[u8]) -> bool {
        octets.iter().any(|octet| {
            let escaped = self.escape;
            self.escape = !escaped && *octet == b'\\';
            !escaped && *octet == b'"'
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn only_plain_json_and_text_are_read() {
        use Relevance::{Encoded, Other, Read};
        let cases = [
            (&[("content-type", "application/json")][..], Read),
            (&[("content-type", "Application/JSON; charset=utf-8")], Read),
            (&[("content-type", "text/plain; charset=UTF-8")], Read),
            (&[("content-type", "text/json")], Read),
            (&[("content-type", "application/problem+json")], Read),
            (&[("content-type", "application/json"), ("content-encoding", "identity")], Read),
            (&[("content-type", "application/json"), ("content-encoding", "gzip")], Encoded),
            (&[("content-type", "text/plain"), ("content-encoding", "identity, br")], Encoded),
            (&[("content-type", "image/png"), ("content-encoding", "gzip")], Other),
            (&[("content-type", "text/html")], Other),
            (&[("content-type", "application/jsonl")], Other),
            (&[("content-type", "text/event-stream; x=+json")], Other),
            (&[], Other),
        ];
        for (fields, expected) in cases {
            let fields = fields
                .iter()
                .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let headers: Fields = fields.collect();
            assert_eq!(relevance(&headers), expected, "{headers:?}");
        }
    }
}
