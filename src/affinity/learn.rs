//! Keys that a response's head teaches: those a backend issues in `Set-Cookie` or another header. What its body
//! teaches is found by [`super::body`].

use std::borrow::Cow;

use cookie::Cookie;
use http::header;

use super::source::unquoted;
use crate::clock::Now;
use crate::config::KeySource;
use crate::headers::Fields;

/// What a response says of a session key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taught<'a> {
    /// This key is the backend's.
    Issued(Cow<'a, [u8]>),
    /// The client is to forget the key it has from the source at this position.
    TakenBack(usize),
}

/// Calls `learn` for everything that `sources` find in a response's head. Set-Cookie lines are read, never changed.
pub fn taught<'a>(
    sources: &'a [KeySource],
    response: &'a Fields,
    now: Now,
    mut learn: impl FnMut(Taught<'a>),
) {
    for (position, source) in sources.iter().enumerate() {
        match source {
            KeySource::Cookie(name) => {
                let lines = || response.get_all(&header::SET_COOKIE);
                let said = || lines().filter_map(|line| cookie_line(line, name.as_bytes(), now));
                // A namesake of another path may be taken back beside what is issued, and that counts.
                if said().any(|value| value.is_none()) {
                    learn(Taught::TakenBack(position));
                }
                said().flatten().for_each(|value| learn(Taught::Issued(value)));
            }
            KeySource::Header(name) => {
                let values = response.get_all(name).map(<[u8]>::trim_ascii);
                let values = values.filter(|value| !value.is_empty());
                values.for_each(|value| learn(Taught::Issued(Cow::Borrowed(value))));
            }
            KeySource::Query(_)
            | KeySource::Path(_)
            | KeySource::ClientIp
            | KeySource::Sni
            | KeySource::Host
            | KeySource::Body(_)
            | KeySource::Jwt { .. } => {}
        }
    }
}

/// What a `Set-Cookie` line says of the cookie `name` (RFC 6265 §5.2): its value, or within that nothing if the line
/// takes the cookie back. `None` where it is about another cookie.
#[allow(clippy::option_option, reason = "about another cookie, and about this one without a value")]
fn cookie_line<'a>(line: &'a [u8], name: &[u8], now: Now) -> Option<Option<Cow<'a, [u8]>>> {
    let pair = line.split(|&b| b == b';').next()?.trim_ascii();
    let (found, value) = pair.split_at(pair.iter().position(|&b| b == b'=')?);
    if found.trim_ascii() != name {
        return None;
    }
    let value = unquoted(value.strip_prefix(b"=")?.trim_ascii());
    let issues = !value.is_empty() && !ends(line, now);
    Some(issues.then_some(Cow::Borrowed(value)))
}

/// Whether a `Set-Cookie` line has the client forget the cookie.
fn ends(line: &[u8], now: Now) -> bool {
    let cookie = std::str::from_utf8(line).ok().and_then(|line| Cookie::parse(line).ok());
    let Some(cookie) = cookie else { return false };
    match (cookie.max_age(), cookie.expires_datetime()) {
        (Some(age), _) => !age.is_positive(),
        (None, Some(date)) => date.unix_timestamp() <= i64::from(now.secs()),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn every_line_teaches_and_attributes_do_not() {
        let mut headers = Fields::new();
        for line in [
            "sid=one; Path=/; sid=no",
            "other=2",
            "sid=\"two\"; HttpOnly; Max-Age=60",
            "sid=; Max-Age=0",
            "sid=deleted; Max-Age=0",
            "sid=deleted; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "broken",
        ] {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(line));
        }
        let sources = [KeySource::Cookie("sid".into())];
        let mut keys = Vec::new();
        taught(&sources, &headers, Now(1_800_000_000_000_000), |said| keys.push(said));
        let issued = |key: &'static [u8]| Taught::Issued(Cow::Borrowed(key));
        assert_eq!(keys, [Taught::TakenBack(0), issued(b"one"), issued(b"two")]);
    }
}
