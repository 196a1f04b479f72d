//! What the path of a request means, whichever way it is spelt: as a whole for routes, by segments for session keys.
//! It changes no request: a path is forwarded as it was received.
//!
//! Escapes are decoded once, empty segments are left out, dot segments are removed (RFC 3986 §5.2.4). An encoded slash
//! is a slash for routes and part of its segment for keys. Where the two would lead to different places, and where
//! servers are known to differ, there is no meaning.

use std::borrow::Cow;
use std::{str, vec};

use memchr::{memchr, memchr_iter, memchr2};
use percent_encoding::percent_decode;

/// Why a path has no meaning that every server would agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum Unclear {
    /// A `%` without two hexadecimal digits behind it.
    Escape,
    /// An encoded control character: U+0000 to U+001F, or U+007F.
    Control,
    /// More `..` than there is before them.
    AboveRoot,
    /// A dot segment beside an encoded slash, a backslash or a `;`, or a `..` behind an empty segment.
    DotSegment,
}

impl Unclear {
    /// What is wrong with the path, in a few words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Escape => "the path has a % that begins no escape",
            Self::Control => "the path has a control character",
            Self::AboveRoot => "the path leads above its root",
            Self::DotSegment => "the path has a dot segment that servers read in different ways",
        }
    }
}

/// The octets that routes are compared with. Borrowed if and only if the path is spelt like that already. A target that
/// is no path (`*`) stays as it is. O(length), without allocation for what has neither escapes nor `//`, `/.` or `\`.
///
/// # Errors
/// The path means different things to different servers.
pub fn normalised(path: &str) -> Result<Cow<'_, [u8]>, Unclear> {
    if is_plain(path) {
        return Ok(Cow::Borrowed(path.as_bytes()));
    }
    let mut normal = Vec::with_capacity(path.len());
    for segment in resolved(path)? {
        for name in decoded(segment).split(|octet| *octet == b'/') {
            if normal.last() != Some(&b'/') {
                normal.push(b'/');
            }
            normal.extend_from_slice(name);
        }
    }
    Ok(if normal == path.as_bytes() { Cow::Borrowed(path.as_bytes()) } else { Cow::Owned(normal) })
}

/// The segments that session keys are looked for in, as they are spelt. The last is empty where the path ends with a
/// slash; a target that is no path (`*`) has none. O(length), without allocation where [`normalised`] needs none.
///
/// # Errors
/// The path means different things to different servers.
pub fn segments(path: &str) -> Result<Segments<'_>, Unclear> {
    match path.strip_prefix('/') {
        None => Ok(Segments::Resolved(Vec::new().into_iter())),
        Some(rest) if is_plain(path) => Ok(Segments::Plain(rest.split('/'))),
        Some(_) => Ok(Segments::Resolved(resolved(path)?.into_iter())),
    }
}

/// Whether two segments mean the same.
pub fn is_same(one: &str, other: &str) -> bool {
    let has_escape = |segment: &str| memchr(b'%', segment.as_bytes()).is_some();
    one == other || ((has_escape(one) || has_escape(other)) && decoded(one) == decoded(other))
}

/// What [`segments`] finds.
#[derive(Debug)]
pub enum Segments<'a> {
    /// All that stands between slashes.
    Plain(str::Split<'a, char>),
    /// What is left after dot segments and empty ones are gone.
    Resolved(vec::IntoIter<&'a str>),
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match self {
            Self::Plain(segments) => segments.next(),
            Self::Resolved(segments) => segments.next(),
        }
    }
}

/// Whether a path has nothing in it that would have to be looked at twice.
fn is_plain(path: &str) -> bool {
    let octets = path.as_bytes();
    let is_suspect = |pair: &[u8]| pair == b"//" || pair == b"/.";
    !path.starts_with('/') || (memchr2(b'%', b'\\', octets).is_none() && !octets.windows(2).any(is_suspect))
}

