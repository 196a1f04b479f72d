//! `status`: the table and its 80 columns, whatever is in it; the same for programs; looking again and again.

use rustix::process::Signal;
use serde_json::json;

use crate::support::process::{Process, command};
use crate::support::{Backend, Proxy, eventually};
use crate::{asking, assert_fits, json as asked, said, saying, setup, told, url};

/// The line that begins with a backend's name.
#[track_caller]
fn row<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let row = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    row.into_iter().find(|row| row.first() == Some(&name)).unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

#[test]
fn the_table_shows_every_backend() {
    let (ada, bob) = (Backend::named("ada"), Backend::named("bob"));
    let proxy = setup(&[&ada, &bob]).weight("bob", 0).start();
    (0..3).for_each(|room| drop(proxy.get("/", &[&format!("X-Room: {room}")])));
    let text = told(&proxy, &["status"]);
    assert_fits(&text);
    assert!(text.contains("app  table, rendezvous  3 of 1000000 sessions"), "{text}");
    assert_eq!(row(&text, "ada")[1..], ["ready", "up", "3", "0", "3"], "{text}");
    assert_eq!(row(&text, "bob")[1..], ["ready", "up", "0", "0", "0", "weight", "0"], "{text}");
    assert_eq!(told(&proxy, &["status", "app"]).lines().last(), text.lines().last());
    assert_eq!(asked(&proxy, &["status"], 0)["pools"][0]["backends"][0]["name"], "ada");
    assert_eq!(asked(&proxy, &["status", "app"], 0)["sessions"], 3);
}

#[test]
fn a_backend_on_its_way_out_shows_the_time_left() {
    let backend = crate::support::websocket::echo("ada", &crate::support::Events::default());
    let proxy = setup(&[&backend]).start();
    proxy.get("/", &["X-Room: 7"]);
    told(&proxy, &["drain", "app/ada", "--timeout", "10m"]);
    let text = told(&proxy, &["status"]);
    assert_eq!(row(&text, "ada")[1..3], ["drain", "up"], "{text}");
    assert!(text.contains("9m 59s left"), "{text}");
}

#[test]
fn any_names_fit_80_columns() {
    let (wide, long) = ("棋".repeat(80), "x".repeat(255));
    let turned = format!("a\u{202e}b{}", "e\u{301}".repeat(60));
    let backends = [wide, long, turned].map(|name| Backend::named(&name));
    let proxy = setup(&backends.each_ref()).start();
    let text = told(&proxy, &["status"]);
    assert_fits(&text);
    assert_eq!(text.matches('…').count(), 3, "{text}");
}

#[test]
fn nothing_a_proxy_says_is_obeyed_by_the_terminal() {
    let hostile = "\u{1b}[2J\u{9b}31m\u{7}\r\u{202e}".repeat(20);
    let backend = json!({
        "name": hostile, "state": hostile, "health": hostile, "health_reason": hostile, "sessions": u64::MAX,
        "connections": u64::MAX, "requests_total": u64::MAX, "weight": 1, "slow_start": 0.5, "health_since": -1e300,
        "drain": { "seconds_left": 1e300, "sessions": 1, "done": false }, "ejected_seconds_left": 1e300
    });
    let pool = json!({ "name": hostile, "mode": hostile, "balance": hostile, "sessions": 1, "capacity": 1, "backends": [backend] });
    let admin = saying(&json!({
        "version": hostile, "uptime_seconds": 1e300, "state": { "error": hostile }, "pools": [pool],
        "reload": { "at": 1, "outcome": "refused", "problems": [{}] }
    }));
    let url = format!("http://{}", admin.address);
    assert_fits(&said(&mut command(&["status", "--admin", &url]), 0).out);
    said(&mut command(&["status", "--admin", &url, "--json"]), 0);
    // A wide terminal changes nothing of that; what is no terminal has 80 columns.
    assert_fits(&said(command(&["status", "--admin", &url]).env("COLUMNS", "200"), 0).out);
}

#[test]
fn a_proxy_of_another_version_can_be_looked_at() {
    let admin = saying(
        &json!({ "pools": [{ "name": "app", "backends": [{ "name": "ada", "new": 1 }] }], "more": {} }),
    );
    let url = format!("http://{}", admin.address);
    let text = said(&mut command(&["status", "--admin", &url]), 0).out;
    assert!(text.contains("ada"), "{text}");
    let other = saying(&json!({ "pools": 7 }));
    let said = said(&mut command(&["status", "--admin", &format!("http://{}", other.address)]), 2);
    assert!(said.err.contains("another version"), "{}", said.err);
}

#[test]
fn watching_goes_on_until_it_is_told_to_end() {
    let proxy = setup(&[&Backend::named("ada")]).start();
    let watch = Process::start(&["status", "--watch", "0.1", "--json", "--admin", &url(&proxy)]);
    eventually("two looks", || watch.lines().len() > 1);
    watch.signal(Signal::INT);
    let (status, lines) = watch.wait();
    assert_eq!(status.code(), Some(0));
    let look: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(look["status"]["pools"][0]["name"], "app");
    said(&mut asking(&proxy, &["status", "--watch", "0"]), 2);
}

#[test]
fn watching_outlives_the_proxy() {
    let proxy: Proxy = setup(&[&Backend::named("ada")]).start();
    let watch = Process::start(&["status", "--watch=0.1", "--admin", &url(&proxy)]);
    eventually("a look", || watch.lines().iter().any(|line| line.contains("req/s")));
    drop(proxy);
    eventually("it says so", || watch.lines().iter().any(|line| line.contains("is the proxy running")));
    eventually("it shows what it saw", || {
        watch.lines().last().is_some_and(|line| line.contains("ada"))
            || watch.lines().last().is_some_and(String::is_empty)
    });
    watch.signal(Signal::TERM);
    assert_eq!(watch.wait().0.code(), Some(0));
}
