//! State over a restart, with the real binary and real clients: what is kept when the proxy ends, by whichever way, and
//! what becomes of it where the disk or the file is not as it should be.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "restart/faults.rs"]
mod faults;
#[path = "restart/identity.rs"]
mod identity;
#[path = "restart/kept.rs"]
mod kept;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::process::{File, Process, connect};
use crate::support::{Backend, Setup, eventually};

/// A directory of the test's own; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("state-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    /// The file in it.
    fn file(&self) -> PathBuf {
        self.0.join("homing.state")
    }

    fn octets(&self) -> Vec<u8> {
        fs::read(self.file()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A pool whose keys nobody would find again by themselves: they are placed in turns. `server` is added to `[server]`.
fn setup(backends: &[&Backend], folder: &Folder, server: &str) -> Setup {
    let server =
        format!("workers = 2\nshutdown_timeout = \"2s\"\nstate_dir = \"{}\"\n{server}", folder.0.display());
    Setup::of(backends)
        .pool("balance = \"round_robin\"\n")
        .sticky("\"header:x-room\"")
        .admin("")
        .server(&server)
}

/// A proxy in a process of its own, and its addresses.
struct Running {
    process: Process,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Running {
    #[track_caller]
    fn start(setup: &Setup) -> Self {
        Self::of_file(&File::with(&setup.toml()))
    }

    #[track_caller]
    fn of_file(file: &File) -> Self {
        let (process, address) = Process::of_file(file);
        let admin = process.admin();
        Self { process, address, admin }
    }

    /// Which backend serves a room.
    #[track_caller]
    fn room(&self, room: usize) -> String {
        connect(self.address).get("/", &[&format!("X-Room: {room}")]).text()
    }

    #[track_caller]
    fn rooms(&self, rooms: std::ops::Range<usize>) -> Vec<String> {
        rooms.map(|room| self.room(room)).collect()
    }

    #[track_caller]
    fn call(&self, call: &str, body: &str) -> Value {
        let length = body.len();
        let head = format!("{call} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        let response =
            connect(self.admin).send(format!("{head}Content-Length: {length}\r\n\r\n{body}")).response();
        assert_eq!(response.status, 200, "{call}: {}", response.text());
        serde_json::from_slice(&response.body).unwrap()
    }

    /// How saving goes.
    #[track_caller]
    fn state(&self) -> Value {
        self.call("GET /api/status", "")["state"].clone()
    }

    #[track_caller]
    fn backend(&self, name: &str) -> Value {
        self.call(&format!("GET /api/pools/app/backends/{name}"), "")
    }

    #[track_caller]
    fn epoch(&self, room: usize) -> u64 {
        self.call(&format!("GET /api/pools/app/sessions?key={room}"), "")["epoch"].as_u64().unwrap()
    }

    /// Waits until all that is so now has been saved.
    #[track_caller]
    fn until_saved(&self) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        eventually("it is saved", || self.state()["saved_at"].as_f64().is_some_and(|at| at > now));
    }

    /// Ends it by a signal; what it said.
    #[track_caller]
    fn end(self, signal: Signal) -> Vec<String> {
        self.process.signal(signal);
        self.process.wait().1
    }

    #[track_caller]
    fn says(&self, what: &str) -> bool {
        self.process.lines().iter().any(|line| line.contains(what))
    }
}

const OFTEN: &str = "state_interval = \"50ms\"";
/// Saves only at the end.
const AT_THE_END: &str = "state_interval = \"1h\"";
