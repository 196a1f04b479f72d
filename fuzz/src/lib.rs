//! What is done with an input of the fuzzer, target by target. The fuzz binaries call it, and `tests/fuzz_corpus.rs`
//! with the committed corpus, so it uses only what the main crate has.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "one test or one binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a fuzz target fails by panicking")]
#![allow(clippy::must_use_candidate, reason = "these are functions of a test")]

pub mod configuration;
mod edge;
pub mod h2_frames;
pub mod keys;
pub mod message;
pub mod proxy_header;
mod recorder;
pub mod request;
pub mod response;
pub mod state_file;

/// A target by the name of its corpus folder, and what is done with an input.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 7] = [
    ("configuration", configuration::run),
    ("h2_frames", h2_frames::run),
    ("keys", keys::run),
    ("proxy_header", proxy_header::run),
    ("request", request::run),
    ("response", response::run),
    ("state_file", state_file::run),
];
