//! HTTP/2 by hand (RFC 9113): frames as they are given, and a strict reading of what the proxy sends. Fields are
//! written as literals (RFC 7541 §6.2.2); those of the proxy are decoded by a library that it does not use.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use loona_hpack::Decoder;

use super::message::Reader;
use super::wait::DEADLINE;

/// What a client begins with (§3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 0x1;
pub const ACK: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const WITH_PRIORITY: u8 = 0x20;

/// Error codes (§7).
pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const INTERNAL_ERROR: u32 = 2;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE_ERROR: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const COMPRESSION_ERROR: u32 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// Octets that may be sent before more are granted (§6.9.2).
const WINDOW: i64 = 65_535;
/// Octets of the longest frame that the proxy may send, as nothing else is agreed (§6.5.2).
const LONGEST: usize = 16_384;

/// A frame with these octets, right or wrong.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut octets = length[1..].to_vec();
    octets.extend([kind, flags]);
    octets.extend(stream.to_be_bytes());
    octets.extend(payload);
    octets
}

/// `SETTINGS` with these values.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload = values
        .iter()
        .flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes()).collect::<Vec<u8>>());
    frame(SETTINGS, 0, 0, payload.collect::<Vec<u8>>())
}

/// A whole field section in one `HEADERS` frame.
pub fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, block(fields))
}

pub fn data(stream: u32, flags: u8, octets: impl AsRef<[u8]>) -> Vec<u8> {
    frame(DATA, flags, stream, octets)
}

pub fn window_update(stream: u32, octets: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, octets.to_be_bytes())
}

pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, code.to_be_bytes())
}

/// Fields as literals that are not indexed.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits, for a string that is not Huffman-coded (RFC 7541 §5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(u8::try_from(length).unwrap());
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The fields of a `GET`.
pub fn get(path: &str) -> Vec<(&str, &str)> {
    request("GET", path)
}

/// The fields of any request.
pub fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "http"), (":authority", "homing.test"), (":path", path)]
}

/// The same with more fields.
pub fn with<'a>(mut fields: Vec<(&'a str, &'a str)>, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    fields.extend(more);
    fields
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// Fields as they came.
pub type Fields = Vec<(String, String)>;

/// What came on a stream.
#[derive(Debug, Clone, Default)]
pub struct Got {
    pub interim: Vec<Fields>,
    pub head: Fields,
    pub body: Vec<u8>,
    pub trailers: Option<Fields>,
    /// It came to its end.
    pub ended: bool,
    /// It was reset, with this code.
    pub reset: Option<u32>,
    received: i64,
    granted: i64,
}

impl Got {
    /// The final status; 0 if there is none.
    pub fn status(&self) -> u16 {
        self.field(":status").map_or(0, |status| status.parse().expect("a status is a number"))
    }

    /// The value of the one field called `name`.
    ///
    /// # Panics
    /// If there are several.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut all = self.head.iter().filter(|(known, _)| known == name);
        let first = all.next();
        assert!(all.next().is_none(), "more than one {name}: {:?}", self.head);
        first.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn is_over(&self) -> bool {
        self.ended || self.reset.is_some()
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `GOAWAY` with this code came before.
    GoAway(u32),
    /// Without a word.
    Silent,
}

/// Whether a client makes room for more by what it has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Freely,
    /// Until told otherwise.
    Not,
}

/// A client's end of a connection.
pub struct Peer<S = TcpStream> {
    pub reader: Reader<S>,
    decoder: Decoder<'static>,
    next: u32,
    streams: BTreeMap<u32, Got>,
    received: i64,
    granted: i64,
    pub reading: Reading,
    /// Octets that the proxy may send on a new stream.
    pub window: i64,
    /// What the proxy has set.
    pub settings: BTreeMap<u16, u32>,
    pub acknowledged: usize,
    pub pongs: Vec<Vec<u8>>,
    /// Codes of `GOAWAY`, and the last stream of each.
    pub goaways: Vec<(u32, u32)>,
    /// A field section that goes on: its stream, its flags, its octets.
    section: Option<(u32, u8, Vec<u8>)>,
}

impl Peer {
    /// A connection of which nothing was said yet.
    pub fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// A connection that is open.
    pub fn open(address: SocketAddr) -> Self {
        Self::open_with(address, &[])
    }

    pub fn open_with(address: SocketAddr, values: &[(u16, u32)]) -> Self {
        let mut this = Self::silent(address);
        this.begin(values);
        this
    }
}

