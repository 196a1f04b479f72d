//! Keys that backends issue in the bodies of their responses: bound before the client has them, and not an octet changed.

use crate::support::{Backend, Proxy, Setup, get};

/// Answers the handshake of engine.io with an id of its own, and everything else with its name.
fn engine(name: &'static str, head: &'static str, body: &'static str) -> Backend {
    Backend::start(name, move |conn| {
        let mut issued = 0;
        while let Some(request) = conn.request() {
            issued += 1;
            let body = body.replace("{id}", &format!("{name}-{}-{issued}", conn.number));
            let (head, body) =
                if request.target() == "/login" { (head, body) } else { ("", name.to_owned()) };
            conn.send(format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len()));
        }
    })
}

fn fleet(head: &'static str, body: &'static str, learn: &str) -> (Proxy, Vec<Backend>) {
    let backends: Vec<Backend> = ["a", "b", "c", "d"].map(|name| engine(name, head, body)).into();
    let sticky = format!("key = [\"query:sid\"]\nlearn = [{learn}]");
    let proxy = Setup::of(&backends.iter().collect::<Vec<_>>()).table("sticky", &sticky).start();
    (proxy, backends)
}

const PLAIN: &str = "Content-Type: text/plain; charset=UTF-8\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// The id in a body: what begins with the name of a backend.
fn id_in(body: &str, issuer: &str) -> String {
    let from = body.find(&format!("{issuer}-")).unwrap();
    body[from..].split('"').next().unwrap().to_owned()
}

#[track_caller]
fn assert_learned(proxy: &Proxy) {
    for _ in 0..12 {
        let body = proxy.get("/login", &[]).text();
        let issuer =
            ["a", "b", "c", "d"].into_iter().find(|name| body.contains(&format!("\"{name}-"))).unwrap();
        let target = format!("/poll?sid={}", id_in(&body, issuer));
        assert_eq!(proxy.get(&target, &[]).text(), issuer, "{body}");
    }
}

#[test]
fn an_id_belongs_to_the_backend_whose_body_issued_it() {
    let (proxy, _backends) = fleet(JSON, "{\"user\": 1, \"sid\": \"{id}\"}", "\"body:/sid\"");
    assert_learned(&proxy);
}

#[test]
fn the_handshake_of_socket_io_is_understood() {
    let body =
        "0{\"sid\":\"{id}\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":20000}";
    let (proxy, backends) = fleet(PLAIN, body, "\"body:/sid\"");
    assert_learned(&proxy);
    let preset =
        Setup::of(&backends.iter().collect::<Vec<_>>()).table("sticky", "preset = \"socketio\"").start();
    assert_learned(&preset);
}

#[test]
fn several_pointers_teach_several_keys() {
    let (proxy, _backends) =
        fleet(JSON, "{\"tab\": {\"no\": \"t{id}\"}, \"sid\": \"{id}\"}", "\"body:/sid\", \"body:/tab/no\"");
    for _ in 0..4 {
        let body = proxy.get("/login", &[]).text();
        let id = body.rsplit('"').nth(1).unwrap().to_owned();
        for sid in [format!("t{id}"), id.clone()] {
            assert_eq!(proxy.get(&format!("/?sid={sid}"), &[]).text(), id[..1], "{sid}");
        }
    }
}

#[test]
fn bound_before_the_last_octet_of_the_value_is_passed_on() {
    let backends: Vec<Backend> = ["a", "b", "c"]
        .map(|name| {
            Backend::start(name, move |conn| {
                while let Some(request) = conn.request() {
                    if request.target() != "/login" {
                        conn.send(crate::support::backend::ok(name));
                        continue;
                    }
                    let (first, rest) = ("{\"sid\": \"one", "-more\"");
                    let length = first.len() + rest.len() + 1;
                    conn.send(format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: {length}\r\n\r\n{first}"));
                    conn.send(rest);
                    conn.next.wait();
                    conn.send("}");
                }
            })
        })
        .into();
    let all: Vec<&Backend> = backends.iter().collect();
    let proxy = Setup::of(&all).table("sticky", "key = [\"query:sid\"]\nlearn = [\"body:/sid\"]").start();
    let mut client = proxy.connect();
    client.send(get("/login", &[]));
    client.head();
    assert_eq!(client.octets(17), b"{\"sid\": \"one-more", "nothing is held back");
    assert_eq!(client.octets(1), b"\"");
    let home = proxy.get("/?sid=one-more", &[]).text();
    for backend in &backends {
        backend.next.open();
    }
    assert_eq!(client.octets(1), b"}");
    let logged_in =
        |backend: &&Backend| backend.requests().iter().any(|request| request.target() == "/login");
    assert_eq!(backends.iter().find(logged_in).map(|backend| backend.name.clone()), Some(home));
}

#[test]
fn compressed_bodies_are_passed_over_and_counted() {
    let head = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    let (proxy, _backends) = fleet(head, "{\"sid\": \"{id}\"}", "\"body:/sid\"");
    proxy.get("/login", &[]);
    let pool = proxy.control().pool_status("app").unwrap();
    assert_eq!((pool.sessions, pool.encoded_bodies_total), (0, 1));
}

#[test]
fn other_types_are_passed_over() {
    let (proxy, _backends) = fleet("Content-Type: text/html\r\n", "{\"sid\": \"{id}\"}", "\"body:/sid\"");
    proxy.get("/login", &[]);
    let pool = proxy.control().pool_status("app").unwrap();
    assert_eq!((pool.sessions, pool.encoded_bodies_total), (0, 0));
}
