//! Frames of an HTTP/2 client → what the backend gets: well-formed HTTP/1, and of each stream one request at most, with
//! the body that its DATA frames had.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::edge::{Client, Edge};
use super::message::Source;
use super::recorder::{Arrival, DEADLINE};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LAST_WORD: &[u8; 8] = b"the end.";
/// Names the stream of a request, for the backend.
const STREAM: &[u8] = b"x-stream";

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Frame types (RFC 9113 §6).
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
    pub(super) const CONTINUATION: u8 = 9;
}

const NAMES: [&str; 26] = [
    ":method",
    ":path",
    ":scheme",
    ":authority",
    ":protocol",
    ":status",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "cookie",
    "trailer",
    "expect",
    "upgrade",
    "keep-alive",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-request-id",
    "x-session-epoch",
    "content-type",
    "Upper",
    "",
    "bad name",
    "proxy-connection",
    "x-sum",
];
const VALUES: [&str; 32] = [
    "GET",
    "POST",
    "CONNECT",
    "HEAD",
    "OPTIONS",
    "/",
    "/x",
    "*",
    "",
    "http",
    "https",
    "h",
    "h:80",
    "a b",
    "websocket",
    "chunked",
    "trailers",
    "close",
    "0",
    "3",
    "5",
    "100-continue",
    "a=b",
    "x\r\ny: z",
    "h, h2",
    "application/grpc",
    "//x/../y",
    "http://other/",
    "127.0.0.1",
    "x-sum",
    "13",
    "\u{fc}",
];

static EDGE: OnceLock<Edge> = OnceLock::new();

/// The input is a list of frames, in a shorthand that makes most of them well-formed.
pub fn run(input: &[u8]) {
    let edge = EDGE.get_or_init(Edge::start);
    let sent = Session::of(input);
    let mut client = edge.client();
    client.send(&sent.octets);
    read_answers(&mut client, &sent);
    let ip = client.ip;
    drop(client);
    check(&edge.arrivals(ip), &sent);
    edge.serves_others();
}

fn check(arrivals: &[Arrival], sent: &Session) {
    let mut streams = Vec::new();
    for Arrival { message, octets, .. } in arrivals {
        let shown = octets.escape_ascii();
        assert!(!message.fields.iter().any(|(name, _)| name.starts_with(b":")), "a pseudo-field: {shown}");
        let [stream] = message.all("x-stream")[..] else { continue };
        let Some(stream) = std::str::from_utf8(stream).ok().and_then(|text| text.parse().ok()) else {
            continue;
        };
        assert!(!streams.contains(&stream), "one stream, two requests: {shown}");
        streams.push(stream);
        let Some(stream) = sent.streams.get(&stream).filter(|_| !sent.is_wild) else { continue };
        let body = if stream.is_tunnel { &[] } else { &stream.body[..] };
        assert_eq!(message.body, body, "another body: {shown}");
        let is_chunked = !message.all("transfer-encoding").is_empty();
        assert!(stream.is_ended || !is_chunked, "it has ended, but not for the client: {shown}");
    }
    assert!(sent.is_wild || arrivals.len() <= sent.streams.len(), "more requests than streams");
}

/// Waits until the proxy has read all, or has given up the connection; then for what answers may come.
fn read_answers(client: &mut Client, sent: &Session) {
    while client.source == Source::Open && !has_heard(&client.received) {
        let read = client.fill(DEADLINE);
        assert!(read || client.source == Source::Ended, "neither a PING answered nor the connection closed");
    }
    let wanted =
        sent.streams.iter().filter(|(_, stream)| stream.is_ended).map(|(id, _)| *id).collect::<Vec<_>>();
    client.fill_while(|received| {
        let is_over = |id: &u32| frames(received).any(|frame| frame.ends(*id));
        frames(received).all(|frame| frame.kind != kind::GOAWAY) && !wanted.iter().all(is_over)
    });
}

fn has_heard(received: &[u8]) -> bool {
    let is_answer = |frame: &Frame<'_>| frame.kind == kind::PING && frame.flags & ACK != 0;
    frames(received)
        .any(|frame| is_answer(&frame) && frame.payload == LAST_WORD || frame.kind == kind::GOAWAY)
}

struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

impl Frame<'_> {
    fn ends(&self, stream: u32) -> bool {
        let is_end = matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & END_STREAM != 0;
        self.stream == stream && (is_end || self.kind == kind::RST_STREAM)
    }
}

/// The whole frames that octets begin with.
fn frames(mut octets: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = octets.split_first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, rest) = rest.split_at_checked(length)?;
        octets = rest;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    })
}

