//! `events`: what happens, in words and as JSON, over breaks of the connection.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::process::{Process, command};
use crate::support::{Backend, eventually};
use crate::{refused, setup, told, url};

/// An event as the proxy sends it.
fn event(id: u64, kind: &str, more: &str) -> String {
    format!(
        "id: {id}\nevent: {kind}\ndata: {{\"id\":{id},\"at\":1795989933.5,\"kind\":\"{kind}\"{more}}}\n\n"
    )
}

/// An admin listener whose every connection brings one more event, and breaks.
fn breaking(more: &'static str) -> Backend {
    Backend::start("admin", move |conn| {
        if conn.request().is_some() {
            let id = conn.number as u64 + 1;
            let body = format!(": hello\n\n{}", event(id, "drained", more));
            conn.send(format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{body}"));
        }
    })
}

#[test]
fn what_happens_is_told_as_it_happens() {
    let proxy = setup(&[&Backend::named("ada")]).start();
    let words = Process::start(&["events", "--admin", &url(&proxy)]);
    let programs = Process::start(&["events", "--json", "--admin", &url(&proxy)]);
    told(&proxy, &["drain", "app/ada", "--timeout", "10m"]);
    let tells = |line: &String| line.contains("app/ada drain (by operator, within 10m 0s)");
    eventually("it is told in words", || words.lines().iter().any(tells));
    let is_it = |line: &String| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["kind"] == "state" && event["backend"] == "ada" && event["id"].is_u64()
    };
    eventually("and as JSON", || programs.lines().iter().any(is_it));
}

#[test]
fn after_a_break_it_goes_on_where_it_was() {
    let admin = breaking(r#","pool":"app","backend":"ada""#);
    let events = Process::start(&["events", "--admin", &admin.address.to_string()]);
    eventually("two connections' events", || events.lines().len() > 1);
    assert_eq!(events.lines()[0], "2026-11-29T22:05:33Z  drained       app/ada has nothing left");
    let asked = admin.requests();
    assert_eq!((asked[0].field("last-event-id"), asked[1].field("last-event-id")), (None, Some("1")));
}

#[test]
fn a_proxy_that_goes_away_may_come_back() {
    let admin = breaking(r#","pool":"app","backend":"ada""#);
    let events = Process::start(&["events", "--json", "--admin", &admin.address.to_string()]);
    eventually("an event", || !events.lines().is_empty());
    admin.stop();
    let seen = events.lines().len();
    admin.restart();
    eventually("another", || events.lines().len() > seen);
}

#[test]
fn nothing_in_an_event_is_obeyed_by_the_terminal() {
    let admin = breaking(r#","pool":"\u001b[2J\u009b\u202e\r\n","backend":"\u0007""#);
    for arguments in [&["events"][..], &["events", "--json"]] {
        let admin = admin.address.to_string();
        let events = Process::start(&[arguments, &["--admin", &admin]].concat());
        eventually("an event", || !events.lines().is_empty());
        let line = events.lines()[0].clone();
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
}

#[test]
fn nobody_there_from_the_start_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    refused(&mut command(&["events", "--admin", &address]), &[&address, "is the proxy running"]);
}
