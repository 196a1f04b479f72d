//! What clients can make a proxy hold is bounded by configuration: measured as the resident memory of the real binary,
//! against the bounds that docs/configuration.md states.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use h2::SendStream;
use h2::client::SendRequest;
use http::Request;
use tokio::sync::Notify;

use support::backend::ok;
use support::process::Process;
use support::raw_http2::{self, Peer, settings, window_update};
use support::*;

const KIB: usize = 1024;

/// A proxy and how much memory it has when nothing goes on.
struct Scale {
    process: Process,
    address: SocketAddr,
    base: usize,
}

impl Scale {
    fn new(setup: &Setup) -> Self {
        let (process, address) = Process::proxy(setup);
        // What is allocated once for all.
        for _ in 0..50 {
            Client::connect(address).get("/", &[]);
        }
        let base = process.resident();
        Self { process, address, base }
    }

    /// Waits until the proxy takes no more memory: until three looks in a row find the same.
    fn settle(&self) {
        let (mut last, mut same) = (0, 0);
        eventually("the memory is what it stays", || {
            let now = self.process.resident();
            same = if now == last { same + 1 } else { 0 };
            last = now;
            same >= 30
        });
    }

    /// What was added since, for each of `count`.
    fn each(&self, count: usize) -> usize {
        self.process.resident().saturating_sub(self.base) / count
    }
}

fn connected(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(address).unwrap()).collect()
}

#[test]
fn an_idle_connection_costs_kilobytes() {
    const COUNT: usize = 1000;
    let backend = Backend::named("a");
    let scale = Scale::new(&Setup::of(&[&backend]));
    let mut clients: Vec<_> = (0..COUNT).map(|_| Client::connect(scale.address)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    let each = scale.each(COUNT);
    assert!(each <= 8 * KIB, "{each} octets for an idle HTTP/1 connection");
}

#[test]
fn an_idle_http2_connection_costs_kilobytes() {
    const COUNT: usize = 500;
    let backend = Backend::named("a");
    let scale = Scale::new(&Setup::of(&[&backend]));
    let mut clients: Vec<_> = (0..COUNT).map(|_| Peer::open(scale.address)).collect();
    for client in &mut clients {
        // As for a page with all that belongs to it.
        let streams: Vec<u32> = (0..60).map(|_| client.ask(&raw_http2::get("/"))).collect();
        assert!(streams.into_iter().all(|stream| client.answer(stream).status() == 200));
    }
    let each = scale.each(COUNT);
    assert!(each <= 12 * KIB, "{each} octets for an idle HTTP/2 connection");
}

#[test]
fn heads_that_do_not_end_are_held_up_to_their_limit() {
    const COUNT: usize = 200;
    let backend = Backend::named("a");
    let setup = Setup::of(&[&backend]).limits("header_timeout = \"1m\"\nheader_bytes = \"64KiB\"");
    let scale = Scale::new(&setup);
    let mut clients = connected(scale.address, COUNT);
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\nX-Long: {}", "x".repeat(60 * KIB));
    for client in &mut clients {
        client.write_all(head.as_bytes()).unwrap();
    }
    scale.settle();
    let each = scale.each(COUNT);
    assert!(each <= 192 * KIB, "{each} octets for a head of 64 KiB");
}

#[test]
fn a_response_that_nobody_reads_is_held_up_to_its_limit() {
    const COUNT: usize = 100;
    const LENGTH: usize = 8 * 1024 * KIB;
    let backend = backend_with_long_answers(LENGTH);
    let scale = Scale::new(&Setup::of(&[&backend]));
    let mut clients = connected(scale.address, COUNT);
    for client in &mut clients {
        client.write_all(get("/long", &[]).as_bytes()).unwrap();
    }
    scale.settle();
    let each = scale.each(COUNT);
    assert!(each <= 512 * KIB, "{each} octets for a response of {LENGTH}");
}

#[test]
fn responses_over_http2_that_nobody_reads_are_held_up_to_their_limit() {
    const CONNECTIONS: usize = 10;
    const STREAMS: usize = 16;
    const LENGTH: usize = 4 * 1024 * KIB;
    let backend = backend_with_long_answers(LENGTH);
    let scale = Scale::new(&Setup::of(&[&backend]));
    // The windows are open; what is not read is the socket.
    let windows = [settings(&[(4, 0x7fff_ffff)]), window_update(0, 0x7000_0000)].concat();
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| Peer::open(scale.address)).collect();
    for client in &mut clients {
        client.send(&windows);
        for _ in 0..STREAMS {
            client.ask(&raw_http2::get("/long"));
        }
    }
    eventually("all are under way", || backend.connections() >= CONNECTIONS * STREAMS);
    scale.settle();
    let each = scale.each(CONNECTIONS * STREAMS);
    assert!(each <= 256 * KIB, "{each} octets for a response of {LENGTH} over HTTP/2");
}

#[test]
fn uploads_over_http2_are_held_up_to_the_windows() {
    const CONNECTIONS: usize = 20;
    const STREAMS: usize = 16;
    let done = Latch::new();
    let backend = backend_that_does_not_read(done.clone());
    let scale = Scale::new(&Setup::of(&[&backend]));
    let (address, stay) = (scale.address, Arc::new(Notify::new()));
    let until = stay.clone();
    let clients = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut clients = Vec::new();
            for _ in 0..CONNECTIONS {
                clients.push(uploading(address, STREAMS).await);
            }
            until.notified().await;
        });
    });
    eventually("all uploads have begun", || backend.connections() >= CONNECTIONS * STREAMS);
    scale.settle();
    // For each a window of 64 KiB, and what is on its way to the backend.
    let each = scale.each(CONNECTIONS * STREAMS);
    assert!(each <= 256 * KIB, "{each} octets for an upload over HTTP/2");
    done.open();
    stay.notify_one();
    clients.join().unwrap();
}

/// Answers `/long` with so many octets, and others with its name.
fn backend_with_long_answers(length: usize) -> Backend {
    let body = vec![b'x'; length];
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    Backend::start("a", move |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/long" {
                conn.send(&head);
                conn.send(&body);
            } else {
                conn.send(ok("a"));
            }
        }
    })
}

/// Answers `/`; of all else it reads only the head.
fn backend_that_does_not_read(done: Latch) -> Backend {
    Backend::start("a", move |conn| {
        while let Some(request) = conn.head() {
            if request.target() != "/" {
                return done.wait();
            }
            conn.send(ok("a"));
        }
    })
}

/// An HTTP/2 connection with so many uploads under way, each as far as the proxy lets it.
async fn uploading(address: SocketAddr, streams: usize) -> (SendRequest<Bytes>, Vec<SendStream<Bytes>>) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    // Ends with the runtime.
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let mut bodies = Vec::new();
    for _ in 0..streams {
        client = client.ready().await.unwrap();
        let request = Request::post("http://homing.test/upload").body(()).unwrap();
        let (_, mut body) = client.send_request(request, false).unwrap();
        body.send_data(Bytes::from(vec![b'x'; 512 * KIB]), false).unwrap();
        bodies.push(body);
    }
    (client, bodies)
}
