//! How client connections lie over the workers: those that stay evenly, wherever the kernel put them, and none of them
//! lost or counted twice on its way from one worker to another.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use homing::server::{Stop, WorkerLoad};

use support::websocket::{Tunnel, echo};
use support::{Backend, Client, Events, Proxy, Setup, eventually};

/// So many that chance alone puts as many on each of four workers once in 500 runs.
const MANY: usize = 64;

fn spread(backend: &Backend) -> Setup {
    Setup::of(&[backend]).server("workers = 4")
}

fn loads(proxy: &Proxy) -> Vec<WorkerLoad> {
    proxy.control().status().load.workers
}

fn counts(proxy: &Proxy) -> Vec<u64> {
    loads(proxy).iter().map(|worker| worker.connections).collect()
}

fn handed_over(proxy: &Proxy) -> u64 {
    loads(proxy).iter().map(|worker| worker.handed_over_total).sum()
}

#[track_caller]
fn assert_even(proxy: &Proxy, connections: usize) {
    let counts = counts(proxy);
    assert_eq!(counts.iter().sum::<u64>(), connections as u64, "{counts:?}");
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 1, "{counts:?}");
}

/// So many connections, each of which was answered.
fn answered(proxy: &Proxy, count: usize) -> Vec<Client> {
    answered_at(proxy.address, count)
}

fn answered_at(address: SocketAddr, count: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    clients
}

#[track_caller]
fn until_none_is_left(proxy: &Proxy) {
    eventually("all connections are given back", || {
        let status = proxy.control().status();
        status.load.connections == 0
            && status.listeners.iter().all(|listener| listener.connections == 0)
            && status.load.workers.iter().all(|worker| worker.connections == 0)
    });
}

#[test]
fn connections_that_stay_lie_evenly() {
    let backend = Backend::named("a");
    let proxy = spread(&backend).start();
    let mut clients: Vec<Client> = Vec::new();
    for count in 1..=MANY {
        clients.extend(answered(&proxy, 1));
        assert_even(&proxy, count);
    }
    for client in &mut clients {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    drop(clients);
    until_none_is_left(&proxy);
}

#[test]
fn tunnels_lie_evenly() {
    let backend = echo("a", &Events::default());
    let proxy = spread(&backend).start();
    let mut tunnels: Vec<_> = (0..MANY).map(|_| Tunnel::open(proxy.connect(), "/")).collect();
    assert_even(&proxy, MANY);
    for tunnel in &mut tunnels {
        tunnel.hear();
        assert_eq!(tunnel.say("still there?").hear(), "still there?");
    }
    drop(tunnels);
    until_none_is_left(&proxy);
}

/// Workers look at each other's counts while these change: so many at once may differ by what is on its way.
#[test]
fn connections_that_come_at_once_are_all_served_and_counted_once() {
    let backend = Backend::named("a");
    let proxy = spread(&backend).start();
    let address = proxy.address;
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(move || answered_at(address, MANY))).collect();
    let clients: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let counts = counts(&proxy);
    assert_eq!(counts.iter().sum::<u64>(), 4 * MANY as u64, "{counts:?}");
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 8, "{:?}", loads(&proxy));
    drop(clients);
    until_none_is_left(&proxy);
}

#[test]
fn connections_that_come_and_go_stay_where_they_are() {
    let backend = Backend::named("a");
    let proxy = spread(&backend).start();
    let address = proxy.address;
    let asking = move || (0..100).for_each(|_| drop(Client::connect(address).get("/", &[])));
    let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(asking)).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let handed_over = handed_over(&proxy);
    assert!(handed_over <= 40, "{handed_over} of 800 connections");
}

#[test]
fn limits_hold_for_connections_that_were_handed_over() {
    let backend = Backend::named("a");
    let proxy = spread(&backend).limits("connections_per_ip = 16").start();
    let clients = answered(&proxy, 16);
    assert!(handed_over(&proxy) > 0, "{:?}", loads(&proxy));
    assert!(proxy.connect().is_closed());
    drop(clients);
    until_none_is_left(&proxy);
    answered(&proxy, 16);
}

#[test]
fn connections_that_were_handed_over_leave_with_their_listener() {
    let backend = Backend::named("a");
    let more = "[[listener]]\naddress = \"127.0.0.2:0\"";
    let proxy = spread(&backend).listener(more).start();
    let mut clients = answered_at(proxy.server().addresses()[1], MANY);
    assert!(handed_over(&proxy) > 0, "{:?}", loads(&proxy));
    proxy.apply(&spread(&backend));
    assert!(clients.iter_mut().all(Client::is_closed));
    until_none_is_left(&proxy);
}

#[test]
fn connections_that_were_handed_over_finish_when_the_proxy_stops() {
    let backend = Backend::named("a");
    let mut proxy = spread(&backend).start();
    let mut clients = answered(&proxy, MANY);
    let server = proxy.server.take().unwrap();
    server.stop(Stop::Graceful);
    assert!(clients.iter_mut().all(Client::is_closed));
    server.wait();
}

/// Whoever was let in is answered or let go, also on the way from one worker to another.
#[test]
fn a_stop_leaves_nobody_who_is_on_the_way() {
    let backend = Backend::named("a");
    let mut proxy = spread(&backend).start();
    let address = proxy.address;
    let (told, heard) = mpsc::channel();
    let knocking = |told: mpsc::Sender<()>| {
        move || {
            // Kept open, so that they count.
            let mut open = Vec::new();
            while let Ok(mut stream) = TcpStream::connect(address) {
                is_answered(&mut stream).then(|| open.push(stream));
                let _ = told.send(());
            }
        }
    };
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(knocking(told.clone()))).collect();
    heard.iter().take(2 * MANY).for_each(drop);
    assert!(handed_over(&proxy) > 0, "{:?}", loads(&proxy));
    let server = proxy.server.take().unwrap();
    server.stop(Stop::Graceful);
    for thread in threads {
        thread.join().unwrap();
    }
    server.wait();
}

/// Whether there is an answer before the connection ends, one of which has to come.
fn is_answered(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut octets = [0; 1024];
    match stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").and_then(|()| stream.read(&mut octets)) {
        Ok(count) => octets[..count].starts_with(b"HTTP/1.1 200"),
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "it was left alone");
            false
        }
    }
}
