//! What a path means: that servers of every habit agree where Homing sees a meaning, and that no spelling leads to
//! another route or session.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::borrow::Cow;
use std::fmt::Write as _;

use homing::affinity::{Facts, session_key};
use homing::config::{Config, KeySource};
use homing::headers::Fields;
use homing::path::{normalised, segments};
use homing::route::Router;
use http::Uri;
use percent_encoding::percent_decode_str;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// What paths are made of that try to be something else.
const PIECES: [&str; 25] = [
    "/", "/", "/", "/", "//", ".", "..", "/../", "%2e", "%2E%2e", "%2F", "%2f", "\\", "%5c", ";", "%3B", "a",
    "b", "%61", "%25", "%252e", "%FF", "ü", "%C3%BC", "%7e",
];
/// What makes no difference before a slash.
const NOTHING: [&str; 7] = ["", "/", "/.", "/%2E", "/x/..", "/x/./%2e.", "/x/./y/../.%2e"];

proptest! {
    #![proptest_config(cases(4096))]

    #[test]
    fn a_normal_path_is_normal(path in any_path()) {
        let Ok(normal) = normalised(&path) else { return Ok(()) };
        prop_assert_eq!(matches!(normal, Cow::Borrowed(_)), *normal == *path.as_bytes());
        let rest = normal.strip_prefix(b"/").unwrap();
        let mut segments: Vec<_> = rest.split(|octet| *octet == b'/').collect();
        prop_assert!(segments.iter().all(|segment| !matches!(*segment, b"." | b"..")));
        segments.pop();
        prop_assert!(segments.iter().all(|segment| !segment.is_empty()));
        let encoded = written(&normal, &mut std::iter::repeat(Spelling::Raw));
        prop_assert_eq!(normalised(&encoded), Ok(normal));
    }

    #[test]
    fn segments_are_those_of_the_normal_path(path in any_path()) {
        let found = segments(&path).map(|found| found.map(decoded).collect::<Vec<_>>().join(&b'/'));
        let apart = found.map(|found| names(&found));
        prop_assert_eq!(apart, normalised(&path).map(|normal| names(&normal)));
    }

    /// Whoever decodes first or last, leaves out empty segments before or after, takes a backslash for a slash or leaves
    /// out what is behind a `;`: they all arrive at the same place.
    #[test]
    fn a_path_with_a_meaning_has_it_for_every_server(path in any_path()) {
        let Ok(normal) = normalised(&path) else { return Ok(()) };
        let whole = decoded(&path);
        prop_assert_eq!(climbed(&whole, false), Some(names(&normal)), "decodes before it splits");
        let parts: Vec<_> = path.split('/').map(decoded).collect();
        let up = stepped(parts.iter().skip(1).cloned());
        prop_assert_eq!(up.map(|left| names(&left.join(&b'/'))), Some(names(&normal)), "splits before it decodes");
        let slashes = |octets: &[u8]| -> Vec<u8> {
            octets.iter().map(|octet| if *octet == b'\\' { b'/' } else { *octet }).collect()
        };
        prop_assert_eq!(climbed(&slashes(&whole), false), Some(names(&slashes(&normal))), "likes backslashes");
        let bare: Vec<_> = names(&normal).iter().map(|name| cut(name)).filter(|name| !name.is_empty()).collect();
        prop_assert_eq!(climbed(&whole, true), Some(bare), "leaves out parameters");
    }

    #[test]
    fn every_spelling_has_the_route_and_the_key(
        room in vec(select(vec!["a", "7", ".", "%", " ", "ü", "~", ";", "?", "/r", "%2F", "é"]), 0..6),
        before in vec(vec(select(&NOTHING[..]), 0..3), 3),
        spellings in vec(spelling(), 32),
    ) {
        let room = format!("r{}", room.concat());
        let mut spellings = spellings.into_iter().cycle();
        let mut path = String::new();
        for (nothing, segment) in before.iter().zip(["game", &room, "tail"]) {
            path.extend(nothing.iter().copied().chain(["/"]));
            path += &written(segment.as_bytes(), &mut spellings).replace('/', "%2F");
        }
        let router = Router::new(&routes());
        prop_assert_eq!(router.find("h", &path).unwrap().unwrap().path.as_str(), "/game", "{}", path);
        let sources = [KeySource::parse("path:/game/{room}/tail").unwrap()];
        let uri: Uri = path.parse().unwrap();
        let facts = Facts { host: "h", uri: &uri, headers: &Fields::new(), client_ip: [127, 0, 0, 1].into(), sni: None };
        let key = session_key(&sources, &facts).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(&key.bytes), room, "{}", path);
    }
}

#[test]
fn paths_with_and_without_a_meaning_are_tried() {
    let mut runner = TestRunner::deterministic();
    let mut tried = || any_path().new_tree(&mut runner).unwrap().current();
    let clear = (0..1000).filter(|_| normalised(&tried()).is_ok()).count();
    assert!((250..750).contains(&clear), "{clear} of 1000");
}

fn cases(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn any_path() -> impl Strategy<Value = String> {
    vec(select(&PIECES[..]), 0..14).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn routes() -> Vec<homing::config::Route> {
    let source = "listener = [{ address = \"127.0.0.1:1\" }]\n\
                  route = [{ pool = \"app\" }, { pool = \"app\", path = \"/game\" }, { pool = \"app\", path = \"/x\" }]\n\
                  pool = [{ name = \"app\", backend = [{ address = \"127.0.0.1:1\" }] }]";
    Config::parse(source, "test").unwrap().routes
}

// === Spelling ===

#[derive(Debug, Clone, Copy)]
enum Spelling {
    /// As it is, where it can be.
    Raw,
    Lower,
    Upper,
}

fn spelling() -> impl Strategy<Value = Spelling> {
    select(vec![Spelling::Raw, Spelling::Raw, Spelling::Lower, Spelling::Upper])
}

/// Octets as part of a path. Slashes are left as they are.
fn written(octets: &[u8], spellings: &mut impl Iterator<Item = Spelling>) -> String {
    let mut text = String::new();
    for (octet, spelling) in octets.iter().zip(spellings) {
        let can_be_raw = octet.is_ascii_alphanumeric() || b".~;\\".contains(octet);
        match spelling {
            _ if *octet == b'/' => text.push('/'),
            Spelling::Raw if can_be_raw => text.push(char::from(*octet)),
            Spelling::Lower => write!(text, "%{octet:02x}").unwrap(),
            Spelling::Raw | Spelling::Upper => write!(text, "%{octet:02X}").unwrap(),
        }
    }
    text
}

// === How servers read paths ===

fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

/// What stands between slashes and is not empty.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|octet| *octet == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Without what is behind a `;`.
fn cut(name: &[u8]) -> Vec<u8> {
    name.split(|octet| *octet == b';').next().unwrap().to_vec()
}

/// Splits a decoded path, leaves out empty segments and follows the dots.
fn climbed(path: &[u8], without_parameters: bool) -> Option<Vec<Vec<u8>>> {
    let names = names(path).into_iter().map(|name| if without_parameters { cut(&name) } else { name });
    stepped(names.filter(|name| !name.is_empty()))
}

/// Follows dot segments; empty segments are segments. `None` above the root.
fn stepped(segments: impl Iterator<Item = Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let mut left = Vec::new();
    for segment in segments {
        match &*segment {
            b"." => {}
            b".." => drop(left.pop()?),
            _ => left.push(segment),
        }
    }
    Some(left)
}
