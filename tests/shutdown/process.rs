//! The binary's side: signals, exit codes, and ports that others have.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::backend::ok;
use crate::support::process::{File, Process, connect, run};
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Client, Events, Setup, eventually, get};

/// A proxy with a request in flight, in a process of its own.
fn in_flight(backend: &Backend, timeout: &str) -> (Process, Client) {
    let server = format!("workers = 2\nshutdown_timeout = \"{timeout}\"");
    let (process, address) = Process::proxy(&Setup::of(&[backend]).server(&server));
    let mut client = connect(address);
    client.send(get("/", &[]));
    eventually("the request is there", || backend.requests().len() == 1);
    (process, client)
}

fn slow() -> Backend {
    Backend::start("a", |conn| {
        conn.request();
        conn.next.wait();
        conn.send(ok("finished"));
    })
}

#[test]
fn terminate_and_interrupt_let_requests_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let backend = slow();
        let (process, mut client) = in_flight(&backend, "1h");
        process.signal(signal);
        eventually("it stops", || process.lines().iter().any(|line| line.contains("stopping")));
        backend.next.open();
        assert_eq!(client.response().text(), "finished");
        let (status, lines) = process.wait();
        assert_eq!(status.code(), Some(0), "{lines:?}");
        assert!(lines.last().is_some_and(|line| line.contains("stopped")), "{lines:?}");
    }
}

#[test]
fn terminate_ends_within_the_timeout() {
    let events = Events::default();
    let backend = echo("a", &events);
    let server = "workers = 2\nshutdown_timeout = \"1s\"";
    let (process, address) = Process::proxy(&Setup::of(&[&backend]).server(server));
    let mut tunnel = Tunnel::open(connect(address), "/");
    tunnel.hear();
    let begun = Instant::now();
    process.signal(Signal::TERM);
    assert_eq!(tunnel.close_code(), Some(1001));
    assert_eq!(process.wait().0.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let backend = slow();
    let (process, mut client) = in_flight(&backend, "1h");
    process.signal(Signal::TERM);
    eventually("it stops", || process.lines().iter().any(|line| line.contains("stopping")));
    process.signal(Signal::TERM);
    assert_eq!(process.wait().0.code(), Some(0));
    assert!(client.is_closed());
}

#[test]
fn quit_ends_it_at_once() {
    let backend = slow();
    let (process, mut client) = in_flight(&backend, "1h");
    process.signal(Signal::QUIT);
    assert_eq!(process.wait().0.code(), Some(0), "no core, no death by signal");
    assert!(client.is_closed());
}

#[test]
fn a_hangup_does_not_end_it() {
    let backend = slow();
    let (process, mut client) = in_flight(&backend, "1h");
    process.signal(Signal::HUP);
    process.signal(Signal::HUP);
    backend.next.open();
    assert_eq!(client.response().text(), "finished");
    process.signal(Signal::TERM);
    assert_eq!(process.wait().0.code(), Some(0));
}

/// A proxy in front of `a`, with its file.
fn with_file(a: &Backend) -> (Process, SocketAddr, File) {
    let file = File::with(&Setup::of(&[a]).toml());
    let (process, address) = Process::of_file(&file);
    assert_eq!(connect(address).get("/", &[]).text(), "a");
    (process, address, file)
}

#[track_caller]
fn until_said(process: &Process, what: &str) {
    eventually(what, || process.lines().iter().any(|line| line.contains(what)));
}

#[test]
fn a_hangup_reads_the_file_again() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let (process, address, file) = with_file(&a);
    let mut kept = connect(address);
    assert_eq!(kept.get("/", &[]).text(), "a");
    std::fs::write(&file.0, Setup::of(&[&b]).toml()).unwrap();
    process.signal(Signal::HUP);
    until_said(&process, ": reloaded ");
    assert_eq!(connect(address).get("/", &[]).text(), "b");
    assert_eq!(kept.get("/", &[]).text(), "b", "connections stay open");
}

#[test]
fn a_hangup_with_a_bad_file_changes_nothing() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let (process, address, file) = with_file(&a);
    let bad = Setup::of(&[&b]).toml().replace("weight = 1", "wieght = 1");
    std::fs::write(&file.0, bad).unwrap();
    process.signal(Signal::HUP);
    until_said(&process, "wieght");
    assert_eq!(connect(address).get("/", &[]).text(), "a");
    std::fs::remove_file(&file.0).unwrap();
    process.signal(Signal::HUP);
    until_said(&process, "cannot be read");
    assert_eq!(connect(address).get("/", &[]).text(), "a");
    std::fs::write(&file.0, Setup::of(&[&b]).toml()).unwrap();
    process.signal(Signal::HUP);
    until_said(&process, ": reloaded ");
    assert_eq!(connect(address).get("/", &[]).text(), "b");
}

#[test]
fn a_process_says_where_its_admin_listener_is() {
    let backend = Backend::named("a");
    let (process, _) = Process::proxy(&Setup::of(&[&backend]).admin(""));
    until_said(&process, "admin listening");
    let lines = process.lines();
    let line = lines.iter().find(|line| line.contains("admin listening")).unwrap();
    let address = line.rsplit("address=").next().unwrap().trim();
    let mut client = connect(address.parse().unwrap());
    assert_eq!(client.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").response().status, 200);
}

#[test]
fn an_admin_address_that_another_has_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let toml = Setup::of(&[&Backend::named("a")]).admin("").toml();
    let file = File::with(&toml.replacen("127.0.0.1:0", &address, 1));
    let output = run(&["run", "-c", file.path()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&address) && said.to_lowercase().contains("in use"), "{said}");
}

#[track_caller]
fn assert_in_use(setup: &Setup, address: SocketAddr) {
    let file = File::with(&setup.toml().replace("127.0.0.1:0", &address.to_string()));
    let output = run(&["run", "-c", file.path()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&address.to_string()) && said.to_lowercase().contains("in use"), "{said}");
}

#[test]
fn a_port_that_another_has_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_in_use(&Setup::of(&[&Backend::named("a")]), taken.local_addr().unwrap());
}

#[test]
fn a_port_that_another_homing_has_is_an_error() {
    let backend = Backend::named("a");
    let setup = Setup::of(&[&backend]).server("workers = 2");
    let (process, address) = Process::proxy(&setup);
    assert_in_use(&setup, address);
    assert_eq!(connect(address).get("/", &[]).status, 200, "the first is not disturbed");
    process.signal(Signal::TERM);
    assert_eq!(process.wait().0.code(), Some(0));
}

#[test]
fn a_port_can_be_used_again_at_once() {
    let backend = Backend::named("a");
    let (process, address) = Process::proxy(&Setup::of(&[&backend]));
    let _client = connect(address).get("/", &[]);
    process.signal(Signal::TERM);
    process.wait();
    let file = File::with(&Setup::of(&[&backend]).toml().replace("127.0.0.1:0", &address.to_string()));
    let again = Process::start(&["run", "-c", file.path()]);
    eventually("it listens", || again.lines().iter().any(|line| line.contains("listening")));
    assert_eq!(connect(address).get("/", &[]).status, 200);
}
