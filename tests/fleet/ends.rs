//! How sessions end before their time: by a DELETE of what a backend had issued, by a cookie that is taken back, by an
//! operator, by age.

use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, Proxy, Setup, eventually};

fn sessions(proxy: &Proxy) -> u64 {
    proxy.control().pool_status("app").unwrap().backends.iter().map(|backend| backend.sessions).sum()
}

/// Answers with these fields, and its name.
fn issuing(name: &str, fields: impl Fn(&str) -> String + Send + Sync + 'static) -> Backend {
    let own = name.to_owned();
    Backend::start(name, move |conn| {
        while let Some(request) = conn.request() {
            let fields = fields(request.start_line());
            conn.send(format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n{own}", own.len()));
        }
    })
}

fn delete(target: &str, fields: &str) -> String {
    format!("DELETE {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn deleting_an_issued_key_ends_its_session() {
    let mcp =
        issuing(
            "a",
            |line| if line.starts_with("POST") { "mcp-session-id: s1\r\n".into() } else { String::new() },
        );
    let proxy = Setup::of(&[&mcp]).sticky("\"header:mcp-session-id\"").start();
    proxy.ask("POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(sessions(&proxy), 1);
    proxy.get("/mcp", &["mcp-session-id: s1"]);
    assert_eq!(sessions(&proxy), 1);
    assert_eq!(proxy.ask(delete("/mcp", "mcp-session-id: s1\r\n")).status, 200);
    eventually("it has ended", || sessions(&proxy) == 0);
}

#[test]
fn a_delete_that_is_refused_ends_nothing() {
    let backend = Backend::answering("a", "HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n");
    let proxy = Setup::of(&[&backend]).sticky("\"header:mcp-session-id\"").start();
    assert_eq!(proxy.ask(delete("/mcp", "mcp-session-id: s1\r\n")).status, 405);
    assert_eq!(sessions(&proxy), 1);
}

#[test]
fn deleting_something_in_a_room_does_not_end_the_room() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).sticky("\"path:/game/{room}\"").start();
    assert_eq!(proxy.ask(delete("/game/7/move/3", "")).status, 200);
    assert_eq!(sessions(&proxy), 1);
}

#[test]
fn a_cookie_that_is_taken_back_ends_its_session() {
    for expiry in ["sid=; Max-Age=0", "sid=gone; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/"] {
        let backend = issuing("a", move |line| {
            if line.contains("/logout") {
                format!("set-cookie: {expiry}\r\n")
            } else {
                "set-cookie: sid=s1; Path=/\r\n".into()
            }
        });
        let proxy = Setup::of(&[&backend]).sticky("\"cookie:sid\"").start();
        proxy.get("/login", &[]);
        assert_eq!(sessions(&proxy), 1);
        proxy.get("/logout", &["cookie: sid=s1"]);
        eventually("it has ended", || sessions(&proxy) == 0);
    }
}

#[test]
fn what_is_live_keeps_an_ended_session_where_it_is() {
    let events = Events::default();
    let backends = [echo("a", &events), echo("b", &events)];
    let proxy = Setup::of(&[&backends[0], &backends[1]]).sticky("\"header:x-room\"").start();
    let mut client = proxy.connect();
    let fields: Vec<&str> = crate::support::websocket::ASK.into_iter().chain(["x-room: 7"]).collect();
    client.send(crate::support::get("/", &fields));
    assert_eq!(client.head().status, 101);
    assert_eq!(proxy.ask(delete("/", "x-room: 7\r\n")).status, 200);
    assert_eq!(sessions(&proxy), 1, "its tunnel is open");
    drop(client);
    eventually("it has ended with its tunnel", || sessions(&proxy) == 0);
}

#[test]
fn an_operator_can_end_a_session_with_all_that_is_open() {
    let events = Events::default();
    let a = echo("a", &events);
    let proxy = Setup::of(&[&a]).sticky("\"path:/game/{room}\"").start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/game/7");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let control = proxy.control();
    let session = control.session("app", b"7").unwrap().unwrap();
    assert_eq!((session.backend.as_deref(), session.live), (Some("a"), 1));
    assert!(runtime.block_on(control.end_session("app", b"7")).unwrap());
    assert_eq!(tunnel.close_code(), Some(1012));
    eventually("it has ended", || sessions(&proxy) == 0);
    assert!(!runtime.block_on(control.end_session("app", b"7")).unwrap());
}
