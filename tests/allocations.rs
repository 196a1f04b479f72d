//! What a request allocates once its connections are there and its session has been seen: at most so many blocks and so
//! many octets. Lower the constants when it becomes less; there is no other place that knows them.
//!
//! The allocator counts for all threads: the client and the backend of this test allocate nothing between requests, and
//! what the control thread does now and then is left out by the best of several rounds.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use homing::config::Config;
use homing::server::{Server, Stop};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Blocks that a request may take, and how often it may make one larger.
const MOST_ALLOCATIONS: usize = 13;
/// Octets in them: 3,358 were found.
const MOST_OCTETS: usize = 3_450;

const ROUNDS: usize = 5;
const REQUESTS: usize = 400;
const REQUEST: &[u8] = b"GET /game/board HTTP/1.1\r\nHost: game.example\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml\r\nAccept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\nCookie: theme=dark; sid=0123456789abcdef\r\n\r\n";
const BODY: &[u8] = b"Hello, world!";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\
    Cache-Control: no-store\r\n\r\nHello, world!";

#[test]
fn a_request_of_a_session_that_is_known_allocates_little() {
    let server = Server::start(&config(backend())).unwrap();
    let mut client = TcpStream::connect(server.addresses()[0]).unwrap();
    (0..REQUESTS).for_each(|_| ask(&mut client));
    let round = |_| {
        let region = Region::new(ALLOCATOR);
        (0..REQUESTS).for_each(|_| ask(&mut client));
        let stats = region.change();
        (stats.allocations + stats.reallocations, stats.bytes_allocated)
    };
    let (allocations, octets) = (0..ROUNDS).map(round).min().unwrap();
    let (each, octets_each) = (allocations as f64 / REQUESTS as f64, octets as f64 / REQUESTS as f64);
    println!("{each} allocations of {octets_each} octets for each request");
    // What is not of a request is less than one for each.
    assert!(allocations < (MOST_ALLOCATIONS + 1) * REQUESTS, "{each} allocations, not {MOST_ALLOCATIONS}");
    assert!(octets <= MOST_OCTETS * REQUESTS, "{octets_each} octets, more than {MOST_OCTETS}");
    server.stop(Stop::Now);
    server.wait();
}

fn config(backend: SocketAddr) -> Config {
    let source = format!(
        "server = {{ workers = 1 }}\nlog = {{ access = false }}\nlistener = [{{ address = \"127.0.0.1:0\" }}]\n\
         route = [{{ pool = \"app\" }}]\n[[pool]]\nname = \"app\"\n\
         sticky = {{ key = [\"cookie:sid\"], mode = \"hash\" }}\nbackend = [{{ address = \"{backend}\" }}]\n",
    );
    Config::parse(&source, "test.toml").unwrap()
}

fn ask(client: &mut TcpStream) {
    client.write_all(REQUEST).unwrap();
    assert!(read_to(client, BODY), "a response");
}

/// A backend for one connection after another, each of which gets the same response to every request.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            while read_to(&mut stream, b"\r\n\r\n") && stream.write_all(RESPONSE).is_ok() {}
        }
    });
    address
}

/// Reads up to what ends with `end`, and says whether it came.
fn read_to(stream: &mut TcpStream, end: &[u8]) -> bool {
    let (mut buffer, mut filled) = ([0; 4096], 0);
    while !buffer[..filled].ends_with(end) {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => return false,
            Ok(read) => filled += read,
        }
    }
    true
}
