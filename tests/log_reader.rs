//! A log that nobody reads, or that cannot be written, holds nobody up; what is missing of it is counted.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::process::File;
use support::{Client, eventually};

/// The binary with its two addresses; killed when dropped.
struct Running {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A proxy that answers everything itself, with 404, and writes its log to `log`.
fn start(format: &str, log: Stdio) -> Running {
    // Free when they were asked for; the log cannot tell those that the proxy would choose.
    let [address, admin] =
        [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()).map(|it| it.local_addr().unwrap());
    let toml = format!(
        "server = {{ workers = 1 }}\nadmin = {{ address = \"{admin}\" }}\nlog = {{ format = \"{format}\" }}\n\
         listener = [{{ address = \"{address}\" }}]\nroute = [{{ host = \"nobody.test\", pool = \"app\" }}]\n\
         [[pool]]\nname = \"app\"\nbackend = [{{ address = \"127.0.0.1:1\" }}]\n"
    );
    let file = File::with(&toml);
    let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
    let child = command.args(["run", "-c", file.path()]).stdin(Stdio::null()).stdout(log).spawn().unwrap();
    let running = Running { child, address, admin };
    eventually("it listens", || {
        TcpStream::connect(running.admin).is_ok() && TcpStream::connect(running.address).is_ok()
    });
    running
}

impl Running {
    fn dropped(&self) -> u64 {
        let mut client = Client::connect(self.admin);
        let response = client.send("GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").response();
        let status: Value = serde_json::from_slice(&response.body).unwrap();
        status["log_lines_dropped_total"].as_u64().unwrap()
    }

    /// So many requests, each of which is answered and logged.
    fn ask(&self, count: usize) {
        let mut client = Client::connect(self.address);
        let request = "GET /a/path HTTP/1.1\r\nHost: somebody.test\r\n\r\n";
        let batch = request.repeat(count);
        client.send(batch);
        for _ in 0..count {
            assert_eq!(client.response().status, 404);
        }
    }
}

/// More than the queue and the pipe hold are dropped, and said to be when the reader is back.
fn is_not_held_up_by_a_reader_that_stopped(format: &str) {
    let mut running = start(format, Stdio::piped());
    let mut log = BufReader::new(running.child.stdout.take().unwrap());
    assert!(log.read_line(&mut String::new()).unwrap() > 0, "it logs");
    for _ in 0..300 {
        running.ask(250);
        if running.dropped() > 0 {
            break;
        }
    }
    assert!(running.dropped() > 0, "the queue has an end");
    running.ask(10);
    let reading = std::thread::spawn(move || {
        let mut said = String::new();
        while !said.contains("log lines were dropped") {
            said.clear();
            assert!(log.read_line(&mut said).unwrap() > 0, "the log ended");
        }
        (said, log)
    });
    eventually("the end of it is said", || reading.is_finished());
    let (said, _log) = reading.join().unwrap();
    assert!(said.contains("lines") && said.contains("total"), "{said}");
    assert_eq!(said.starts_with('{'), format == "json", "{said}");
}

#[test]
fn a_reader_of_text_that_stopped_holds_nobody_up() {
    is_not_held_up_by_a_reader_that_stopped("text");
}

#[test]
fn a_reader_of_json_that_stopped_holds_nobody_up() {
    is_not_held_up_by_a_reader_that_stopped("json");
}

#[test]
fn a_full_disk_is_no_reason_to_stop() {
    for format in ["text", "json"] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut running = start(format, full.into());
        running.ask(50);
        eventually("the lines are counted", || running.dropped() >= 50);
        running.ask(50);
        assert!(running.child.try_wait().unwrap().is_none(), "it lives");
        let mut page = String::new();
        let mut client = Client::connect(running.admin);
        write!(page, "{}", client.send("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").response().text())
            .unwrap();
        let dropped = page.lines().find_map(|line| line.strip_prefix("homing_log_lines_dropped_total "));
        assert!(dropped.unwrap().parse::<u64>().unwrap() >= 50, "{dropped:?}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_reason_to_stop() {
    let mut running = start("text", Stdio::piped());
    let mut log = running.child.stdout.take().unwrap();
    let mut first = [0];
    log.read_exact(&mut first).unwrap();
    drop(log);
    running.ask(50);
    eventually("the lines are counted", || running.dropped() >= 50);
    running.ask(50);
}