impl<S: Read + Write> Peer<S> {
    pub fn over(stream: S) -> Self {
        Self {
            reader: Reader::new(stream),
            decoder: Decoder::new(),
            next: 1,
            streams: BTreeMap::new(),
            received: 0,
            granted: WINDOW,
            reading: Reading::Freely,
            window: WINDOW,
            settings: BTreeMap::new(),
            acknowledged: 0,
            pongs: Vec::new(),
            goaways: Vec::new(),
            section: None,
        }
    }

    /// Says the preface, with these settings.
    pub fn begin(&mut self, values: &[(u16, u32)]) {
        self.window = values.iter().find(|(id, _)| *id == 4).map_or(WINDOW, |(_, value)| i64::from(*value));
        self.send([PREFACE, &settings(values)].concat());
    }

    /// Sends octets as they are.
    #[track_caller]
    pub fn send(&mut self, octets: impl AsRef<[u8]>) -> &mut Self {
        assert!(self.try_send(octets), "the proxy reads");
        self
    }

    /// The same where the proxy may have closed.
    pub fn try_send(&mut self, octets: impl AsRef<[u8]>) -> bool {
        let sent = self.reader.source.write_all(octets.as_ref());
        sent.and_then(|()| self.reader.source.flush()).is_ok()
    }

    /// Sends a request that ends with its head; on which stream.
    #[track_caller]
    pub fn ask(&mut self, fields: &[(&str, &str)]) -> u32 {
        self.start(END_STREAM, fields)
    }

