//! The access log as the binary writes it: one line for each request, which says where it went and why, and never the
//! session key itself.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::Value;
use support::process::{Process, connect};
use support::websocket::{Tunnel, echo};
use support::{Backend, Client, Events, Setup, eventually, get};

const SECRET: &str = "s3cr3t-r00m";

/// A proxy that logs as `log` says, for rooms in the path, the query and a cookie.
fn logging(backend: &Backend, log: &str) -> (Process, SocketAddr) {
    let keys = "\"path:/game/{room}\", \"query:room\", \"cookie:sid\", \"header:x-room\"";
    Process::proxy(&Setup::of(&[backend]).log(log).sticky(keys))
}

/// The lines that a client's requests leave, as JSON.
fn lines(ask: impl FnOnce(&mut Client), count: usize) -> Vec<Value> {
    let backend = Backend::named("a");
    let (process, address) = logging(&backend, "format = \"json\"");
    ask(&mut connect(address));
    json(&process, count)
}

fn json(process: &Process, count: usize) -> Vec<Value> {
    process.access(count).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_line_says_where_a_request_went_and_why() {
    let lines = lines(
        |client| {
            client.get("/game/7/watch?x=1", &["X-Request-Id: mine", "X-Forwarded-For: 6.6.6.6"]);
            client
                .send("POST /game/7 HTTP/1.1\r\nHost: H.test:80\r\nContent-Length: 5\r\n\r\nhello")
                .response();
            client.get("/plain", &[]);
        },
        3,
    );
    let [first, second, third] = &lines[..] else { panic!("{lines:?}") };
    for line in &lines {
        assert_eq!((&line["pool"], &line["backend"]), (&"app".into(), &"a".into()), "{line}");
        assert_eq!(
            (&line["client"], &line["status"], &line["sent"]),
            (&"127.0.0.1".into(), &200.into(), &1.into())
        );
        assert!(line["total_ms"].as_f64().unwrap() >= line["head_ms"].as_f64().unwrap(), "{line}");
        assert!(
            line["timestamp"].is_string() && line["level"] == "INFO" && line["target"] == "access",
            "{line}"
        );
        assert!(line.get("error").is_none(), "{line}");
    }
    assert_eq!(
        (&first["method"], &first["host"], &first["id"]),
        (&"GET".into(), &"homing.test".into(), &"mine".into())
    );
    assert_eq!((&first["affinity"], &second["affinity"]), (&"placed".into(), &"bound".into()));
    assert_eq!((&third["affinity"], &third["path"]), (&"balanced".into(), &"/plain".into()));
    assert_eq!(
        (&second["method"], &second["received"], &second["host"]),
        (&"POST".into(), &5.into(), &"h.test".into())
    );
    assert_eq!(first["key_source"], "path:/game/{room}");
    assert!(third.get("key_source").is_none() && third.get("key").is_none(), "{third}");
}

#[test]
fn session_keys_are_hashed_the_same_for_each_request() {
    let lines = lines(
        |client| {
            client.get("/game/one", &[]);
            client.get("/?room=one", &[]);
            client.get("/game/two", &[]);
        },
        3,
    );
    let keys: Vec<&str> = lines.iter().map(|line| line["key"].as_str().unwrap()).collect();
    assert!(keys[0].len() == 16 && keys[0].bytes().all(|octet| octet.is_ascii_hexdigit()), "{keys:?}");
    assert!(keys[0] == keys[1] && keys[0] != keys[2], "{keys:?}");
}

#[test]
fn the_key_itself_is_in_no_line() {
    let backend = Backend::start("a", |conn| {
        while conn.request().is_some() {
            conn.send(format!("HTTP/1.1 200 OK\r\nSet-Cookie: sid={SECRET}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    for format in ["text", "json"] {
        let (process, address) = logging(&backend, &format!("format = \"{format}\"\nlevel = \"debug\""));
        let mut client = connect(address);
        client.get(&format!("/game/{SECRET}"), &[]);
        client.get(&format!("/game/{SECRET}/moves"), &[]);
        client.get("/game/%733cr3t-r00m", &[]);
        client.get(&format!("//game/./{SECRET}"), &[]);
        client.get(&format!("/game/{SECRET}/../%53{SECRET}"), &[]);
        client.get(&format!("/?room={SECRET}"), &[]);
        client.get("/", &[&format!("Cookie: sid={SECRET}")]);
        client.get("/", &[&format!("X-Room: {SECRET}")]);
        process.access(8);
        let said = process.lines().join("\n");
        assert!(!said.contains("3cr3t"), "{said}");
        assert!(said.contains("/game/{room}/moves"), "{said}");
    }
}

#[test]
fn a_path_without_a_key_is_written_as_it_was_sent() {
    let lines = lines(
        |client| {
            client.get("//plain/%2e/x", &[]);
            client.get("/x/../%67ame/one//%2e/", &[]);
            client.get("/x/../../y", &[]);
        },
        3,
    );
    let said = |at: usize| (lines[at]["path"].as_str().unwrap(), lines[at]["status"].as_u64().unwrap());
    assert_eq!(said(0), ("//plain/%2e/x", 200));
    assert_eq!(said(1), ("/%67ame/{room}/", 200));
    assert_eq!(said(2), ("/x/../../y", 400));
    assert_eq!(lines[2]["error"], "the path leads above its root");
}

#[test]
fn errors_have_a_line_too() {
    let lines = lines(
        |client| {
            client.get("/", &[]);
            client.send("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n").response();
        },
        2,
    );
    assert_eq!((&lines[1]["status"], lines[1].get("backend")), (&501.into(), None));
    assert!(lines[1]["error"].as_str().is_some_and(|error| !error.is_empty()), "{}", lines[1]);
}

#[test]
fn a_backend_that_fails_is_named() {
    let backend = Backend::start("a", |conn| drop(conn.request()));
    let (process, address) = logging(&backend, "format = \"json\"");
    let mut client = connect(address);
    assert_eq!(
        client.send("POST /game/7 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").response().status,
        502
    );
    let line = &json(&process, 1)[0];
    assert_eq!(
        (&line["status"], &line["backend"], &line["affinity"]),
        (&502.into(), &"a".into(), &"placed".into())
    );
    assert!(line["error"].is_string() && line.get("tries").is_none(), "{line}");
    assert_eq!(client.get("/game/7", &[]).status, 502);
    let line = &json(&process, 2)[1];
    assert_eq!((&line["status"], &line["backend"], &line["tries"]), (&502.into(), &"a".into(), &2.into()));
}

#[test]
fn a_request_that_was_tried_twice_says_so_and_counts_its_body_once() {
    let breaking = || {
        Backend::start("a", |conn| {
            while conn.request().is_some() && conn.number > 0 {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        })
    };
    let put = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
    let backend = breaking();
    let (process, address) = logging(&backend, "format = \"json\"");
    let mut client = connect(address);
    client.send(put).response();
    client.send(put).response();
    let lines = json(&process, 2);
    assert_eq!((&lines[0]["status"], &lines[0]["tries"]), (&200.into(), &2.into()));
    assert_eq!((&lines[1]["status"], lines[1].get("tries")), (&200.into(), None));
    assert!(lines.iter().all(|line| line["received"] == 5 && line.get("error").is_none()), "{lines:?}");
    let backend = breaking();
    let (process, address) = logging(&backend, "");
    connect(address).send(put).response();
    assert!(process.access(1)[0].contains(" tries=2 "), "{:?}", process.access(1));
}

#[test]
fn nobody_available_has_a_line() {
    let backend = Backend::killed("a");
    let (process, address) = logging(&backend, "format = \"json\"");
    assert_eq!(connect(address).get("/game/7", &[]).status, 503);
    let line = &json(&process, 1)[0];
    assert_eq!((&line["status"], &line["pool"]), (&503.into(), &"app".into()));
}

#[test]
fn a_response_cut_short_says_so() {
    let backend = Backend::start("a", |conn| {
        if conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        }
    });
    let (process, address) = logging(&backend, "format = \"json\"");
    assert!(!connect(address).get("/", &[]).complete);
    let line = &json(&process, 1)[0];
    assert_eq!((&line["status"], &line["sent"]), (&200.into(), &5.into()));
    assert!(line["error"].is_string(), "{line}");
}

#[test]
fn a_client_that_leaves_early_has_a_line() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.until_closed();
    });
    let (process, address) = logging(&backend, "format = \"json\"");
    let mut client = connect(address);
    client.send(get("/game/7", &[]));
    backend.request();
    drop(client);
    let line = &json(&process, 1)[0];
    assert_eq!((&line["status"], &line["backend"]), (&499.into(), &"a".into()), "not what nobody answered");
}

#[test]
fn a_tunnel_has_one_line_when_it_ends() {
    let events = Events::default();
    let backend = echo("a", &events);
    let (process, address) = logging(&backend, "format = \"json\"");
    let mut tunnel = Tunnel::open(connect(address), "/game/7");
    let greeting = tunnel.hear().len();
    tunnel.say("hello").hear();
    drop(tunnel);
    let line = &json(&process, 1)[0];
    assert_eq!((&line["status"], &line["affinity"]), (&101.into(), &"placed".into()));
    assert_eq!((&line["received"], &line["sent"]), (&(6 + 5).into(), &(2 + greeting + 2 + 5).into()));
}

#[test]
fn each_request_has_one_line() {
    let lines = lines(
        |client| {
            for n in 0..50 {
                client.get(&format!("/{n}"), &[]);
            }
        },
        50,
    );
    let paths: Vec<&str> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    let expected: Vec<String> = (0..50).map(|n| format!("/{n}")).collect();
    assert_eq!(paths, expected);
}

#[test]
fn text_is_for_people() {
    let backend = Backend::named("a");
    let (process, address) = logging(&backend, "format = \"text\"");
    connect(address).get("/game/7", &[]);
    let line = &process.access(1)[0];
    for part in ["status=200", "pool=\"app\"", "backend=\"a\"", "affinity=\"placed\"", "client=127.0.0.1"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    assert!(!line.contains('\u{1b}'), "colours are for terminals: {line}");
}

#[test]
fn the_access_log_can_be_off() {
    let backend = Backend::named("a");
    let (process, address) = logging(&backend, "access = false");
    assert_eq!(connect(address).get("/game/7", &[]).status, 200);
    assert_eq!(connect(address).get("/game/7", &[]).status, 200);
    process.signal(rustix::process::Signal::TERM);
    let (_, said) = process.wait();
    assert!(said.iter().all(|line| !line.contains("status") && !line.contains("/game")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("listening")), "but the rest is there: {said:?}");
}

#[test]
fn what_cannot_be_parsed_is_logged_from_the_connection() {
    let backend = Backend::named("a");
    let (process, address) = logging(&backend, "format = \"text\"");
    assert_eq!(connect(address).send("nonsense\r\n\r\n").response().status, 400);
    eventually("it is said", || process.lines().iter().any(|line| line.contains("refused")));
}

// === The documentation ===

/// The fields that docs/observability.md tells of.
fn documented() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/observability.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("| field | meaning |").unwrap();
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
}

/// A proxy of which some requests fail and are tried again, and the lines that those leave.
fn all_kinds_of_lines(format: &str) -> Vec<String> {
    let backend = Backend::start("a", |conn| {
        conn.request();
        if conn.number > 0 {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        }
    });
    let (process, address) = logging(&backend, &format!("format = \"{format}\""));
    assert!(!connect(address).get("/game/7", &[]).complete);
    process.access(1)
}

#[test]
fn every_field_is_documented_and_nothing_else() {
    let lines: Vec<Value> =
        all_kinds_of_lines("json").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let written: BTreeSet<String> =
        lines.iter().flat_map(|line| line.as_object().unwrap().keys().cloned()).collect();
    assert_eq!(written, documented());
    // In text the first three are words of their own.
    let lines = all_kinds_of_lines("text");
    let names = |line: &String| -> Vec<String> {
        let (_, fields) = line.split_once("access: ").unwrap();
        let words =
            fields.split(' ').filter_map(|word| word.split_once('=')).map(|(name, _)| name.to_owned());
        words.collect()
    };
    let mut written: BTreeSet<String> = lines.iter().flat_map(names).collect();
    written.extend(["timestamp", "level", "target"].map(str::to_owned));
    assert_eq!(written, documented());
}
