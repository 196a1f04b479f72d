//! Names of fields, recognised in the octets of a head.

use std::sync::LazyLock;

use http::{HeaderName, header};

/// Names that messages often have, at their [`Print::place`] or in the next free ones behind it.
static KNOWN: LazyLock<[Option<Known>; PLACES]> = LazyLock::new(|| {
    let mut known = [const { None }; PLACES];
    for name in OFTEN.iter().chain(&OTHERS.map(HeaderName::from_static)) {
        let print = Print::of(name.as_str().as_bytes());
        let mut behind = known.iter_mut().skip(print.place());
        if let Some(place) = behind.find(|place| place.is_none()) {
            *place = Some(Known { print, name: name.clone() });
        }
    }
    known
});

/// Of which the last few are nobody's first.
const PLACES: usize = FIRST + 8;
const FIRST: usize = 128;

struct Known {
    print: Print,
    name: HeaderName,
}

/// What a name is known by at a glance: its length, and its first and last octets, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print {
    first: u64,
    last: u64,
    length: usize,
}

/// Turns letters to lower case, and leaves digits and hyphens what they are: names that are known have no others. Another
/// octet of a token never becomes one of theirs.
const LOWER: u64 = 0x2020_2020_2020_2020;

impl Print {
    /// Of at least four octets; shorter names are told by their length and all octets.
    fn of(name: &[u8]) -> Self {
        let length = name.len();
        let (first, last) =
            if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
                (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
            } else if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
                (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
            } else {
                (name.iter().fold(0, |so_far, octet| so_far << 8 | u64::from(*octet)), 0)
            };
        Self { first: first | LOWER, last: last | LOWER, length }
    }

    fn place(&self) -> usize {
        let mixed =
            (self.first ^ self.last.rotate_left(29) ^ self.length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 57) as usize % FIRST
    }
}

#[allow(clippy::declare_interior_mutable_const, reason = "names are never changed")]
const OFTEN: [HeaderName; 34] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::ACCEPT_RANGES,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::HOST,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::ORIGIN,
    header::PRAGMA,
    header::RANGE,
    header::REFERER,
    header::SERVER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::UPGRADE_INSECURE_REQUESTS,
    header::USER_AGENT,
    header::VARY,
    header::X_CONTENT_TYPE_OPTIONS,
];

const OTHERS: [&str; 15] = [
    "keep-alive",
    "priority",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "traceparent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// The name that these octets of a token are; `None` if they are none. Those that are known are not parsed.
pub(crate) fn name(octets: &[u8]) -> Option<HeaderName> {
    let print = Print::of(octets);
    let behind = KNOWN.get(print.place()..).unwrap_or_default().iter();
    let known = behind.map_while(Option::as_ref).find(|known| known.print == print && known.is(octets));
    known.map(|known| known.name.clone()).or_else(|| HeaderName::from_bytes(octets).ok())
}

impl Known {
    /// Looks at what its print does not tell.
    fn is(&self, octets: &[u8]) -> bool {
        octets.len() <= 16 || self.name.as_str().as_bytes().eq_ignore_ascii_case(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_in_any_case() {
        for known in OFTEN.iter().map(HeaderName::as_str).chain(OTHERS) {
            assert_eq!(name(known.as_bytes()).expect("a name"), known);
            assert_eq!(name(known.to_ascii_uppercase().as_bytes()).expect("a name"), known);
        }
        // The same but for one bit of an octet that is no letter's.
        for other in ["x@other", "ra~ge", "x_request-id", "accep\u{54}", "content_length"] {
            assert_eq!(name(other.as_bytes()), HeaderName::from_bytes(other.as_bytes()).ok(), "{other}");
        }
        for other in ["x-other", "cookiE2", "hos", "sec-fetch-mod"] {
            assert_eq!(name(other.as_bytes()), HeaderName::from_bytes(other.as_bytes()).ok(), "{other}");
        }
        assert_eq!(name(b"a b"), None);
        assert_eq!(name(b""), None);
    }

    #[test]
    fn all_have_a_place_and_few_are_looked_at_for_one() {
        assert_eq!(KNOWN.iter().flatten().count(), OFTEN.len() + OTHERS.len());
        let runs = KNOWN.split(Option::is_none).map(<[_]>::len);
        assert!(runs.max() <= Some(9));
    }
}
