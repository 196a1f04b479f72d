//! The corpus of the fuzzer, through the functions that the fuzzer calls: one test for each target. What the fuzzer has
//! found stays found, without its toolchain.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fuzz::message::{Rules, Source, Stop, To, request as read_request, response as read_response};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("corpus").join(target)).unwrap();
    let mut inputs: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    inputs
}

#[track_caller]
fn assert_holds(target: &str) {
    let (_, run) = fuzz::TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    let inputs = inputs(target);
    assert!(inputs.len() >= 10, "{target} has no corpus");
    for path in inputs {
        let input = fs::read(&path).unwrap();
        let ran = catch_unwind(AssertUnwindSafe(|| run(&input)));
        assert!(ran.is_ok(), "{target} fails with {}", path.display());
    }
}

#[test]
fn configuration() {
    assert_holds("configuration");
}

#[test]
fn h2_frames() {
    assert_holds("h2_frames");
}

#[test]
fn keys() {
    assert_holds("keys");
}

#[test]
fn proxy_header() {
    assert_holds("proxy_header");
}

#[test]
fn request() {
    assert_holds("request");
}

#[test]
fn response() {
    assert_holds("response");
}

#[test]
fn state_file() {
    assert_holds("state_file");
}

/// A target without a test here, a binary or a corpus would be one that nothing runs.
#[test]
fn every_target_is_run() {
    let this = include_str!("fuzz_corpus.rs");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for (target, _) in fuzz::TARGETS {
        assert!(this.contains(&format!("assert_holds(\"{target}\")")), "{target}");
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
        assert!(root().join(format!("fuzz_targets/{target}.rs")).exists(), "{target}");
    }
    let folders = fs::read_dir(root().join("corpus")).unwrap().count();
    assert_eq!(folders, fuzz::TARGETS.len(), "a corpus without a target");
}

/// What two servers could take for different requests is none for the targets, so that a proxy which passed it on would
/// fail them.
#[test]
fn the_judge_is_strict() {
    let fields = [
        "Host: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Host: h\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Host: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "Host: h\r\nContent-Length: +5\r\n",
        "Host: h\r\nContent-Length : 5\r\n",
        "Host: h\nContent-Length: 5\r\n",
        "Host: h\r\n Content-Length: 5\r\n",
        "Host: h\0\r\n",
    ];
    for fields in fields {
        let octets = format!("POST / HTTP/1.1\r\n{fields}\r\n0\r\n\r\n");
        assert!(matches!(read_request(octets.as_bytes(), Rules::Sent), Err(Stop::Wrong(_))), "{octets:?}");
    }
    for chunks in
        ["1\na\r\n0\r\n\r\n", "1;x\r\na\r\n0\r\n\r\n", "1\r\nab\r\n0\r\n\r\n", "0x1\r\na\r\n0\r\n\r\n"]
    {
        let octets = format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        assert!(matches!(read_request(octets.as_bytes(), Rules::Sent), Err(Stop::Wrong(_))), "{octets:?}");
    }
}

/// A break is no end.
#[test]
fn the_judge_sees_what_broke_off() {
    let whole = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    let how = (To::Other, Source::Ended);
    for end in 0..whole.len() {
        assert_eq!(read_response(&whole.as_bytes()[..end], Rules::Sent, how), Err(Stop::More), "{end}");
    }
    let read = read_response(whole.as_bytes(), Rules::Sent, how).unwrap();
    assert_eq!((read.body.as_slice(), read.length), (&b"ab"[..], whole.len()));
}