/// What is left of the input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn octet(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        self.0.split_off(..count.min(self.0.len())).unwrap_or_default()
    }

    /// One of the known words, or any other.
    fn word<const N: usize>(&mut self, known: &[&'static str; N]) -> &'a [u8] {
        let choice = usize::from(self.octet());
        match known.get(choice) {
            Some(word) => word.as_bytes(),
            None => self.take(choice % 32),
        }
    }
}

#[derive(Debug, Default)]
struct Stream {
    body: Vec<u8>,
    is_ended: bool,
    /// To be: its octets are for a tunnel, and no body (RFC 8441 §5).
    is_tunnel: bool,
}

/// What a client says.
#[derive(Debug, Default)]
struct Session {
    octets: Vec<u8>,
    streams: BTreeMap<u32, Stream>,
    next: u32,
    /// It has frames that were not made to fit.
    is_wild: bool,
}

impl Session {
    fn of(input: &[u8]) -> Self {
        let mut session = Self { octets: PREFACE.to_vec(), next: 1, ..Self::default() };
        session.frame((kind::SETTINGS, 0), 0, &[]);
        let mut input = Input(input);
        while !input.0.is_empty() && session.octets.len() < 48 << 10 {
            session.step(&mut input);
        }
        session.frame((kind::PING, 0), 0, LAST_WORD);
        session
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.octet() % 12 {
            0..=3 => self.request(input),
            4 | 5 => self.data(input),
            6 => self.trailers(input),
            7 => {
                let stream = self.known(input);
                self.is_wild = true;
                self.frame((kind::RST_STREAM, 0), stream, &u32::from(input.octet()).to_be_bytes());
            }
            8 => {
                let stream = if input.octet() & 1 == 0 { 0 } else { self.known(input) };
                let increment = [0, input.octet(), input.octet(), 1];
                self.frame((kind::WINDOW_UPDATE, 0), stream, &increment);
            }
            9 => {
                let count = usize::from(input.octet() % 4) * 6;
                let settings = input.take(count);
                self.frame((kind::SETTINGS, 0), 0, settings);
            }
            10 => self.frame((kind::PING, 0), 0, b"are you?"),
            _ => self.any(input),
        }
    }

    /// A stream that was opened, most often the last.
    fn known(&self, input: &mut Input<'_>) -> u32 {
        let back = u32::from(input.octet() % 4);
        self.next.saturating_sub(2 * (back + 1)).max(1)
    }

    fn request(&mut self, input: &mut Input<'_>) {
        let how = input.octet();
        let method: &[u8] = if how & 2 == 0 { b"GET" } else { b"POST" };
        let mut block = Vec::new();
        if how & 0x80 == 0 {
            field(&mut block, b":method", if how & 16 == 0 { method } else { b"CONNECT" });
            field(&mut block, b":scheme", b"http");
            field(&mut block, b":path", b"/");
            if how & 4 == 0 {
                field(&mut block, b":authority", b"h");
            }
            if how & 16 != 0 {
                field(&mut block, b":protocol", b"websocket");
            }
        }
        some_fields(&mut block, input);
        field(&mut block, STREAM, self.next.to_string().as_bytes());
        self.block(&block, self.next, how);
        let (is_ended, is_tunnel) = (how & END_STREAM != 0, how & 0x90 == 0x10);
        let stream = Stream { body: Vec::new(), is_ended, is_tunnel };
        self.streams.insert(self.next, stream);
        self.next += 2;
    }

    fn trailers(&mut self, input: &mut Input<'_>) {
        let (stream, how) = (self.known(input), input.octet());
        let mut block = Vec::new();
        some_fields(&mut block, input);
        self.end(stream);
        self.block(&block, stream, how | END_STREAM);
    }

    /// A header block in one frame or in two.
    fn block(&mut self, block: &[u8], stream: u32, how: u8) {
        let ends = how & END_STREAM;
        if how & 8 == 0 {
            return self.frame((kind::HEADERS, ends | END_HEADERS), stream, block);
        }
        let (first, rest) = block.split_at(block.len() / 2);
        self.frame((kind::HEADERS, ends), stream, first);
        self.frame((kind::CONTINUATION, END_HEADERS), stream, rest);
    }

    fn data(&mut self, input: &mut Input<'_>) {
        let (stream, how) = (self.known(input), input.octet());
        let count = usize::from(input.octet());
        let data = input.take(count);
        match self.streams.get_mut(&stream) {
            Some(stream) if !stream.is_ended => stream.body.extend_from_slice(data),
            _ => self.is_wild = true,
        }
        if how & END_STREAM != 0 {
            self.end(stream);
        }
        self.frame((kind::DATA, how & END_STREAM), stream, data);
    }

    fn end(&mut self, stream: u32) {
        match self.streams.get_mut(&stream) {
            Some(stream) if !stream.is_ended => stream.is_ended = true,
            _ => self.is_wild = true,
        }
    }

    /// A frame that may be anything.
    fn any(&mut self, input: &mut Input<'_>) {
        self.is_wild = true;
        let (kind, flags, stream) = (input.octet() % 16, input.octet(), u32::from(input.octet()));
        let count = usize::from(input.octet());
        let payload = input.take(count);
        self.frame((kind, flags), stream, payload);
    }

    fn frame(&mut self, (kind, flags): (u8, u8), stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.octets.extend_from_slice(&length[1..]);
        self.octets.extend_from_slice(&[kind, flags]);
        self.octets.extend_from_slice(&stream.to_be_bytes());
        self.octets.extend_from_slice(payload);
    }
}

fn some_fields(block: &mut Vec<u8>, input: &mut Input<'_>) {
    for _ in 0..input.octet() % 8 {
        let how = match input.octet() % 8 {
            // One of a table, or a new size for that (RFC 7541 §6.1, §6.3).
            0 => {
                block.push(input.octet() | 0x80);
                continue;
            }
            1 => {
                block.push(input.octet() & 0x1f | 0x20);
                continue;
            }
            2..=4 => ADDED,
            5 => NEVER,
            _ => PLAIN,
        };
        let (name, value) = (input.word(&NAMES), input.word(&VALUES));
        literal(block, how, name, value);
    }
}

/// Literals (RFC 7541 §6.2): for the table, not for this one, and for none.
const ADDED: u8 = 0x40;
const PLAIN: u8 = 0;
const NEVER: u8 = 0x10;

fn field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    literal(block, PLAIN, name, value);
}

fn literal(block: &mut Vec<u8>, how: u8, name: &[u8], value: &[u8]) {
    block.push(how);
    for text in [name, value] {
        block.push(u8::try_from(text.len()).unwrap());
        block.extend_from_slice(text);
    }
}
