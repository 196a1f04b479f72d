//! WebSockets by hand (RFC 6455): opening ones through a proxy, frames, and a backend that echoes.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::backend::{Backend, Conn};
use super::client::{Client, Response};
use super::message::Reader;
use super::wait::Events;

pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;

/// The handshake of RFC 6455 §1.3.
pub const ASK: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// The answer to [`ASK`], without its empty line.
pub const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The status code of a Close.
    pub fn code(&self) -> Option<u16> {
        let code = self.payload.first_chunk().filter(|_| self.opcode == CLOSE);
        code.map(|code| u16::from_be_bytes(*code))
    }
}

/// A final frame as a server sends it.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    encode(opcode, payload, None)
}

/// A final frame as a client sends it.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    encode(opcode, payload, Some([0x37, 0xfa, 0x21, 0x3d]))
}

fn encode(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    let flag = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        short @ 0..126 => frame.push(flag | u8::try_from(short).unwrap()),
        medium @ 126..65_536 => {
            frame.push(flag + 126);
            frame.extend(u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            frame.push(flag + 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| frame.extend(mask)).unwrap_or_default();
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(octet, key)| octet ^ key));
    frame
}

/// The next frame, unmasked if need be; `None` at the end.
pub fn read_frame<R: Read>(reader: &mut Reader<R>) -> Option<Frame> {
    let head = reader.take(2);
    let [first, second] = head[..] else { return None };
    let extended = match second & 0x7f {
        126 => reader.take(2),
        127 => reader.take(8),
        _ => vec![second & 0x7f],
    };
    let length = extended.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
    let mask = if second & 0x80 == 0 { vec![0] } else { reader.take(4) };
    let payload = reader.take(length);
    (payload.len() == length).then(|| Frame {
        opcode: first & 0xf,
        payload: payload.iter().zip(mask.iter().cycle()).map(|(octet, key)| octet ^ key).collect(),
    })
}

/// A client's end of a tunnel.
pub struct Tunnel<S = TcpStream> {
    pub client: Client<S>,
    /// The head of the 101.
    pub response: Response,
}

impl<S: Read + Write> Tunnel<S> {
    /// Opens a tunnel that must be granted.
    #[track_caller]
    pub fn open(mut client: Client<S>, target: &str) -> Self {
        client.send(super::get(target, &ASK));
        let response = client.head();
        assert_eq!(response.status, 101, "{response:?}");
        Self { client, response }
    }

    pub fn say(&mut self, text: &str) -> &mut Self {
        self.client.send(masked(TEXT, text.as_bytes()));
        self
    }

    /// The text of the next frame.
    #[track_caller]
    pub fn hear(&mut self) -> String {
        self.frame().expect("a frame").text()
    }

    pub fn frame(&mut self) -> Option<Frame> {
        read_frame(&mut self.client.reader)
    }

    /// Reads to the end, and answers a Close; its code, which must be the last frame.
    #[track_caller]
    pub fn close_code(&mut self) -> Option<u16> {
        let mut last = None;
        while let Some(frame) = self.frame() {
            if frame.opcode == CLOSE {
                // Nobody need be left to read it.
                let _ = self.client.reader.source.write_all(&masked(CLOSE, &frame.payload));
            }
            last = Some(frame);
        }
        last.and_then(|frame| frame.code())
    }
}

/// Greets each tunnel with `NAME EPOCH`, echoes what it hears, and notes in `events` when tunnels open and end:
/// `NAME opened TARGET`, `NAME closed TARGET`. Plain requests get its name, and are noted as `NAME asked TARGET`.
pub fn echo(name: &str, events: &Events) -> Backend {
    let (own, events) = (name.to_owned(), events.clone());
    Backend::start(name, move |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/healthz" {
                conn.send("HTTP/1.1 204 Fine\r\n\r\n");
            } else if request.field("upgrade").is_some() {
                events.note(format!("{own} opened {}", request.target()));
                let epoch = request.field("x-session-epoch").unwrap_or("-");
                conn.send(format!("{AGREE}\r\n"));
                conn.send(frame(TEXT, format!("{own} {epoch}").as_bytes()));
                echo_frames(conn);
                events.note(format!("{own} closed {}", request.target()));
                return;
            } else {
                events.note(format!("{own} asked {}", request.target()));
                conn.send(super::backend::ok(&own));
            }
        }
    })
}

/// Echoes until a Close, which it answers, or the end.
pub fn echo_frames(conn: &mut Conn) {
    while let Some(Frame { opcode, payload }) = read_frame(&mut conn.reader) {
        conn.send(frame(opcode, &payload));
        if opcode == CLOSE {
            return;
        }
    }
}
