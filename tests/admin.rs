//! The admin listener through real sockets: every call, every way to ask wrongly, and who may ask at all.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "admin/access.rs"]
mod access;
#[path = "admin/bounds.rs"]
mod bounds;
#[path = "admin/calls.rs"]
mod calls;
#[path = "admin/dashboard.rs"]
mod dashboard;
#[path = "admin/drain.rs"]
mod drain;
#[path = "admin/events.rs"]
mod events;
#[path = "admin/patience.rs"]
mod patience;
#[path = "admin/reload.rs"]
mod reload;
#[path = "admin/sessions.rs"]
mod sessions;

use serde_json::Value;

use crate::support::{Backend, Proxy, Response, Setup};

const JSON: &str = "Content-Type: application/json";

/// Sticky by a header, with an admin listener.
fn setup(backends: &[&Backend]) -> Setup {
    Setup::of(backends).sticky("\"header:x-room\"").admin("")
}

/// One call with these fields beside `Host`.
#[track_caller]
fn call(proxy: &Proxy, call: &str, fields: &[&str], body: &str) -> Response {
    let fields: String = fields.iter().flat_map(|field| [field, "\r\n"]).collect();
    let length = body.len();
    proxy
        .connect_admin()
        .send(format!("{call} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}Content-Length: {length}\r\n\r\n{body}"))
        .response()
}

/// The status and the JSON of a response.
#[track_caller]
fn told(response: &Response) -> (u16, Value) {
    assert_eq!(response.field("content-type"), Some("application/json"), "{response:?}");
    assert_eq!(response.field("cache-control"), Some("no-store"), "{response:?}");
    let json = serde_json::from_slice(&response.body);
    (response.status, json.unwrap_or_else(|error| panic!("{error}: {}", response.text())))
}

/// Looks.
#[track_caller]
fn look(proxy: &Proxy, target: &str) -> (u16, Value) {
    told(&call(proxy, &format!("GET {target}"), &[], ""))
}

/// Changes, as a well-behaved caller does.
#[track_caller]
fn change(proxy: &Proxy, method_and_target: &str, body: &str) -> (u16, Value) {
    told(&call(proxy, method_and_target, &[JSON], body))
}

/// That a call is refused, and why.
#[track_caller]
fn assert_refused((status, json): &(u16, Value), expected: u16, part: &str) {
    let error = json["error"].as_str().unwrap_or_else(|| panic!("no error in {json}"));
    assert!(*status == expected && error.contains(part), "not {expected} with {part:?}: {status} {json}");
}
