//! Health checks reach backends as traffic does: by TLS, by HTTP/2; and those of gRPC.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};

use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::support::authority::Authority;
use crate::support::http2::{Exchange, Http2Backend};
use crate::support::terminator::{Terminator, Terms};
use crate::support::{Backend, Conn, Proxy, Setup, eventually};

/// Passes octets between a scripted connection and `to`, until a side ends.
pub(crate) fn relay(conn: &mut Conn, to: SocketAddr) {
    let mut there = TcpStream::connect(to).unwrap();
    there.write_all(&std::mem::take(&mut conn.reader.buffer)).unwrap();
    let (mut back, mut here) = (there.try_clone().unwrap(), conn.reader.source.try_clone().unwrap());
    let returning = std::thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut here);
        let _ = here.shutdown(Shutdown::Both);
    });
    while conn.reader.fill() && there.write_all(&std::mem::take(&mut conn.reader.buffer)).is_ok() {}
    let _ = there.shutdown(Shutdown::Both);
    returning.join().unwrap();
}

/// The health of a backend after its first check, which decides.
#[track_caller]
fn first_health(proxy: &Proxy) -> &'static str {
    eventually("the first check is over", || proxy.status("a").health.as_str() != "unknown");
    proxy.status("a").health.as_str()
}

#[test]
fn checks_go_by_tls_and_believe_nobody_else() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let backend = Backend::checked("a", || 204);
    let identity = ours.issue(&["127.0.0.1"]);
    let front = Terminator::start(&Terms::of(&identity), backend.address);
    for health in ["path = \"/healthz\"", "rise = 1"] {
        for (authority, expected) in [(&ours, "up"), (&theirs, "down")] {
            let setup = Setup::at(&[("a", front.address)]).table("health", health);
            let proxy = setup.table("tls", &authority.ca()).start();
            assert_eq!(first_health(&proxy), expected, "{health}");
        }
    }
    assert!(backend.checks() > 0);
}

#[test]
fn a_reload_that_changes_whom_to_believe_is_heeded_by_checks() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let backend = Backend::checked("a", || 204);
    let identity = ours.issue(&["127.0.0.1"]);
    let front = Terminator::start(&Terms::of(&identity), backend.address);
    let believing = |authority: &Authority| {
        let tls = authority.ca();
        Setup::at(&[("a", front.address)]).checks(1, 1).table("tls", &tls)
    };
    let proxy = believing(&ours).start();
    proxy.until("a", "up");
    proxy.apply(&believing(&theirs));
    proxy.until("a", "down");
    proxy.apply(&believing(&ours));
    proxy.until("a", "up");
}

#[test]
fn checks_of_an_http2_pool_speak_http2() {
    for (status, health) in [(204, "up"), (503, "down")] {
        let backend = Http2Backend::start("a", move |exchange| {
            Box::pin(async move {
                exchange.note(format!("{} {}", exchange.head.method, exchange.head.uri));
                exchange.answer(status, "");
            })
        });
        let setup =
            crate::http2::setup(&[&backend]).table("health", "path = \"/healthz\"\nhost = \"h.example\"");
        assert_eq!(first_health(&setup.start()), health);
        assert_eq!(backend.notes()[0], "GET http://h.example/healthz");
    }
}

