//! HTTP/2 connections to backends that many requests share: when one is made, and when it is used no more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::frames::{self, REFUSED_STREAM};
use crate::http2::setup;
use crate::support::http2::{Exchange, Http2Backend};
use crate::support::{Backend, Client, Conn, Proxy, Setup, eventually, get};

/// Answers with its name, each as soon as the test gives a permit.
fn patient(name: &str, streams: u32) -> Http2Backend {
    let own = name.to_owned();
    Http2Backend::limited(name, streams, move |exchange| {
        let body = own.clone();
        Box::pin(async move {
            exchange.wait().await;
            exchange.answer(200, &body);
        })
    })
}

/// A backend that speaks in frames, each connection by `script`.
fn raw(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> (Backend, Proxy) {
    let backend = Backend::start("a", move |conn| {
        frames::preface(conn);
        script(conn);
    });
    let proxy = Setup::of(&[&backend]).pool("protocol = \"http2\"").start();
    (backend, proxy)
}

fn ask(proxy: &Proxy, count: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(get("/", &[]));
    }
    clients
}

#[test]
fn requests_at_the_same_time_share_a_connection() {
    let backend = patient("a", 1000);
    let proxy = setup(&[&backend]).start();
    let mut clients = ask(&proxy, 20);
    eventually("all are there", || backend.requests().len() == 20);
    backend.next.add_permits(20);
    assert!(clients.iter_mut().all(|client| client.response().text() == "a"));
    assert_eq!(backend.connections(), 1);
}

#[test]
fn no_more_requests_at_a_time_than_the_backend_takes() {
    let backend = patient("a", 2);
    let proxy = setup(&[&backend]).start();
    let mut clients = ask(&proxy, 5);
    eventually("all are there", || backend.requests().len() == 5);
    let mut by_connection: BTreeMap<usize, usize> = BTreeMap::new();
    backend.requests().iter().for_each(|asked| *by_connection.entry(asked.connection).or_default() += 1);
    assert!(by_connection.values().all(|count| *count <= 2), "{by_connection:?}");
    backend.next.add_permits(5);
    assert!(clients.iter_mut().all(|client| client.response().status == 200));
}

#[test]
fn no_more_than_a_hundred_requests_share_a_connection() {
    let backend = patient("a", 1000);
    let proxy = setup(&[&backend]).start();
    let mut clients = ask(&proxy, 101);
    eventually("all are there", || backend.requests().len() == 101);
    assert_eq!(backend.connections(), 2);
    backend.next.add_permits(101);
    assert!(clients.iter_mut().all(|client| client.response().status == 200));
}