    /// Sends the head of a request; on which stream.
    #[track_caller]
    pub fn start(&mut self, flags: u8, fields: &[(&str, &str)]) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.send(headers(stream, flags, fields));
        stream
    }

    /// The next request has this stream.
    pub fn skip_to(&mut self, stream: u32) {
        self.next = stream;
    }

    /// A `GET` and its answer.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Got {
        let stream = self.ask(&get(path));
        self.answer(stream)
    }

    /// All that comes on a stream, up to its end or reset.
    #[track_caller]
    pub fn answer(&mut self, stream: u32) -> Got {
        self.until("the stream ends", |peer| peer.on(stream).is_over());
        self.on(stream)
    }

    /// What came on a stream so far.
    pub fn on(&self, stream: u32) -> Got {
        self.streams.get(&stream).cloned().unwrap_or_default()
    }

    /// Reads on until something is true.
    #[track_caller]
    pub fn until(&mut self, what: &str, is_true: impl Fn(&Self) -> bool) {
        while !is_true(self) {
            assert!(
                self.step(),
                "the connection ended before: {what}; {:?}, {:?}",
                self.goaways,
                self.streams
            );
        }
    }

    /// Reads to the end of the connection.
    pub fn end(&mut self) -> End {
        while self.step() {}
        self.goaways.last().map_or(End::Silent, |(code, _)| End::GoAway(*code))
    }

    /// Waits until the proxy has read all that was sent.
    #[track_caller]
    pub fn settle(&mut self) {
        let mark = [b"settled", &[u8::try_from(self.pongs.len() % 256).unwrap()][..]].concat();
        self.send(frame(PING, 0, 0, &mark));
        self.until("a PING is answered", |peer| peer.pongs.last() == Some(&mark));
    }

    /// Whether a PING with these octets is answered, and the connection has not ended before.
    pub fn hears(&mut self, mark: &[u8]) -> bool {
        while self.pongs.last().is_none_or(|pong| pong != mark) {
            if !self.step() {
                return false;
            }
        }
        true
    }

    /// Takes the next frame; false at the end.
    fn step(&mut self) -> bool {
        let Some(frame) = self.frame() else { return false };
        self.take(frame);
        true
    }

    fn frame(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.reader.take(9).try_into().ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        assert!(length <= LONGEST, "a frame of {length} octets");
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = self.reader.take(length);
        (payload.len() == length).then_some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    fn take(&mut self, frame: Frame) {
        let Frame { kind, flags, stream, payload } = frame;
        let has = |flag| flags & flag != 0;
        assert!(self.section.is_none() || kind == CONTINUATION, "a field section is interrupted by {kind}");
        match kind {
            DATA => self.take_data(stream, has(END_STREAM), &payload),
            HEADERS => {
                assert!(!has(PADDED) && !has(WITH_PRIORITY), "the proxy has no use for these");
                self.section = Some((stream, flags, payload));
            }
            CONTINUATION => {
                let (of, _, section) = self.section.as_mut().expect("a CONTINUATION continues something");
                assert_eq!(*of, stream);
                section.extend(payload);
            }
            RST_STREAM => {
                let got = self.streams.entry(stream).or_default();
                assert!(got.reset.is_none(), "reset twice");
                got.reset = Some(number(&payload));
            }
            SETTINGS if has(ACK) => self.acknowledged += 1,
            SETTINGS => {
                assert!(stream == 0 && payload.len() % 6 == 0);
                for value in payload.chunks(6) {
                    self.settings.insert(u16::from_be_bytes([value[0], value[1]]), number(&value[2..]));
                }
                self.try_send(super::raw_http2::frame(SETTINGS, ACK, 0, []));
            }
            PING if has(ACK) => self.pongs.push(payload),
            PING => drop(self.try_send(super::raw_http2::frame(PING, ACK, 0, payload))),
            GOAWAY => self.goaways.push((number(&payload[4..8]), number(&payload[..4]))),
            WINDOW_UPDATE => assert!(number(&payload) > 0, "a window grows"),
            other => panic!("a frame of type {other}"),
        }
        if matches!(kind, HEADERS | CONTINUATION) && has(END_HEADERS) {
            self.take_section();
        }
    }

    fn take_data(&mut self, stream: u32, ends: bool, octets: &[u8]) {
        let count = i64::try_from(octets.len()).unwrap();
        let window = self.window;
        let got = self.streams.entry(stream).or_default();
        assert!(!got.ended && got.trailers.is_none(), "data behind the end of {stream}");
        assert!(got.status() >= 200, "data before a head");
        got.body.extend(octets);
        (got.received, got.ended) = (got.received + count, ends);
        self.received += count;
        assert!(got.received <= window + got.granted, "more than stream {stream} has room for");
        assert!(self.received <= self.granted, "more than the connection has room for");
        if self.reading == Reading::Freely && count > 0 {
            (got.granted, self.granted) = (got.granted + count, self.granted + count);
            let more = u32::try_from(count).unwrap();
            let of_stream = if ends { Vec::new() } else { window_update(stream, more) };
            self.try_send([window_update(0, more), of_stream].concat());
        }
        self.check_end(stream);
    }

    /// Lets the proxy send more.
    pub fn grant(&mut self, stream: u32, octets: u32) {
        match stream {
            0 => self.granted += i64::from(octets),
            _ => self.streams.entry(stream).or_default().granted += i64::from(octets),
        }
        self.send(window_update(stream, octets));
    }

    fn take_section(&mut self) {
        let (stream, flags, octets) = self.section.take().expect("a field section");
        let fields = self.decoder.decode(&octets).expect("a field section is HPACK");
        let text = |octets: Vec<u8>| String::from_utf8(octets).expect("fields are text");
        let fields: Fields = fields.into_iter().map(|(name, value)| (text(name), text(value))).collect();
        let got = self.streams.entry(stream).or_default();
        assert!(!got.is_over(), "fields behind the end of {stream}: {fields:?}");
        let ends = flags & END_STREAM != 0;
        if got.head.is_empty() {
            assert_is_head(&fields);
            let is_interim = fields[0].1.starts_with('1');
            assert!(!is_interim || !ends, "an interim response ends nothing");
            if is_interim { got.interim.push(fields) } else { got.head = fields }
        } else {
            assert!(ends, "trailers end a stream");
            assert!(fields.iter().all(|(name, _)| !name.starts_with(':')), "{fields:?}");
            got.trailers = Some(fields);
        }
        got.ended = ends;
        self.check_end(stream);
    }

    /// A body that has ended is as long as its head says (§8.1.1). Those without one have no octets to count.
    fn check_end(&self, stream: u32) {
        let got = &self.streams[&stream];
        let length = got.field("content-length").map(|length| length.parse::<usize>().expect("a length"));
        let has_body = !got.body.is_empty();
        let fits = |length| length == got.body.len() || !has_body && length > 0;
        assert!(!got.ended || length.is_none_or(fits), "{length:?}, but {}", got.body.len());
    }
}

/// The status first, everything in lower case, and nothing of the hop before (§8.2, §8.3.2).
fn assert_is_head(fields: &Fields) {
    const CONNECTION: [&str; 5] =
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    assert_eq!(fields[0].0, ":status", "{fields:?}");
    for (name, value) in &fields[1..] {
        let is_token =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.!#$%&'*+^`|~".contains(&b);
        assert!(name.bytes().all(is_token), "{name:?}");
        assert!(!CONNECTION.contains(&name.as_str()), "{name} belongs to one hop");
        assert!(!value.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)), "{value:?}");
    }
}

fn number(octets: &[u8]) -> u32 {
    u32::from_be_bytes(octets.try_into().expect("four octets"))
}
