//! What backends say of themselves in their health answers: which life they live, and that they want to leave.

use std::sync::{Arc, Mutex};

use homing::backend::Cause;

use super::{room_on, rooms_of};
use crate::support::websocket::{AGREE, Tunnel, echo_frames};
use crate::support::{Backend, Proxy, Setup, eventually};

/// A backend whose health answers can be rewritten: fields and a body.
fn speaking(name: &str) -> (Backend, Arc<Mutex<String>>) {
    let says = Arc::new(Mutex::new(answer("200 OK", "", "")));
    let (own, own_says) = (name.to_owned(), says.clone());
    let backend = Backend::start(name, move |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/healthz" {
                conn.send(own_says.lock().unwrap().clone());
            } else if request.field("upgrade").is_some() {
                conn.send(format!("{AGREE}\r\n"));
                return echo_frames(conn);
            } else {
                conn.send(crate::support::backend::ok(&own));
            }
        }
    });
    (backend, says)
}

fn answer(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

fn checked(backends: &[&Backend], settings: &str) -> Setup {
    let checks = "path = \"/healthz\"\ninterval = \"30ms\"\nrise = 1\nfall = 1";
    rooms_of(backends).table("health", &format!("{checks}\n{settings}"))
}

fn bound_to(proxy: &Proxy, room: &str) -> Option<String> {
    let key = room.rsplit('/').next().unwrap();
    proxy.control().session("app", key.as_bytes()).unwrap().and_then(|session| session.backend)
}

#[test]
fn a_restarted_backend_gets_no_old_bindings() {
    let header = ("instance_header = \"x-instance\"", "x-instance: one\r\n", "", "x-instance: two\r\n", "");
    let json = ("instance_json = \"/id\"", "", "{\"id\": \"one\"}", "", "{\"id\": \"two\"}");
    for (settings, first, first_body, then, then_body) in [header, json] {
        let ((a, says), (b, other)) = (speaking("a"), speaking("b"));
        *says.lock().unwrap() = answer("200 OK", first, first_body);
        *other.lock().unwrap() = answer("200 OK", first, first_body);
        let proxy = checked(&[&a, &b], settings).start();
        eventually("it is known", || proxy.status("a").instance.as_deref() == Some("one"));
        let room = room_on(&proxy, "a");
        let mut tunnel = Tunnel::open(proxy.connect(), &room);
        assert_eq!(bound_to(&proxy, &room).as_deref(), Some("a"));
        *says.lock().unwrap() = answer("200 OK", then, then_body);
        eventually("its new life is seen", || proxy.status("a").instance.as_deref() == Some("two"));
        assert_eq!(bound_to(&proxy, &room), None, "the room was in its memory");
        assert_eq!(proxy.status("a").sessions, 0);
        assert_eq!(proxy.get(&room, &[]).text(), "a", "placed anew, and the hash still says a");
        assert_eq!(tunnel.close_code(), Some(1012), "what was open belonged to the former life");
    }
}

#[test]
fn the_same_instance_keeps_its_bindings_over_a_failure() {
    let (a, says) = speaking("a");
    let good = answer("200 OK", "x-instance: one\r\n", "");
    says.lock().unwrap().clone_from(&good);
    let b = Backend::named("b");
    let proxy = checked(&[&a, &b], "instance_header = \"x-instance\"").start();
    proxy.until("a", "up");
    let room = room_on(&proxy, "a");
    *says.lock().unwrap() = answer("500 No", "x-instance: one\r\n", "");
    proxy.until("a", "down");
    *says.lock().unwrap() = good;
    proxy.until("a", "up");
    assert_eq!(proxy.get(&room, &[]).text(), "a");
}

#[test]
fn a_backend_can_drain_itself() {
    let header = ("drain_header = \"x-draining\"", answer("503 Leaving", "x-draining: true\r\n", ""));
    let json = ("drain_json = \"/draining\"", answer("200 OK", "", "{\"draining\": true}"));
    for (settings, leaving) in [header, json] {
        let ((a, says), (b, _)) = (speaking("a"), speaking("b"));
        let proxy = checked(&[&a, &b], settings).start();
        proxy.until("a", "up");
        let room = room_on(&proxy, "a");
        *says.lock().unwrap() = leaving;
        eventually("it drains", || {
            proxy.status("a").drain.is_some_and(|drain| drain.cause == Cause::Backend)
        });
        let a = proxy.status("a");
        assert_eq!((a.health.as_str(), a.state), ("up", "drain"), "whatever the status of its answer");
        assert_eq!(proxy.get(&room, &[]).text(), "a");
        assert!((0..20).all(|n| proxy.get(&format!("/game/new-{n}"), &[]).text() == "b"));
        *says.lock().unwrap() = answer("200 OK", "", "");
        eventually("it stays", || proxy.status("a").drain.is_none());
        room_on(&proxy, "a");
    }
}

#[test]
fn its_own_drain_ends_at_its_deadline() {
    let ((a, says), (b, _)) = (speaking("a"), speaking("b"));
    let setup = checked(&[&a, &b], "drain_header = \"x-draining\"");
    let proxy = setup.table("drain", "timeout = \"300ms\"\nspread = \"0s\"").start();
    proxy.until("a", "up");
    let room = room_on(&proxy, "a");
    let mut tunnel = Tunnel::open(proxy.connect(), &room);
    *says.lock().unwrap() = answer("200 OK", "x-draining: 1\r\n", "");
    assert_eq!(tunnel.close_code(), Some(1012));
    assert_eq!(proxy.get(&room, &[]).text(), "b");
}

#[test]
fn a_backend_that_is_asked_no_more_leaves_no_more() {
    let (a, says) = speaking("a");
    *says.lock().unwrap() = answer("200 OK", "x-draining: true\r\n", "");
    let proxy = checked(&[&a], "drain_header = \"x-draining\"").start();
    eventually("it drains", || proxy.status("a").drain.is_some());
    proxy.apply(&checked(&[&a], ""));
    eventually("it stays", || proxy.status("a").drain.is_none());
}

#[test]
fn a_check_needs_no_end_of_a_body_that_nobody_reads() {
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
    for (settings, health) in [("", "up"), ("instance_json = \"/id\"", "up")] {
        let a = Backend::start("a", move |conn| {
            conn.request();
            conn.send(endless);
            conn.until_closed();
        });
        let proxy = checked(&[&a], &format!("timeout = \"200ms\"\n{settings}")).start();
        proxy.until("a", health);
    }
}
