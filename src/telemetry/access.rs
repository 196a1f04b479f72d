//! The access log: one line per request, written when its response or tunnel has ended, however it ended.

use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;

use http::{Method, StatusCode};

use crate::clock::{Clock, Now};
use crate::config::{PathTemplate, Segment};
use crate::path::segments;

/// What is said about one request, when this is dropped. Session keys appear as a hash only.
#[derive(Debug)]
pub struct Record {
    /// What time it is.
    pub clock: Clock,
    /// When its head was read.
    pub start: Now,
    /// Who asked.
    pub client: IpAddr,
    /// How.
    pub method: Method,
    /// For which host.
    pub host: String,
    /// The path, without its query and with a key in it replaced by its name.
    pub path: String,
    /// The pool of its route.
    pub pool: Option<Rc<str>>,
    /// The backend that answered, or was the last tried.
    pub backend: Option<Rc<str>>,
    /// Why that backend.
    pub affinity: Option<&'static str>,
    /// How often a backend was tried, unless it was an idle connection that turned out closed.
    pub tries: u32,
    /// Where the session key was found.
    pub key_source: Option<String>,
    /// A hash of the session key that is the same as long as the process runs.
    pub key: Option<u64>,
    /// The answer; none if the client left before there was one, which is written as 499.
    pub status: Option<StatusCode>,
    /// When the response head was there.
    pub head: Option<Now>,
    /// When all of it was over; none: when this is dropped.
    pub end: Option<Now>,
    /// Octets of the request body or from the client of a tunnel.
    pub received: u64,
    /// Octets of the response body or to the client of a tunnel.
    pub sent: u64,
    /// What went wrong, or how a tunnel ended.
    pub error: Option<String>,
    /// The `X-Request-Id`.
    pub id: String,
}

/// What nginx made the custom for clients that leave.
const CLIENT_LEFT: u16 = 499;

impl Drop for Record {
    fn drop(&mut self) {
        let now = self.end.unwrap_or_else(|| self.clock.now());
        let millis = |from: Now, to: Now| to.since(from).as_micros() as f64 / 1000.0;
        tracing::info!(
            target: "access",
            client = %self.client,
            method = %self.method,
            host = self.host,
            path = self.path,
            status = self.status.map_or(CLIENT_LEFT, |status| status.as_u16()),
            pool = self.pool.as_deref(),
            backend = self.backend.as_deref(),
            affinity = self.affinity,
            tries = Some(self.tries).filter(|tries| *tries > 1),
            key_source = self.key_source.as_deref(),
            key = self.key.map(|key| format!("{key:016x}")),
            received = self.received,
            sent = self.sent,
            head_ms = self.head.map(|head| millis(self.start, head)),
            total_ms = millis(self.start, now),
            error = self.error.as_deref(),
            id = self.id,
        );
    }
}

/// A path in which the segment that is the session key is shown as `{name}`. Empty and dot segments are left out then, as
/// what they take away may be a key too.
#[derive(Debug)]
pub struct Redacted<'a> {
    /// The path of a request.
    pub path: &'a str,
    /// The template that took the key from it, if one did.
    pub template: Option<&'a PathTemplate>,
}

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(template) = self.template else { return f.write_str(self.path) };
        let mut wanted = template.segments.iter();
        // A path without a meaning has no key.
        for segment in segments(self.path).into_iter().flatten() {
            match wanted.next() {
                Some(Segment::Capture(name)) => write!(f, "/{{{name}}}")?,
                _ => write!(f, "/{segment}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_path_is_not_written() {
        let template =
            PathTemplate { segments: vec![Segment::Literal("game".into()), Segment::Capture("room".into())] };
        let shown = |template| Redacted { path: "/game/secret/watch", template }.to_string();
        assert_eq!(shown(Some(&template)), "/game/{room}/watch");
        assert_eq!(shown(None), "/game/secret/watch");
        let respelt = |path| Redacted { path, template: Some(&template) }.to_string();
        assert_eq!(respelt("//game/./secret/"), "/game/{room}/");
        assert_eq!(respelt("/game/secret/../%73ecret/a%20b"), "/game/{room}/a%20b");
    }
}
