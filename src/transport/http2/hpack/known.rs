//! The table that never changes (RFC 7541 Appendix A).

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderName, StatusCode};

use super::decoder::{Entry, Name};
use super::{KNOWN, OVERHEAD};

/// Its entries, beginning with that of index 1.
pub(super) static ENTRIES: LazyLock<[Entry; KNOWN]> = LazyLock::new(|| {
    TABLE.map(|(name, value)| Entry {
        size: name.len() + value.len() + OVERHEAD,
        name: Name::parse(name.as_bytes()),
        value: Bytes::from_static(value.as_bytes()),
        wrong: None,
    })
});

const TABLE: [(&str, &str); KNOWN] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The index of `:status`, with the status 200.
pub(super) const STATUS: usize = 8;
/// The index of the first field that is none of HTTP/2's own.
const FIRST_FIELD: usize = 15;

/// The index of a status; none if it has none.
pub(super) fn status(status: StatusCode) -> Option<usize> {
    const HAVE: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    HAVE.iter().position(|known| *known == status.as_u16()).map(|place| STATUS + place)
}

/// The index of a name; none if it has none.
pub(super) fn name(name: &HeaderName) -> Option<usize> {
    let fields = TABLE.get(FIRST_FIELD - 1..)?;
    fields.iter().position(|(known, _)| *known == name.as_str()).map(|place| FIRST_FIELD + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::header;

    #[test]
    fn names_and_statuses_have_their_index() {
        assert_eq!((name(&header::ACCEPT_CHARSET), name(&header::WWW_AUTHENTICATE)), (Some(15), Some(61)));
        assert_eq!((name(&header::SET_COOKIE), name(&header::ORIGIN)), (Some(55), None));
        assert_eq!((status(StatusCode::OK), status(StatusCode::NOT_FOUND)), (Some(8), Some(13)));
        assert_eq!(status(StatusCode::CREATED), None);
        assert!(ENTRIES.iter().all(|entry| entry.name != Name::Unfit));
    }
}