/// What a segment does when a path is read from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Name,
    /// A name that some servers take for more than one segment, or for an empty one.
    Divisible,
    Empty,
    /// `.`
    Here,
    /// `..`
    Up,
}

fn resolved(path: &str) -> Result<Vec<&str>, Unclear> {
    check_escapes(path)?;
    let mut kept: Vec<&str> = Vec::with_capacity(8);
    let mut last = Part::Name;
    for segment in path.split('/').skip(1) {
        last = part(segment)?;
        match last {
            Part::Name | Part::Divisible | Part::Empty => kept.push(segment),
            Part::Here => {}
            Part::Up => match kept.pop().map(part).transpose()? {
                Some(Part::Name) => {}
                Some(_) => return Err(Unclear::DotSegment),
                None => return Err(Unclear::AboveRoot),
            },
        }
    }
    kept.retain(|segment| !segment.is_empty());
    if matches!(last, Part::Empty | Part::Here | Part::Up) {
        kept.push("");
    }
    Ok(kept)
}

fn decoded(segment: &str) -> Cow<'_, [u8]> {
    percent_decode(segment.as_bytes()).into()
}

fn check_escapes(path: &str) -> Result<(), Unclear> {
    let digits = |at: usize| path.as_bytes().get(at + 1..at + 3);
    let is_escape = |at| digits(at).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if memchr_iter(b'%', path.as_bytes()).all(is_escape) { Ok(()) } else { Err(Unclear::Escape) }
}

/// Nginx, WSGI and others take an encoded slash for a slash, IIS a backslash, and servlets cut a segment at its `;`. A
/// dot segment that only some of them see takes away a segment for them, and for the others it does not.
fn part(segment: &str) -> Result<Part, Unclear> {
    let name = decoded(segment);
    match &*name {
        b"" => return Ok(Part::Empty),
        b"." => return Ok(Part::Here),
        b".." => return Ok(Part::Up),
        name if name.iter().any(u8::is_ascii_control) => return Err(Unclear::Control),
        _ => {}
    }
    let mut pieces = name.split(|octet| matches!(octet, b'/' | b'\\'));
    if pieces.any(is_dots) {
        return Err(Unclear::DotSegment);
    }
    let is_divisible = name.starts_with(b";") || memchr2(b'/', b'\\', &name).is_some();
    Ok(if is_divisible { Part::Divisible } else { Part::Name })
}

