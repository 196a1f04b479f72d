//! Taking a session key out of a request. No allocation unless something must be decoded.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header;
use memchr::memchr;
use percent_encoding::percent_decode;

use super::{Facts, jwt};
use crate::config::{KeySource, PathTemplate, Segment};
use crate::headers::Fields;
use crate::path::{is_same, segments};

/// The key that `source` finds in a request; empty values count as absent. O(length of what is looked through).
pub fn extract<'a>(source: &KeySource, facts: &Facts<'a>) -> Option<Cow<'a, [u8]>> {
    let key = match source {
        KeySource::Cookie(name) => cookie(facts.headers, name).map(Cow::Borrowed),
        KeySource::Header(name) => facts.headers.get(name).map(|value| Cow::Borrowed(value.trim_ascii())),
        KeySource::Query(name) => query(facts.uri.query()?, name),
        KeySource::Path(template) => captured(facts.uri.path(), template),
        KeySource::Sni => facts.sni.map(|name| Cow::Borrowed(name.as_bytes())),
        KeySource::ClientIp => Some(Cow::Owned(address(facts.client_ip))),
        KeySource::Host => Some(Cow::Borrowed(facts.host.as_bytes())),
        KeySource::Body(_) => None,
        KeySource::Jwt { claim, place } => jwt::claim(claim, place, facts).map(Cow::Owned),
    };
    key.filter(|bytes| !bytes.is_empty())
}

/// The value of the first cookie called `name` over all `Cookie` fields, without surrounding quotes (RFC 6265 §4.2.1).
pub(super) fn cookie<'a>(headers: &'a Fields, name: &str) -> Option<&'a [u8]> {
    cookies(headers, name).next()
}

/// The values of all cookies called `name`, in the order in which the client sent them.
pub(super) fn cookies<'a>(headers: &'a Fields, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let fields = headers.get_all(&header::COOKIE);
    fields.flat_map(|field| Pairs(Some(field))).filter_map(move |pair| value_of(pair, name))
}

/// The value in `name=value`, if that is its name.
pub(super) fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let value = pair.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
    Some(unquoted(value.trim_ascii()))
}

/// What stands between the semicolons of a `Cookie` field, space included; holds what is left of it.
pub(super) struct Pairs<'a>(pub(super) Option<&'a [u8]>);

impl<'a> Iterator for Pairs<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let (pair, rest) = match memchr(b';', rest) {
            Some(end) => (&rest[..end], rest.get(end + 1..)),
            None => (rest, None),
        };
        self.0 = rest;
        Some(pair)
    }
}

/// A cookie's value without the quotes that may surround it.
pub(super) fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// The first parameter called `name`, percent-decoded once, `+` meaning a space. Octets, as keys from elsewhere are:
/// what is not UTF-8 stays what it is.
pub(super) fn query<'a>(query: &'a str, name: &str) -> Option<Cow<'a, [u8]>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (*decoded(key) == *name.as_bytes()).then(|| decoded(value))
    })
}

fn decoded(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        return Cow::Owned(percent_decode(text.replace('+', " ").as_bytes()).collect());
    }
    Cow::from(percent_decode(text.as_bytes()))
}

/// The captured segment of a path that fits `template`, percent-decoded once. It is the same for every spelling.
fn captured<'a>(path: &'a str, template: &PathTemplate) -> Option<Cow<'a, [u8]>> {
    let mut segments = segments(path).ok()?;
    let mut key = None;
    for wanted in &template.segments {
        let segment = segments.next()?;
        match wanted {
            Segment::Literal(text) if !is_same(text, segment) => return None,
            Segment::Capture(_) => key = Some(Cow::from(percent_decode(segment.as_bytes()))),
            Segment::Literal(_) | Segment::Any => {}
        }
    }
    key
}

fn address(ip: IpAddr) -> Vec<u8> {
    ip.to_canonical().to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Uri};

    fn found(source: &KeySource, uri: &str, cookies: &[&str]) -> Option<String> {
        let uri: Uri = uri.parse().expect("a URI");
        let mut headers = Fields::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_str(cookie).expect("a value"));
        }
        let facts =
            Facts { host: "h", uri: &uri, headers: &headers, client_ip: [127, 0, 0, 1].into(), sni: None };
        extract(source, &facts).map(|key| String::from_utf8(key.into_owned()).expect("text"))
    }

    fn room() -> KeySource {
        let literal = Segment::Literal("game".into());
        KeySource::Path(PathTemplate { segments: vec![literal, Segment::Capture("room".into())] })
    }

    #[test]
    fn cookies_are_found_whole_in_any_field() {
        let sid = KeySource::Cookie("sid".into());
        assert_eq!(found(&sid, "/", &["a=1; sid=x; sid=y"]).as_deref(), Some("x"));
        assert_eq!(found(&sid, "/", &["xsid=no; sid2=no", "b=2;sid=\"q\""]).as_deref(), Some("q"));
        assert_eq!(found(&sid, "/", &["sid=", "sidx=1"]), None);
        assert_eq!(found(&sid, "/", &["sid = spaced"]), None);
        assert_eq!(found(&sid, "/", &["a=sid=no;sid=yes"]).as_deref(), Some("yes"));
        assert_eq!(found(&sid, "/", &["sidsid=no; sid=\t"]), None);
        let twin = KeySource::Cookie("aa".into());
        assert_eq!(found(&twin, "/", &["aaa=no; aa=yes"]).as_deref(), Some("yes"));
    }

    #[test]
    fn paths_fit_on_whole_segments() {
        assert_eq!(found(&room(), "/game/7/watch", &[]).as_deref(), Some("7"));
        assert_eq!(found(&room(), "/game/a%20b", &[]).as_deref(), Some("a b"));
        assert_eq!(found(&room(), "/games/7", &[]), None);
        assert_eq!(found(&room(), "/game", &[]), None);
        assert_eq!(found(&room(), "/game/", &[]), None);
        assert_eq!(found(&room(), "/game//", &[]), None);
    }

    #[test]
    fn a_room_is_one_key_whichever_way_it_is_spelt() {
        for path in
            ["/game/7", "/game/%37", "//game/7", "/x/../game/7", "/./game/7", "/game//7/", "/%67ame/./7"]
        {
            assert_eq!(found(&room(), path, &[]).as_deref(), Some("7"), "{path}");
        }
        for path in ["/game/group%2Fproject", "/game/./group%2fproject/watch", "/%67ame//%67roup%2Fproject"] {
            assert_eq!(found(&room(), path, &[]).as_deref(), Some("group/project"), "{path}");
        }
        assert_eq!(found(&room(), "/game%2F7", &[]), None);
        assert_eq!(found(&room(), "/game/7/../8", &[]).as_deref(), Some("8"));
        assert_eq!(found(&room(), "/game/7/..%2F8", &[]), None);
    }

    #[test]
    fn literals_of_a_template_may_be_encoded() {
        let source = KeySource::parse("path:/a%20b/{room}").expect("a source");
        assert_eq!(found(&source, "/%61%20b/7", &[]).as_deref(), Some("7"));
        assert_eq!(found(&source, "/a%2520b/7", &[]), None);
    }

    #[test]
    fn queries_are_decoded_once() {
        let q = KeySource::Query("room".into());
        assert_eq!(found(&q, "/x?a=b&room=a%2520b+c", &[]).as_deref(), Some("a%20b c"));
        assert_eq!(found(&q, "/x?room=&y", &[]), None);
    }
}
