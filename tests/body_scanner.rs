//! Finding keys in the bodies of responses: whatever the JSON, the pointers and the chunks, a scanner finds what a parser
//! of the whole would find, as soon as it can, and keeps to its limits.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use homing::affinity::body::{DEPTH, LIMIT, PREFIX, Scanner};
use homing::config::Pointer;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

const HANDSHAKE: &str = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000}"#;

// === What is found ===

#[test]
fn strings_and_numbers_are_found_and_nothing_else() {
    for (json, expected) in [
        (r#"{"k":"abc"}"#, Some("abc")),
        (r#"{"k":"a\"\\\/\n\u00e9\ud83d\ude00é"}"#, Some("a\"\\/\né😀é")),
        (r#"{"k":-12.50E+3}"#, Some("-12.50E+3")),
        (r#"{"k" : 0 }"#, Some("0")),
        (r#"{"k":""}"#, None),
        (r#"{"k":true}"#, None),
        (r#"{"k":null}"#, None),
        (r#"{"k":{"k":"no"}}"#, None),
        (r#"{"k":["no"]}"#, None),
        (r#"{"x":{"k":"no"},"y":["k","no"]}"#, None),
        (r#"{"k":"\ud83d"}"#, None),
        (r#"{"k":"\u12"}"#, None),
        (r#"["k","no"]"#, None),
        (r#"{k:"no"}"#, None),
    ] {
        assert_eq!(found_in(json.as_bytes(), &["/k"]), Vec::from_iter(expected), "{json}");
    }
}

#[test]
fn of_equal_keys_the_first_counts() {
    assert_eq!(found_in(br#"{"k":"one","k":"two"}"#, &["/k"]), ["one"]);
    assert_eq!(found_in(br#"{"k":null,"k":"two"}"#, &["/k"]), [""; 0]);
    assert_eq!(found_in(br#"{"a":{"x":1},"a":{"k":"two"}}"#, &["/a/k"]), [""; 0]);
}

#[test]
fn tokens_are_keys_of_objects_and_indices_of_arrays() {
    let json = br#"{"a":[{"b":1},[2,{"~/":3}]],"0":4,"":5,"01":6}"#;
    let pointers = ["/a/0/b", "/a/1/0", "/a/1/1/~0~1", "/0", "/", "/01"];
    assert_eq!(found_in(json, &pointers), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(found_in(json, &["/a/01/0", "/a/+1/0", "/a/-", "/a/2", "/a/1/00"]), [""; 0]);
}

#[test]
fn what_guards_json_is_skipped() {
    let guards = ["", "0", "97:0", "\u{feff}", ")]}',\n", "for(;;);", "while(1);\n", " \r\n"];
    let long = " ".repeat(PREFIX - 1);
    for guard in guards.into_iter().chain([&long[..]]) {
        assert_eq!(found_in(format!("{guard}{{\"k\":\"abc\"}}").as_bytes(), &["/k"]), ["abc"], "{guard:?}");
    }
    assert_eq!(found_in(br#"42["joined",{"sid":"abc"}]"#, &["/1/sid"]), ["abc"]);
    assert_eq!(found_in(format!(" {long}{{\"k\":\"abc\"}}").as_bytes(), &["/k"]), [""; 0]);
}

proptest! {
    #[test]
    fn any_chunks_show_what_the_whole_has(
        json in document(),
        spelling in 0..3_usize,
        others in vec(pointer(), 0..4),
        sizes in sizes(),
    ) {
        let mut pointers = others;
        paths(&json, &mut String::new(), &mut pointers);
        let expected = pointers.iter().filter_map(|pointer| key_at(&json, pointer));
        let mut expected: Vec<_> = expected.collect();
        let mut scanner = scanner(&pointers);
        let mut found = fed(&mut scanner, spelled(&json, spelling).as_bytes(), &sizes);
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
        prop_assert!(scanner.is_done());
    }

    #[test]
    fn a_handshake_is_understood_however_it_is_cut(sizes in sizes()) {
        let mut scanner = scanner(&["/sid"]);
        prop_assert_eq!(fed(&mut scanner, HANDSHAKE.as_bytes(), &sizes), ["lv_VI97HAXpY6yYWAAAC"]);
        prop_assert!(scanner.is_done());
    }

    #[test]
    fn a_value_is_told_with_its_last_octet(
        value in prop_oneof![".{1,9}".prop_map(Value::from), any::<i64>().prop_map(Value::from)],
        spelling in 0..3_usize,
        before in sizes(),
    ) {
        let head = "0{\"a\":[1,{\"k\":\"no\"}],\"k\":";
        // A number has ended when the octet after it says so.
        let last = head.len() + spelled(&value, spelling).len() + usize::from(value.is_number());
        let text = format!("{head}{}}}", spelled(&value, spelling));
        let (early, late) = text.as_bytes().split_at(last - 1);
        let mut scanner = scanner(&["/k"]);
        prop_assert_eq!(fed(&mut scanner, early, &before), [""; 0]);
        prop_assert!(!scanner.is_done());
        prop_assert_eq!(fed(&mut scanner, &late[..1], &[1]).len(), 1);
        prop_assert!(scanner.is_done());
    }
}

// === Where it ends ===

#[test]
fn it_is_done_when_every_pointer_is_decided() {
    for (json, pointers, is_done) in [
        (r#"{"a":{"b":1"#, &["/a/b"][..], false),
        (r#"{"a":{"b":1,"#, &["/a/b"], true),
        (r#"{"a":{"b":1,"#, &["/a/b", "/c"], false),
        (r#"{"a":{"c":1},"#, &["/a/b"], true),
        (r#"{"a":7,"#, &["/a/b"], true),
        ("[{},", &["/0/sid"], true),
        ("[]", &["/9"], true),
        ("{}{\"a\":1}", &["/a"], true),
        // The string has ended, with an escape that has not.
        (r#"{"k":"\u""#, &["/k"], true),
        ("", &[], true),
        ("", &["/a"], false),
    ] {
        let mut scanner = scanner(pointers);
        fed(&mut scanner, json.as_bytes(), &[1]);
        assert_eq!(scanner.is_done(), is_done, "{json} {pointers:?}");
    }
}

#[test]
fn nothing_is_found_beyond_the_limit() {
    let with_key_ending_at = |end: usize| {
        let padding = "x".repeat(end - r#"{"p":"","k":"abc""#.len());
        format!(r#"{{"p":"{padding}","k":"abc"}}"#).into_bytes()
    };
    for size in [1, 1000, 2 * LIMIT] {
        assert_eq!(found_by(&with_key_ending_at(LIMIT), &["/k"], &[size]), ["abc"]);
        assert_eq!(found_by(&with_key_ending_at(LIMIT + 1), &["/k"], &[size]), [""; 0]);
    }
    let mut scanner = scanner(&["/k"]);
    fed(&mut scanner, &with_key_ending_at(LIMIT + 1)[..LIMIT - 1], &[LIMIT]);
    assert!(!scanner.is_done());
    fed(&mut scanner, b"c", &[1]);
    assert!(scanner.is_done());
}

/// Each is 64 KiB of one token, or of one after another, octet by octet. Read anew with each octet that would be two
/// thousand million steps, and this test would take minutes.
#[test]
fn long_tokens_are_not_read_again_and_again() {
    for (start, rest) in [
        ("[\"", "x"),
        ("[\"", "\\\""),
        ("[\"", "\\u\""),
        ("[", "7"),
        ("[", "t"),
        ("[", "\r"),
        ("[", "[]"),
        ("[\"a\",", "\"\","),
    ] {
        let mut scanner = scanner(&["/70000"]);
        fed(&mut scanner, format!("{start}{}", rest.repeat(LIMIT)).as_bytes(), &[1]);
        assert!(scanner.is_done(), "{start}{rest}…");
    }
}

#[test]
fn depth_is_bounded() {
    let nested =
        |depth: usize| format!("{{\"a\":{}1{},\"k\":\"abc\"}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(found_in(nested(DEPTH - 1).as_bytes(), &["/k"]), ["abc"]);
    assert_eq!(found_in(nested(DEPTH + 1).as_bytes(), &["/k"]), [""; 0]);
}

proptest! {
    #[test]
    fn garbage_is_survived_and_ends(garbage in vec(any::<u8>(), 0..300), sizes in sizes()) {
        survives(&garbage, &sizes);
        survives(&[b"{\"k\":", &garbage[..]].concat(), &sizes);
    }

    #[test]
    fn garbage_that_looks_like_json_is_survived_and_ends(
        garbage in "([\\[\\]{},:\"\\\\ \r\n]|\"k\"|\\\\u[0-9a-f]{0,4}|true|nul|-?[0-9.eE]{1,3}|\\PC){0,60}",
        sizes in sizes(),
    ) {
        survives(garbage.as_bytes(), &sizes);
    }
}

fn survives(garbage: &[u8], sizes: &[usize]) {
    let mut cut = scanner(&["/k", "/0/k"]);
    let mut whole = scanner(&["/k", "/0/k"]);
    assert_eq!(fed(&mut cut, garbage, sizes), fed(&mut whole, garbage, &[usize::MAX]));
    fed(&mut cut, &vec![b' '; LIMIT], &[LIMIT]);
    assert!(cut.is_done());
}

// === Helpers ===

fn scanner(pointers: &[impl AsRef<str>]) -> Scanner {
    let pointers: Vec<_> = pointers.iter().map(|text| Pointer::parse(text.as_ref()).unwrap()).collect();
    Scanner::new(Arc::from(pointers))
}

/// What is found in a text that arrives in chunks of these sizes, over and over.
fn fed(scanner: &mut Scanner, text: &[u8], sizes: &[usize]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    for &size in sizes.iter().cycle() {
        let (chunk, later) = rest.split_at(size.min(rest.len()));
        scanner.feed(chunk, |value| found.push(String::from_utf8(value.to_vec()).unwrap()));
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    found
}

fn found_by(text: &[u8], pointers: &[&str], sizes: &[usize]) -> Vec<String> {
    fed(&mut scanner(pointers), text, sizes)
}

/// What is found in a text, at once and octet by octet.
fn found_in(text: &[u8], pointers: &[&str]) -> Vec<String> {
    let found = found_by(text, pointers, &[usize::MAX]);
    assert_eq!(found_by(text, pointers, &[1]), found);
    found
}

/// The key that a pointer finds in a whole document.
fn key_at(json: &Value, pointer: &str) -> Option<String> {
    match json.pointer(pointer)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The pointers to all values inside of `json`.
fn paths(json: &Value, path: &mut String, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match json {
        Value::Array(values) => (0..).map(|index: usize| index.to_string()).zip(values).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        _ => return,
    };
    for (token, value) in children {
        let length = path.len();
        path.push('/');
        path.push_str(&token.replace('~', "~0").replace('/', "~1"));
        found.push(path.clone());
        paths(value, path, found);
        path.truncate(length);
    }
}

/// The same JSON: short, with spaces, or with all that can be escaped.
fn spelled(json: &Value, spelling: usize) -> String {
    match spelling {
        0 => json.to_string(),
        1 => serde_json::to_string_pretty(json).unwrap().replace('\n', "\r\n"),
        // Outside of strings there is neither.
        _ => json.to_string().replace('/', "\\/").chars().map(escaped).collect(),
    }
}

fn escaped(character: char) -> String {
    if character.is_ascii() {
        return character.to_string();
    }
    let mut units = [0; 2];
    let units = character.encode_utf16(&mut units).iter();
    units.map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
}

/// An array or object of anything.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\"\\\\/~😀\u{1}é]{0,5}".prop_map(Value::from),
    ];
    let container = |inner: BoxedStrategy<Value>| {
        let fields = btree_map(key(), inner.clone(), 0..5);
        prop_oneof![
            vec(inner, 0..5).prop_map(Value::from),
            fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    };
    let inner = leaf.prop_recursive(4, 40, 5, move |inner| container(inner.boxed())).boxed();
    container(inner)
}

fn key() -> impl Strategy<Value = String> {
    const USUAL: [&str; 13] = ["a", "b", "0", "1", "01", "", "a/b", "~", "~1", "é", "😀", "\"", "\\u0041"];
    prop_oneof![select(&USUAL[..]).prop_map(str::to_owned), any::<String>()]
}

fn pointer() -> impl Strategy<Value = String> {
    let token = select(&["a", "b", "0", "1", "2", "01", "-", "", "a~1b", "~0", "~01", "é"][..]);
    vec(token, 1..5).prop_map(|tokens| format!("/{}", tokens.join("/")))
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), vec(1..4_usize, 1..20), vec(1..40_usize, 1..20), Just(vec![usize::MAX])]
}