fn is_dots(piece: &[u8]) -> bool {
    matches!(memchr(b';', piece).map_or(piece, |end| &piece[..end]), b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_means(path: &str, normal: &str, spelt: &[&str]) {
        let found = normalised(path).unwrap_or_else(|unclear| panic!("{path}: {unclear}"));
        assert_eq!(String::from_utf8_lossy(&found), normal, "{path}");
        assert_eq!(segments(path).map(Iterator::collect), Ok(spelt.to_vec()), "{path}");
    }

    #[track_caller]
    fn assert_unclear(paths: &[&str], unclear: Unclear) {
        for path in paths {
            assert_eq!(normalised(path), Err(unclear), "{path}");
            assert_eq!(segments(path).err(), Some(unclear), "{path}");
        }
    }

    #[test]
    fn plain_paths_mean_what_they_say() {
        assert_means("/", "/", &[""]);
        assert_means("/game/7", "/game/7", &["game", "7"]);
        assert_means("/game/7/", "/game/7/", &["game", "7", ""]);
        assert_means("/.well-known/a..b/...", "/.well-known/a..b/...", &[".well-known", "a..b", "..."]);
        assert_means("/a;b=c/d;.", "/a;b=c/d;.", &["a;b=c", "d;."]);
        assert_means("/ü/~!$&'()*+,=:@", "/ü/~!$&'()*+,=:@", &["ü", "~!$&'()*+,=:@"]);
        assert_means("*", "*", &[]);
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_means("/%67ame/%37", "/game/7", &["%67ame", "%37"]);
        assert_means("/a%20b/%C3%BC/%3f%23", "/a b/ü/?#", &["a%20b", "%C3%BC", "%3f%23"]);
        assert_means("/a/%252e%252E/%252F", "/a/%2e%2E/%2F", &["a", "%252e%252E", "%252F"]);
        assert_eq!(normalised("/a%FF%2f").as_deref(), Ok(&b"/a\xFF/"[..]));
    }

    #[test]
    fn dot_segments_are_removed() {
        assert_means("/a/./b/../c", "/a/c", &["a", "c"]);
        assert_means("/a/%2e/b/.%2E/c", "/a/c", &["a", "c"]);
        assert_means("/a/b/..", "/a/", &["a", ""]);
        assert_means("/a/b/.", "/a/b/", &["a", "b", ""]);
        assert_means("/a/..", "/", &[""]);
        assert_means("/.", "/", &[""]);
    }

    #[test]
    fn empty_segments_are_left_out() {
        assert_means("//a///b//", "/a/b/", &["a", "b", ""]);
        assert_means("//", "/", &[""]);
        assert_means("/a//./b/../c", "/a/c", &["a", "c"]);
    }

    #[test]
    fn an_encoded_slash_parts_segments_for_routes_only() {
        assert_means("/a%2Fb", "/a/b", &["a%2Fb"]);
        assert_means("/a%2f/b%2F%2F/", "/a/b/", &["a%2f", "b%2F%2F", ""]);
        assert_means("/x/../a%2Fb/./c", "/a/b/c", &["a%2Fb", "c"]);
        assert_means("/%2F", "/", &["%2F"]);
    }

    #[test]
    fn a_backslash_is_a_character() {
        assert_means("/a\\b/c%5Cd", "/a\\b/c\\d", &["a\\b", "c%5Cd"]);
    }

    #[test]
    fn what_is_no_escape_is_unclear() {
        assert_unclear(&["/%", "/a%2", "/%zz", "/%2/e", "/%u002e", "/a%%41", "/%+1"], Unclear::Escape);
    }

    #[test]
    fn control_characters_are_unclear() {
        assert_unclear(&["/a%00", "/%0d%0A", "/%09/b", "/%7f", "/x%00/../a%1F"], Unclear::Control);
    }

    #[test]
    fn nothing_is_above_the_root() {
        assert_unclear(&["/..", "/../a", "/a/../..", "/%2e%2e/a", "/./..", "/a/../../a"], Unclear::AboveRoot);
    }

    #[test]
    fn dot_segments_that_only_some_servers_see_are_unclear() {
        assert_unclear(
            &["/a%2F../b", "/a/..%2fb", "/a%2F./b", "/a/%2e%2E%2Fb", "/a%2F..%2Fb", "/%2F.."],
            Unclear::DotSegment,
        );
        assert_unclear(&["/a\\..\\b", "/a/..\\b", "/a/..%5cb", "/a/b%5C.", "/.\\b"], Unclear::DotSegment);
        assert_unclear(&["/a/..;/b", "/a/..;x=y/b", "/a/.;/b", "/..%3Bx", "/a%2F..;x"], Unclear::DotSegment);
        assert_unclear(&["/a%2Fb/../c", "/a\\b/..", "/%2F/../c", "/a%2Fb/./.."], Unclear::DotSegment);
        assert_unclear(&["/a//../b", "//..", "/a//./..", "/a//b/../../c"], Unclear::DotSegment);
        assert_unclear(&["/a/;x/../b", "/;/.."], Unclear::DotSegment);
    }

    #[test]
    fn segments_are_compared_by_what_they_mean() {
        assert!(is_same("game", "game") && is_same("game", "%67ame") && is_same("%7e", "~"));
        assert!(is_same("%c3%bc", "ü") && is_same("a%2Fb", "%61%2fb"));
        assert!(!is_same("game", "Game") && !is_same("%2567ame", "game") && !is_same("game", "games"));
    }
}
