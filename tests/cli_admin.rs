//! The commands that call a running proxy, as the binary that an operator runs: what each says to people and to
//! programs, with which exit code, and what it says when things are not as they should be.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "cli_admin/access.rs"]
mod access;
#[path = "cli_admin/events.rs"]
mod events;
#[path = "cli_admin/operate.rs"]
mod operate;
#[path = "cli_admin/reload.rs"]
mod reload;
#[path = "cli_admin/sessions.rs"]
mod sessions;
#[path = "cli_admin/status.rs"]
mod status;
#[path = "cli_admin/terminal.rs"]
mod terminal;

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::process::{command, finish};
use crate::support::{Backend, Proxy, Setup};

/// Sticky by a header or a path, with an admin listener.
fn setup(backends: &[&Backend]) -> Setup {
    Setup::of(backends).sticky("\"header:x-room\", \"path:/room/{room}\"").admin("")
}

/// The address of a proxy's admin listener, as it is said.
fn url(proxy: &Proxy) -> String {
    format!("http://{}", proxy.admin.as_ref().unwrap().address())
}

/// A command that calls `proxy`.
fn asking(proxy: &Proxy, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.env("HOMING_ADMIN", url(proxy));
    command
}

/// What a command wrote, which must be something for people: no character that a terminal obeys.
struct Said {
    out: String,
    err: String,
}

/// What a command says that ends with this exit code.
#[track_caller]
fn said(command: &mut Command, code: i32) -> Said {
    let Output { status, stdout, stderr } = finish(command);
    let text = |octets| String::from_utf8(octets).unwrap();
    let (out, err) = (text(stdout), text(stderr));
    assert_eq!(status.code(), Some(code), "{command:?}\n{out}{err}");
    let obeyed = |c: char| c.is_control() && c != '\n';
    assert!(!out.contains(obeyed) && !err.contains(obeyed), "{out:?}\n{err:?}");
    Said { out, err }
}

/// The answer of a command that is done.
#[track_caller]
fn told(proxy: &Proxy, arguments: &[&str]) -> String {
    let Said { out, err } = said(&mut asking(proxy, arguments), 0);
    assert_eq!(err, "", "{arguments:?}");
    out
}

/// The same as JSON, whatever the exit code.
#[track_caller]
fn json(proxy: &Proxy, arguments: &[&str], code: i32) -> Value {
    let Said { out, .. } = said(&mut asking(proxy, &[arguments, &["--json"]].concat()), code);
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// Why a command is refused.
#[track_caller]
fn refused(command: &mut Command, parts: &[&str]) {
    let Said { out, err } = said(command, 2);
    assert_eq!(out, "", "{command:?}");
    assert!(parts.iter().all(|part| err.contains(part)), "not {parts:?} in\n{err}");
}

/// Columns that a terminal gives to a line, at most.
fn columns(line: &str) -> usize {
    line.chars().map(|c| unicode_width::UnicodeWidthChar::width(c).unwrap_or(1)).sum()
}

#[track_caller]
fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(columns(line) <= 80, "{} columns: {line}", columns(line));
    }
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.contains(turns), "{text:?}");
}

/// An admin listener that says this of itself.
fn saying(status: &Value) -> Backend {
    let body = status.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Backend::answering("admin", head + &body)
}