#[test]
fn the_body_of_an_http2_check_says_what_it_says() {
    let backend = Http2Backend::start("a", |exchange| {
        Box::pin(async move { exchange.answer(200, r#"{"id": "first life"}"#) })
    });
    let table = "path = \"/healthz\"\ninstance_json = \"/id\"";
    let proxy = crate::http2::setup(&[&backend]).table("health", table).start();
    eventually("it is heard", || proxy.status("a").instance.as_deref() == Some("first life"));
}

// === gRPC ===

/// A message of the health service, and the status behind it.
async fn serve(mut exchange: Exchange, message: &'static [u8], status: &'static str) {
    let body = exchange.whole().await.unwrap();
    exchange.note(format!("{} {:?} {body:?}", exchange.head.uri.path(), exchange.head.field("te")));
    let head = Response::builder().header("content-type", "application/grpc").header("x-life", "one");
    let mut stream = exchange.respond.send_response(head.body(()).unwrap(), false).unwrap();
    stream.send_data(Bytes::from_static(message), false).unwrap();
    let trailers = [("grpc-status".parse().unwrap(), status.parse().unwrap())];
    stream.send_trailers(HeaderMap::from_iter(trailers)).unwrap();
}

fn health_of(message: &'static [u8], status: &'static str) -> String {
    let backend = Http2Backend::start("a", move |exchange| Box::pin(serve(exchange, message, status)));
    let proxy = crate::http2::setup(&[&backend]).table("health", "grpc = true").start();
    first_health(&proxy).to_owned()
}

#[test]
fn a_grpc_server_is_up_if_it_says_serving() {
    assert_eq!(health_of(&[0, 0, 0, 0, 2, 0x08, 1], "0"), "up");
    assert_eq!(health_of(&[0, 0, 0, 0, 2, 0x08, 2], "0"), "down", "NOT_SERVING");
    assert_eq!(health_of(&[0, 0, 0, 0, 2, 0x08, 3], "0"), "down", "SERVICE_UNKNOWN");
    assert_eq!(health_of(&[0, 0, 0, 0, 0], "0"), "down", "UNKNOWN");
    assert_eq!(health_of(&[0, 0, 0, 0, 2, 0x08, 1], "14"), "down", "an error behind the message");
    assert_eq!(health_of(&[], "0"), "down", "no message");
}

#[test]
fn a_grpc_server_without_the_health_service_is_down() {
    let backend = Http2Backend::start("a", |mut exchange| {
        Box::pin(async move {
            // An error without a message has its status in the head.
            let head =
                Response::builder().header("content-type", "application/grpc").header("grpc-status", "12");
            exchange.respond.send_response(head.body(()).unwrap(), true).unwrap();
        })
    });
    let proxy = crate::http2::setup(&[&backend]).table("health", "grpc = true").start();
    assert_eq!(first_health(&proxy), "down");
}

#[test]
fn a_server_that_is_none_of_grpc_is_down() {
    let http2 = Http2Backend::start("a", |exchange| Box::pin(async move { exchange.answer(404, "") }));
    let proxy = crate::http2::setup(&[&http2]).table("health", "grpc = true").start();
    assert_eq!(first_health(&proxy), "down");
    let http1 = Backend::named("a");
    let setup = Setup::of(&[&http1]).pool("protocol = \"http2\"").table("health", "grpc = true");
    assert_eq!(first_health(&setup.start()), "down");
}

#[test]
fn a_grpc_check_asks_for_its_service_and_hears_of_the_life() {
    let backend =
        Http2Backend::start("a", |exchange| Box::pin(serve(exchange, &[0, 0, 0, 0, 2, 0x08, 1], "0")));
    let table = "grpc = true\ngrpc_service = \"a.B\"\ninstance_header = \"x-life\"";
    let proxy = crate::http2::setup(&[&backend]).table("health", table).start();
    proxy.until("a", "up");
    let question = [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B'];
    assert_eq!(backend.notes()[0], format!("/grpc.health.v1.Health/Check Some(\"trailers\") {question:?}"));
    eventually("its life has a name", || proxy.status("a").instance.as_deref() == Some("one"));
}

#[test]
fn a_grpc_check_goes_by_tls() {
    let authority = Authority::new("ca");
    let identity = authority.issue(&["127.0.0.1"]);
    let backend =
        Http2Backend::start("a", |exchange| Box::pin(serve(exchange, &[0, 0, 0, 0, 2, 0x08, 1], "0")));
    let front = Terminator::start(&Terms { alpn: &["h2"], ..Terms::of(&identity) }, backend.address);
    // The check speaks HTTP/2 also where the pool does not.
    for pool in ["protocol = \"http2\"", ""] {
        let setup = Setup::at(&[("a", front.address)]).pool(pool).table("health", "grpc = true");
        let proxy = setup.table("tls", &authority.ca()).start();
        assert_eq!(first_health(&proxy), "up");
    }
}
