//! What the fields of a message say of its framing, its hop and its client: found in one pass, for of most there is
//! nothing to find.

use http::HeaderName;

use super::{Fields, has_token, is_disguised, is_hop_by_hop};

/// Which fields of interest a message has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub struct Seen {
    /// How many `Host` fields there are.
    pub hosts: u32,
    /// `Content-Length`.
    pub content_length: bool,
    /// `Transfer-Encoding`.
    pub transfer_encoding: bool,
    /// The last transfer coding is `chunked`.
    pub chunked: bool,
    /// `Connection` with `close`.
    pub close: bool,
    /// `Connection` with `keep-alive`.
    pub keep_alive: bool,
    /// `Upgrade`.
    pub upgrade: bool,
    /// `Expect`.
    pub expect: bool,
    /// `Expect` for nothing but to be told to go on (RFC 9110 §10.1.1).
    pub continues: bool,
    /// `X-Request-Id`.
    pub request_id: bool,
    /// `TE` with `trailers` (RFC 9110 §10.1.4).
    pub trailers: bool,
    /// `X-Client-Cert-Subject`.
    pub(super) subject: bool,
    /// Any of `X-Forwarded-For`, `-Proto` and `-Host`.
    pub(super) forwarded: bool,
    /// Any field that belongs to one hop.
    pub hop: bool,
    /// `Connection` with more than words of its own: with names of fields, which belong to that hop too.
    pub(super) named: bool,
    /// A field that passes for one of the proxy's own.
    pub(super) disguised: bool,
}

impl Seen {
    /// Looks at every field once.
    pub fn look(fields: &Fields) -> Self {
        let mut seen = Self::default();
        for (name, value) in fields.iter() {
            seen.add(name, value);
        }
        seen
    }

    /// Looks at one more.
    #[inline]
    pub(crate) fn add(&mut self, name: &HeaderName, value: &[u8]) {
        let name = name.as_str();
        if may_be_of_interest(name) {
            self.look_at(name, value);
        }
    }

    fn look_at(&mut self, name: &str, value: &[u8]) {
        match name {
            "host" => self.hosts += 1,
            "content-length" => self.content_length = true,
            "expect" => {
                self.expect = true;
                self.continues = value.eq_ignore_ascii_case(b"100-continue");
            }
            "x-request-id" => self.request_id = true,
            "x-client-cert-subject" => self.subject = true,
            "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" => self.forwarded = true,
            _ if is_hop_by_hop(name) => self.look_at_hop(name, value),
            _ => self.disguised |= is_disguised(name),
        }
    }

    fn look_at_hop(&mut self, name: &str, value: &[u8]) {
        self.hop = true;
        match name {
            "connection" => {
                for option in value.split(|&octet| octet == b',').map(<[u8]>::trim_ascii) {
                    let (close, keep_alive) =
                        (option.eq_ignore_ascii_case(b"close"), option.eq_ignore_ascii_case(b"keep-alive"));
                    self.close |= close;
                    self.keep_alive |= keep_alive;
                    self.named |= !(close || keep_alive);
                }
            }
            "transfer-encoding" => {
                self.transfer_encoding = true;
                let last = value.rsplit(|&octet| octet == b',').next().unwrap_or_default();
                self.chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            }
            "upgrade" => self.upgrade = true,
            "te" => self.trailers |= has_token(value, "trailers"),
            _ => {}
        }
    }
}

/// Whether a name begins and is as long as one that [`Seen`] knows: passes over what browsers send without comparing it.
fn may_be_of_interest(name: &str) -> bool {
    let initial = name.as_bytes().first().copied().unwrap_or_default();
    matches!(
        (initial, name.len()),
        (b'x', 12..=21)
            | (b'c', 10 | 14)
            | (b'k', 10)
            | (b'u', 7)
            | (b't', 2 | 7 | 17)
            | (b'p', 16..=19)
            | (b'h', 4 | 14)
            | (b'e', 6)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::HeaderValue;

    fn seen(fields: &[(&'static str, &'static str)]) -> Seen {
        let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        Seen::look(&fields.iter().map(field).collect())
    }

    const HOP_BY_HOP: [&str; 11] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "x-session-epoch",
    ];

    #[test]
    fn every_name_of_interest_is_seen() {
        for name in HOP_BY_HOP {
            assert!(is_hop_by_hop(name) && seen(&[(name, "x")]).hop, "{name}");
        }
        for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
            assert!(seen(&[(name, "x")]).forwarded, "{name}");
        }
        for name in ["x_forwarded_for", "x-client-cert_subject", "x_session-epoch"] {
            assert!(seen(&[(name, "x")]).disguised, "{name}");
        }
        assert!(seen(&[("x-request-id", "x")]).request_id && seen(&[("upgrade", "x")]).upgrade);
        assert!(seen(&[("x-client-cert-subject", "x")]).subject);
        assert_eq!(seen(&[("host", "a"), ("host", "b")]).hosts, 2);
        assert!(seen(&[("content-length", "1")]).content_length);
        assert_eq!(seen(&[("user-agent", "x"), ("x-under_score-only", "x")]), Seen::default());
    }

    #[test]
    fn what_they_say_is_seen() {
        let expects = |value| seen(&[("expect", value)]);
        assert!(expects("100-Continue").continues && expects("x").expect && !expects("x").continues);
        let te = |value| seen(&[("te", value)]).trailers;
        assert!(te("trailers") && te("gzip;q=0.5, Trailers") && !te("trailers;q=1") && !te(""));
        let codings = |value| seen(&[("transfer-encoding", value)]);
        assert!(
            codings("gzip, Chunked").chunked
                && codings("x").transfer_encoding
                && !codings("chunked, x").chunked
        );
        let connection = |value| {
            let seen = seen(&[("connection", value)]);
            (seen.close, seen.keep_alive, seen.named)
        };
        assert_eq!(connection("Keep-Alive"), (false, true, false));
        assert_eq!(connection("close, X-Once"), (true, false, true));
        let twice = seen(&[("connection", "close"), ("connection", "keep-alive")]);
        assert!(twice.close && twice.keep_alive);
    }
}
