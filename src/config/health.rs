//! `[pool.health]`: what active checks ask, and what an answer may say.
//! How values are read is the checks' to say.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderName;

use super::Pointer;

/// `[pool.health]`: active checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is asked.
    pub probe: Probe,
    /// From one check's start to the next. Default 2 s.
    pub interval: Duration,
    /// For the whole answer. Default 1 s.
    pub timeout: Duration,
    /// Good checks in a row that bring a backend up. Default 2, at least 1.
    pub rise: u32,
    /// Failed checks in a row that take it down. Default 3, at least 1.
    pub fall: u32,
    /// Where an answer names the life of the backend's process; another name means that its memory is gone.
    pub instance: Option<Field>,
    /// Where an answer says that the backend wants to be drained.
    pub drain: Option<Field>,
}

/// A part of a health answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The value of this header field.
    Header(HeaderName),
    /// What this JSON pointer (RFC 6901) leads to in the body.
    Json(Pointer),
}

/// What an active check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A TCP connect.
    Tcp,
    /// `GET path`, good if the status is in one of the ranges.
    Http {
        /// Origin-form target.
        path: String,
        /// The `Host` header; `None`: the backend's address.
        host: Option<String>,
        /// Good statuses. Default 200-399.
        status: Vec<RangeInclusive<u16>>,
    },
    /// `Check` of `grpc.health.v1.Health`, good if it answers `SERVING`.
    Grpc {
        /// The `:authority`; `None`: the backend's address.
        host: Option<String>,
        /// Which service is asked for; empty: the server as a whole (the default).
        service: String,
    },
}

impl Health {
    /// Whether the body of an answer says something.
    pub fn reads_body(&self) -> bool {
        [&self.instance, &self.drain].iter().any(|field| matches!(field, Some(Field::Json(_))))
    }
}
