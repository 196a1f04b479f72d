//! The messages of `grpc.health.v1.Health/Check`, made and read by hand: one has a string, the other a number.
//! How they travel is [`super::probe`]'s.

use bytes::{BufMut, Bytes, BytesMut};

/// Where the question is asked.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// `SERVING` of `HealthCheckResponse.ServingStatus`.
const SERVING: u64 = 1;
/// The tag of field 1 as a varint.
const FIELD_1_VARINT: u64 = 0x08;
/// The same as octets with a length before them.
const FIELD_1_OCTETS: u8 = 0x0a;

/// A `HealthCheckRequest` for `service` as the one message of a stream: not compressed, its length, itself.
pub(super) fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(FIELD_1_OCTETS);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put(message);
    framed.freeze()
}

/// What is wrong with an answer, if anything: good is a `grpc-status` of 0 and a message that says `SERVING`.
pub(super) fn complaint(grpc_status: Option<&[u8]>, body: &[u8]) -> Option<String> {
    let status = grpc_status.and_then(|status| std::str::from_utf8(status).ok()?.parse::<u32>().ok());
    match status {
        Some(0) => {}
        Some(status) => return Some(format!("grpc-status {status}")),
        None => return Some("no grpc-status".to_owned()),
    }
    match serving_status(body) {
        Some(SERVING) => None,
        Some(0) => Some("UNKNOWN".to_owned()),
        Some(2) => Some("NOT_SERVING".to_owned()),
        Some(3) => Some("SERVICE_UNKNOWN".to_owned()),
        Some(other) => Some(format!("serving status {other}")),
        None => Some("no health message".to_owned()),
    }
}

/// The status in a `HealthCheckResponse`, 0 where it has none; `None` if that is not what it is.
fn serving_status(body: &[u8]) -> Option<u64> {
    let (head, rest) = body.split_at_checked(5)?;
    let length = u32::from_be_bytes(head.get(1..)?.try_into().ok()?) as usize;
    if head.first() != Some(&0) {
        return None;
    }
    let mut message = rest.get(..length)?;
    let mut status = 0;
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        // Fields that a later version may have are passed over, by their wire type.
        match tag & 0x7 {
            0 => {
                let value = take_varint(&mut message)?;
                status = if tag == FIELD_1_VARINT { value } else { status };
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// At most ten octets of seven bits each.
fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&octet, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(octet & 0x7f) << shift;
        if octet < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_its_service() {
        assert_eq!(question(""), &[0, 0, 0, 0, 0][..]);
        assert_eq!(question("a.B"), &[0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B'][..]);
        let long = question(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
        assert_eq!(long.len(), 5 + 3 + 300);
    }

    #[test]
    fn only_serving_is_good() {
        let said = |body: &[u8]| complaint(Some(b"0"), body);
        assert_eq!(said(&[0, 0, 0, 0, 2, 0x08, 1]), None);
        assert_eq!(said(&[0, 0, 0, 0, 2, 0x08, 2]).as_deref(), Some("NOT_SERVING"));
        assert_eq!(said(&[0, 0, 0, 0, 0]).as_deref(), Some("UNKNOWN"));
        assert_eq!(said(&[]).as_deref(), Some("no health message"));
        assert_eq!(complaint(Some(b"12"), &[]).as_deref(), Some("grpc-status 12"));
        assert_eq!(complaint(None, &[0, 0, 0, 0, 2, 0x08, 1]).as_deref(), Some("no grpc-status"));
    }

    #[test]
    fn other_fields_are_passed_over() {
        let message = [0x12, 2, 0x08, 9, 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x08, 0x81, 0x00];
        let body = [&[0, 0, 0, 0, message.len() as u8][..], &message].concat();
        assert_eq!(serving_status(&body), Some(1));
    }

    #[test]
    fn nonsense_is_no_message() {
        for body in [
            &[0, 0, 0, 0, 3, 0x08, 1][..],
            &[1, 0, 0, 0, 2, 0x08, 1],
            &[0, 0, 0, 0, 1, 0x08],
            &[0, 0, 0, 0, 2, 0x0b, 1],
            &[0, 0, 0, 0, 2, 0x12, 9],
            &[0, 0, 0, 0, 11, 0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255],
            &[0, 255, 255, 255, 255],
        ] {
            assert_eq!(serving_status(body), None, "{body:?}");
        }
    }
}
