//! HTTP/2 frames by hand (RFC 9113 §4), for backends that do what no library lets them do.

use crate::support::Conn;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const REFUSED_STREAM: u32 = 7;

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Reads what a client begins with (RFC 9113 §3.4).
pub(crate) fn preface(conn: &mut Conn) {
    assert_eq!(conn.reader.take(24), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

/// Says what a server begins with; no setting has another value than its default.
pub(crate) fn greet(conn: &mut Conn) {
    conn.send(frame(SETTINGS, 0, 0, &[]));
}

/// The next frame that says something of a request; what concerns the connection is answered.
pub(crate) fn next(conn: &mut Conn) -> Option<Frame> {
    loop {
        let head = conn.reader.take(9);
        let (length, rest) = head.split_first_chunk::<3>()?;
        let length = length.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
        let &[kind, flags, ref stream @ ..] = rest else { return None };
        let stream = u32::from_be_bytes(stream.try_into().ok()?);
        let payload = conn.reader.take(length);
        match kind {
            SETTINGS if flags & ACK == 0 => drop(conn.send(frame(SETTINGS, ACK, 0, &[]))),
            PING if flags & ACK == 0 => drop(conn.send(frame(PING, ACK, 0, &payload))),
            DATA | HEADERS | RST_STREAM => return Some(Frame { kind, stream }),
            _ => {}
        }
    }
}

/// The stream of the next request.
pub(crate) fn request(conn: &mut Conn) -> Option<u32> {
    loop {
        let next = next(conn)?;
        if next.kind == HEADERS {
            return Some(next.stream);
        }
    }
}

/// A 200 with this body.
pub(crate) fn answer(conn: &mut Conn, stream: u32, body: &str) {
    begin(conn, stream);
    conn.send(frame(DATA, END_STREAM, stream, body.as_bytes()));
}

/// The head of a 200 (in HPACK's static table, RFC 7541 appendix A, it is number 8).
pub(crate) fn begin(conn: &mut Conn, stream: u32) {
    conn.send(frame(HEADERS, END_HEADERS, stream, &[0x88]));
}

pub(crate) fn data(conn: &mut Conn, stream: u32, data: &str) {
    conn.send(frame(DATA, 0, stream, data.as_bytes()));
}

pub(crate) fn reset(conn: &mut Conn, stream: u32, reason: u32) {
    conn.send(frame(RST_STREAM, 0, stream, &reason.to_be_bytes()));
}

/// Takes no request behind `last`.
pub(crate) fn go_away(conn: &mut Conn, last: u32) {
    conn.send(last_words(last));
}

/// Greets, and takes no request at all: in one write, so that nobody sees the one without the other.
pub(crate) fn greet_and_go(conn: &mut Conn) {
    conn.send([frame(SETTINGS, 0, 0, &[]), last_words(0)].concat());
}

fn last_words(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), 0_u32.to_be_bytes()].concat())
}
