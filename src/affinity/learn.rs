//! Keys that a response teaches: those a backend issues in `Set-Cookie` or another header.

use std::borrow::Cow;

use cookie::Cookie;
use http::{HeaderMap, header};

use super::source::unquoted;
use crate::clock::Now;
use crate::config::KeySource;

/// Calls `learn` for every key that `sources` find in a response. Set-Cookie lines are read, never changed.
pub fn taught<'a>(
    sources: &'a [KeySource],
    response: &'a HeaderMap,
    now: Now,
    mut learn: impl FnMut(Cow<'a, [u8]>),
) {
    for source in sources {
        match source {
            KeySource::Cookie(name) => {
                let lines = response.get_all(header::SET_COOKIE).iter();
                lines.filter_map(|line| issued(line.as_bytes(), name.as_bytes(), now)).for_each(&mut learn);
            }
            KeySource::Header(name) => {
                let values = response.get_all(name).iter().map(|value| value.as_bytes().trim_ascii());
                values.filter(|value| !value.is_empty()).for_each(|value| learn(Cow::Borrowed(value)));
            }
            KeySource::Query(_)
            | KeySource::Path(_)
            | KeySource::ClientIp
            | KeySource::Host
            | KeySource::Jwt { .. } => {}
        }
    }
}

/// The value of a `Set-Cookie` line that sets `name` to something (RFC 6265 §5.2). A line that ends the cookie issues
/// nothing.
fn issued<'a>(line: &'a [u8], name: &[u8], now: Now) -> Option<Cow<'a, [u8]>> {
    let pair = line.split(|&b| b == b';').next()?.trim_ascii();
    let (found, value) = pair.split_at(pair.iter().position(|&b| b == b'=')?);
    let value = unquoted(value.strip_prefix(b"=")?.trim_ascii());
    let issues = found.trim_ascii() == name && !value.is_empty() && !ends(line, now);
    issues.then_some(Cow::Borrowed(value))
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
        let mut headers = HeaderMap::new();
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
        taught(&sources, &headers, Now(1_800_000_000_000_000), |key| keys.push(key.into_owned()));
        assert_eq!(keys, [b"one".to_vec(), b"two".to_vec()]);
    }
}