#[test]
fn requests_wait_for_a_connection_that_is_being_made() {
    let (backend, proxy) = raw(|conn| {
        conn.next.wait();
        frames::greet(conn);
        while let Some(stream) = frames::request(conn) {
            frames::answer(conn, stream, "a");
        }
    });
    let mut clients = ask(&proxy, 5);
    eventually("the first is connecting", || backend.connections() == 1);
    // The one worker has seen them all when it answers one that came later.
    assert_eq!(proxy.ask("GET / HTTP/1.1\r\n\r\n").status, 400);
    backend.next.open();
    assert!(clients.iter_mut().all(|client| client.response().text() == "a"));
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_connection_that_fails_fails_for_all_who_wait_for_it() {
    let (backend, proxy) = raw(|conn| {
        conn.next.wait();
    });
    let mut clients = ask(&proxy, 3);
    eventually("it connects", || backend.connections() == 1);
    backend.next.open();
    assert!(clients.iter_mut().all(|client| client.response().status == 503));
}

#[test]
fn a_connection_is_of_use_though_the_request_it_was_made_for_has_left() {
    let (backend, proxy) = raw(|conn| {
        conn.next.wait();
        frames::greet(conn);
        while let Some(stream) = frames::request(conn) {
            frames::answer(conn, stream, "a");
        }
    });
    let maker = ask(&proxy, 1);
    eventually("it connects", || backend.connections() == 1);
    drop(maker);
    let mut other = ask(&proxy, 1);
    // The one worker has seen both when it answers one that came later.
    assert_eq!(proxy.ask("GET / HTTP/1.1\r\n\r\n").status, 400);
    backend.next.open();
    assert_eq!(other[0].response().text(), "a");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_connection_that_ends_as_soon_as_it_is_made_is_no_place() {
    let (backend, proxy) = raw(|conn| {
        frames::greet_and_go(conn);
        conn.until_closed();
    });
    assert_eq!(proxy.get("/", &[]).status, 503);
    assert!(backend.connections() <= 6, "{} connections", backend.connections());
}

#[test]
fn a_client_that_does_not_read_holds_up_no_other() {
    let sent = Arc::new(AtomicUsize::new(0));
    let own = sent.clone();
    let backend = Http2Backend::start("a", move |exchange| {
        let sent = own.clone();
        Box::pin(async move {
            match exchange.head.uri.path() {
                "/small" => exchange.answer(200, "small"),
                _ => without_end(exchange, &sent).await,
            }
        })
    });
    let proxy = setup(&[&backend]).start();
    let mut slow = ask(&proxy, 3);
    assert!(slow.iter_mut().all(|client| client.head().status == 200));
    // What sockets hold on the way is full when no more is taken.
    eventually("nothing moves any more", || {
        let before = sent.load(Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(200));
        before > 0 && sent.load(Ordering::SeqCst) == before
    });
    assert_eq!(proxy.get("/small", &[]).text(), "small");
    assert_eq!(backend.connections(), 1);
}

/// Sends whenever it may, and counts.
async fn without_end(mut exchange: Exchange, sent: &AtomicUsize) {
    let mut stream = exchange.respond.send_response(http::Response::new(()), false).unwrap();
    loop {
        stream.reserve_capacity(16 * 1024);
        let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
        if stream.send_data(vec![b'x'; room].into(), false).is_err() {
            return;
        }
        sent.fetch_add(room, Ordering::SeqCst);
    }
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let backend = Http2Backend::named("a");
    let proxy = setup(&[&backend]).table("timeouts", "keep_alive = \"100ms\"").start();
    assert_eq!(proxy.get("/", &[]).status, 200);
    eventually("the idle connection is closed", || backend.open() == 0);
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(backend.connections(), 2);
}

#[test]
fn a_connection_with_a_request_is_not_idle() {
    let backend = patient("a", 1000);
    let proxy = setup(&[&backend]).table("timeouts", "keep_alive = \"1ms\"").start();
    let mut long = ask(&proxy, 1);
    eventually("it is there", || backend.requests().len() == 1);
    backend.next.add_permits(3);
    // Each takes some time; the sweep passes meanwhile.
    for _ in 0..2 {
        let mut others = ask(&proxy, 1);
        assert_eq!(others[0].response().status, 200);
    }
    assert_eq!(long[0].response().status, 200);
}

#[test]
fn a_reload_to_http2_uses_no_connection_from_before() {
    let backend = Http2Backend::named("a");
    let before = Setup::at(&[("a", backend.address)]);
    let proxy = before.start();
    // It speaks HTTP/2 only.
    assert_ne!(proxy.get("/", &[]).status, 200);
    proxy.apply(&setup(&[&backend]));
    assert_eq!(proxy.get("/", &[]).text(), "a");
}

// === Sessions ===

#[test]
fn sessions_stay_with_their_backend() {
    let (a, b) = (Http2Backend::named("a"), Http2Backend::named("b"));
    let proxy = setup(&[&a, &b]).sticky("\"query:room\"").start();
    let homes: Vec<_> = (0..20).map(|room| proxy.get(&format!("/?room={room}"), &[]).text()).collect();
    assert!(homes.contains(&"a".into()) && homes.contains(&"b".into()), "{homes:?}");
    for (room, home) in homes.iter().enumerate() {
        assert_eq!(proxy.get(&format!("/?room={room}"), &[]).text(), *home);
    }
    let epochs: Vec<_> = a.requests().iter().map(|asked| asked.field("x-session-epoch").is_some()).collect();
    assert!(!epochs.is_empty() && epochs.iter().all(|is_there| *is_there));
    assert_eq!((a.connections(), b.connections()), (1, 1));
}

#[test]
fn a_session_that_moves_resets_what_it_leaves_behind() {
    let a = Http2Backend::start("a", |mut exchange| {
        Box::pin(async move {
            let mut stream = exchange.respond.send_response(http::Response::new(()), false).unwrap();
            let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            exchange.note(format!("{:?}", reason.unwrap()));
        })
    });
    let proxy = setup(&[&a]).sticky("\"query:room\"").start();
    let mut client = proxy.connect();
    client.send("POST /?room=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
    assert_eq!(client.head().status, 200);
    let ended = futures_util::FutureExt::now_or_never(proxy.control().end_session("app", b"1"));
    assert_eq!(ended.unwrap(), Ok(true));
    eventually("the stream is reset", || a.notes() == ["CANCEL"]);
    eventually("the key is let go", || proxy.control().session("app", b"1") == Ok(None));
}

// === Connections that end ===

#[test]
fn after_a_goaway_requests_take_another_connection_and_none_is_lost() {
    let (backend, proxy) = raw(|conn| {
        frames::greet(conn);
        let first = frames::request(conn).unwrap();
        if conn.number == 0 {
            // This one it still answers, after it has said that it will take no other.
            frames::go_away(conn, first);
            conn.next.wait();
            return frames::answer(conn, first, "first");
        }
        frames::answer(conn, first, "second");
        conn.until_closed();
    });
    let mut first = ask(&proxy, 1);
    eventually("it is there", || backend.connections() == 1);
    assert_eq!(proxy.get("/", &[]).text(), "second");
    backend.next.open();
    assert_eq!(first[0].response().text(), "first");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn a_request_behind_the_last_of_a_goaway_is_sent_again() {
    let (backend, proxy) = raw(|conn| {
        frames::greet(conn);
        let stream = frames::request(conn).unwrap();
        frames::answer(conn, stream, &conn.number.to_string());
        if frames::request(conn).is_some() {
            frames::go_away(conn, stream);
        }
        conn.until_closed();
    });
    assert_eq!(proxy.get("/", &[]).text(), "0");
    assert_eq!(proxy.get("/", &[]).text(), "1");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn a_backend_that_takes_nothing_from_the_start_is_left_alone() {
    let (_backend, proxy) = raw(|conn| {
        frames::greet(conn);
        frames::request(conn);
        frames::go_away(conn, 0);
        conn.until_closed();
    });
    assert_eq!(proxy.get("/", &[]).status, 502);
}

/// By default h2 counts what comes for streams that it has forgotten, and closes the connection at the 1,025th: clients
/// who give up would end the requests of all others.
#[test]
fn what_still_comes_of_given_up_requests_harms_no_other() {
    const GIVEN_UP: usize = 1200;
    let (backend, proxy) = raw(|conn| {
        frames::greet(conn);
        let mut begun = Vec::new();
        while let Some(stream) = frames::request(conn) {
            if begun.len() < GIVEN_UP {
                frames::begin(conn, stream);
                begun.push(stream);
            } else {
                for stream in &begun {
                    frames::data(conn, *stream, "late");
                }
                frames::answer(conn, stream, "alive");
            }
        }
    });
    for _ in 0..GIVEN_UP {
        let mut client = proxy.connect();
        assert_eq!(client.send(get("/", &[])).head().status, 200);
    }
    eventually("all are given up", || proxy.status("a").in_flight == 0);
    for _ in 0..2 {
        assert_eq!(proxy.get("/", &[]).text(), "alive");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn answers_find_their_requests_whatever_others_do() {
    let backend = Http2Backend::start("a", |mut exchange| {
        Box::pin(async move {
            let Ok(body) = exchange.whole().await else { return };
            let target = exchange.head.uri.path().to_owned();
            exchange.answer(200, &format!("{target} {}", body.len()));
        })
    });
    let proxy = setup(&[&backend]).server("workers = 2").start();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let proxy = &proxy;
            scope.spawn(move || {
                for turn in 0..30 {
                    let length = number * 4001 + turn;
                    let head = format!(
                        "POST /{number}/{turn} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
                    );
                    let mut client = proxy.connect();
                    client.send(&head);
                    if turn % 3 == 0 {
                        // Gives up with half of it sent.
                        client.send(vec![b'x'; length / 2]);
                        continue;
                    }
                    let response = client.send(vec![b'x'; length]).response();
                    assert_eq!(response.text(), format!("/{number}/{turn} {length}"));
                }
            });
        }
    });
    eventually("nothing is left", || proxy.status("a").in_flight == 0);
    assert!(backend.connections() <= 2, "{} connections, one for each worker", backend.connections());
}

#[test]
fn a_request_that_is_refused_unprocessed_is_sent_again_if_nothing_is_lost() {
    for (request, status) in
        [(get("/", &[]), 200), ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx".into(), 502)]
    {
        let (backend, proxy) = raw(|conn| {
            frames::greet(conn);
            let first = frames::request(conn).unwrap();
            frames::answer(conn, first, "answered");
            if conn.number == 0
                && let Some(second) = frames::request(conn)
            {
                frames::reset(conn, second, REFUSED_STREAM);
            }
            conn.until_closed();
        });
        assert_eq!(proxy.get("/", &[]).status, 200);
        let response = proxy.ask(&request);
        assert_eq!(response.status, status, "{request}");
        assert_eq!(backend.connections(), if status == 200 { 2 } else { 1 });
    }
}

#[test]
fn a_connection_that_the_backend_closed_is_not_used() {
    let (backend, proxy) = raw(|conn| {
        frames::greet(conn);
        let stream = frames::request(conn).unwrap();
        frames::answer(conn, stream, "a");
    });
    for count in 1..5 {
        assert_eq!(proxy.get("/", &[]).text(), "a");
        eventually("it is closed", || backend.open() == 0);
        assert_eq!(backend.connections(), count);
    }
}
