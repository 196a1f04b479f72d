//! Frames as octets (RFC 9113 §4, §6): their heads, and those that are always alike.

use h2::Reason;

/// Octets of a frame's head.
pub(super) const HEAD: usize = 9;
/// Octets of the longest payload that is taken or sent: what holds where nothing else is agreed (§6.5.2).
pub(super) const LONGEST: usize = 16_384;
/// The largest number of a stream.
pub(super) const LAST_STREAM: u32 = (1 << 31) - 1;

/// Flags (§6).
pub(super) mod flag {
    pub(in super::super) const ACK: u8 = 0x1;
    pub(in super::super) const END_STREAM: u8 = 0x1;
    pub(in super::super) const END_HEADERS: u8 = 0x4;
    pub(in super::super) const PADDED: u8 = 0x8;
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

/// What a frame is (§6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    ResetStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// To be ignored (§4.1).
    Unknown,
}

impl Kind {
    fn of(octet: u8) -> Self {
        match octet {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::ResetStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Unknown,
        }
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    /// 0 for the connection.
    pub(super) stream: u32,
    /// Octets of its payload.
    pub(super) length: usize,
}

impl Head {
    pub(super) fn parse(octets: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *octets;
        Self {
            kind: Kind::of(kind),
            flags,
            // The first bit means nothing (§4.1).
            stream: u32::from_be_bytes(stream) & LAST_STREAM,
            length: u32::from_be_bytes([0, a, b, c]) as usize,
        }
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The head of a frame that is written; `length` is at most [`LONGEST`].
pub(super) fn head(kind: Kind, flags: u8, stream: u32, length: usize) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..3].copy_from_slice(&(length as u32).to_be_bytes()[1..]);
    [head[3], head[4]] = [kind as u8, flags];
    head[5..].copy_from_slice(&stream.to_be_bytes());
    head
}

fn write(out: &mut Vec<u8>, kind: Kind, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&head(kind, 0, stream, payload.len()));
    out.extend_from_slice(payload);
}

/// Resets a stream (§6.4).
pub(super) fn write_reset(out: &mut Vec<u8>, stream: u32, reason: Reason) {
    write(out, Kind::ResetStream, stream, &u32::from(reason).to_be_bytes());
}

/// Grants so many octets more (§6.9).
pub(super) fn write_window_update(out: &mut Vec<u8>, stream: u32, octets: u32) {
    write(out, Kind::WindowUpdate, stream, &octets.to_be_bytes());
}

/// Says that streams up to `last` are served, and no other (§6.8).
pub(super) fn write_go_away(out: &mut Vec<u8>, last: u32, reason: Reason) {
    let mut payload = [0; 8];
    payload[..4].copy_from_slice(&last.to_be_bytes());
    payload[4..].copy_from_slice(&u32::from(reason).to_be_bytes());
    write(out, Kind::GoAway, 0, &payload);
}

/// Asks whether the other side has read all before (§6.7), or answers that.
pub(super) fn write_ping(out: &mut Vec<u8>, flags: u8, octets: [u8; 8]) {
    out.extend_from_slice(&head(Kind::Ping, flags, 0, octets.len()));
    out.extend_from_slice(&octets);
}

/// Acknowledges settings (§6.5.3).
pub(super) fn write_settings_ack(out: &mut Vec<u8>) {
    out.extend_from_slice(&head(Kind::Settings, flag::ACK, 0, 0));
}

/// Settings (§6.5).
pub(super) fn write_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    out.extend_from_slice(&head(Kind::Settings, 0, 0, 6 * settings.len()));
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Names of settings (§6.5.2, RFC 8441 §3).
pub(super) mod setting {
    pub(in super::super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super) const MAX_FRAME_SIZE: u16 = 5;
    pub(in super::super) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(in super::super) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}
