//! Where WebSocket frames begin and end (RFC 6455 §5.2), so that a Close can be put between two of them.
//! Payloads are not looked at.

/// Follows one direction of a WebSocket, byte for byte.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Frames {
    at: At,
    /// A Close frame has begun: nothing may follow it.
    closed: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    /// Between two frames.
    #[default]
    Boundary,
    /// After the first octet.
    Length,
    /// Within the extended length: octets to come, the value so far, and what the mask adds.
    Extended { left: u8, value: u64, mask: u8 },
    /// Within mask and payload.
    Payload { left: u64 },
}

const CLOSE: u8 = 0x8;
const MASKED: u8 = 0x80;
const MASK_OCTETS: u8 = 4;

impl Frames {
    pub(super) fn at_boundary(&self) -> bool {
        self.at == At::Boundary
    }

    /// Whether this side has sent its Close.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Follows all of `bytes`.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// Follows `bytes` up to the next boundary; returns how many that are, all of them if there is none.
    pub(super) fn pass_to_boundary(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() && !self.at_boundary() {
            passed += self.step(&bytes[passed..]);
        }
        passed
    }

    /// Follows one octet of a header or as much of a payload as there is. `bytes` is not empty.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let octet = bytes[0];
        match self.at {
            At::Boundary => {
                self.closed |= octet & 0xf == CLOSE;
                // Most often the whole of a short frame is there.
                if let [_, length @ (0..126 | MASKED..254), payload @ ..] = bytes {
                    let mask = if length & MASKED == 0 { 0 } else { MASK_OCTETS };
                    let left = u64::from((length & !MASKED) + mask);
                    return 2 + self.follow(left, payload);
                }
                self.at = At::Length;
                1
            }
            At::Length => {
                let mask = if octet & MASKED == 0 { 0 } else { MASK_OCTETS };
                self.at = match octet & !MASKED {
                    126 => At::Extended { left: 2, value: 0, mask },
                    127 => At::Extended { left: 8, value: 0, mask },
                    short => payload(u64::from(short), mask),
                };
                1
            }
            At::Extended { left, value, mask } => {
                let value = value << 8 | u64::from(octet);
                self.at = if left == 1 {
                    payload(value, mask)
                } else {
                    At::Extended { left: left - 1, value, mask }
                };
                1
            }
            At::Payload { left } => self.follow(left, bytes),
        }
    }

    /// Follows as much of a payload as there is, of which `left` octets are to come.
    fn follow(&mut self, left: u64, bytes: &[u8]) -> usize {
        let here = left.min(bytes.len() as u64);
        self.at = if here == left { At::Boundary } else { At::Payload { left: left - here } };
        here as usize
    }
}

fn payload(length: u64, mask: u8) -> At {
    match length.saturating_add(u64::from(mask)) {
        0 => At::Boundary,
        left => At::Payload { left },
    }
}

/// A Close frame with a status code and a reason, as a server sends it.
pub(super) fn close_to_client(code: u16, reason: &str) -> Vec<u8> {
    let mut frame = vec![MASKED | CLOSE, (2 + reason.len()) as u8];
    frame.extend(code.to_be_bytes());
    frame.extend(reason.as_bytes());
    frame
}

/// The same as a client sends it: masked (RFC 6455 §5.3).
pub(super) fn close_to_backend(code: u16, reason: &str, mask: [u8; 4]) -> Vec<u8> {
    let mut frame = close_to_client(code, reason);
    frame[1] |= MASKED;
    let payload = frame.split_off(2);
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(octet, key)| octet ^ key));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of `length` octets, long form where it must be, masked or not.
    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { MASKED } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(mask | length as u8),
            126..65536 => {
                frame.push(mask + 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask + 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(std::iter::repeat_n(0x88, length + if masked { 4 } else { 0 }));
        frame
    }

    #[test]
    fn boundaries_are_found_however_the_bytes_are_cut() {
        for length in [0, 1, 125, 126, 127, 65535, 65536] {
            for masked in [false, true] {
                let bytes = frame(length, masked);
                for chunk in [1, 2, 3, 7, 100_000] {
                    let mut frames = Frames::default();
                    let mut boundaries = 0;
                    for part in bytes.chunks(chunk) {
                        frames.pass(part);
                        boundaries += usize::from(frames.at_boundary());
                    }
                    assert_eq!(boundaries, 1, "length {length}, cut by {chunk}");
                    assert!(frames.at_boundary() && !frames.is_closed());
                }
            }
        }
    }

    #[test]
    fn passing_to_a_boundary_stops_there() {
        let mut bytes = frame(300, false);
        let first = bytes.len();
        bytes.extend(frame(5, false));
        let mut frames = Frames::default();
        frames.pass(&bytes[..10]);
        assert_eq!(frames.pass_to_boundary(&bytes[10..]), first - 10);
        assert_eq!(frames.pass_to_boundary(&bytes[first..]), 0);
    }

    #[test]
    fn a_close_is_seen_and_made() {
        for bytes in [close_to_client(1001, "bye"), close_to_backend(1001, "bye", [1, 2, 3, 4])] {
            let mut frames = Frames::default();
            frames.pass(&bytes);
            assert!(frames.at_boundary() && frames.is_closed());
        }
        assert_eq!(close_to_client(1012, ""), [0x88, 2, 0x03, 0xf4]);
    }
}
