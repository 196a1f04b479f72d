//! What a service manager and the proxy have to say to each other: sockets that it holds, what it is told, its files.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use crate::support::process::{File, Process, connect};
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, DEADLINE, Events, Setup, eventually, get};

const NOTHING: (&str, &str) = ("HOMING_TEST", "1");

/// A configuration that listens at these addresses, each in the place of a port 0.
fn at(setup: &Setup, addresses: &[SocketAddr]) -> File {
    let mut toml = setup.toml();
    for address in addresses {
        toml = toml.replacen("127.0.0.1:0", &address.to_string(), 1);
    }
    File::with(&toml)
}

fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[track_caller]
fn until_said(process: &Process, what: &str) {
    eventually(what, || process.lines().iter().any(|line| line.contains(what)));
}

/// Connects and asks, again and again; how often that was done.
fn keep_asking(address: SocketAddr, over: &AtomicBool) -> usize {
    for count in 1.. {
        let mut stream = TcpStream::connect(address).expect("no connection is refused");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(get("/", &["connection: close"]).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "request {count}: {answer:?}");
        if over.load(Ordering::Relaxed) {
            return count;
        }
    }
    unreachable!("it is told to end")
}

#[test]
fn a_restart_refuses_nobody_and_closes_tunnels_with_1001() {
    let events = Events::default();
    let a = echo("a", &events);
    let (socket, address) = socket();
    let file = at(&Setup::of(&[&a]).server("workers = 2\nshutdown_timeout = \"1s\""), &[address]);
    let first = Process::inheriting(&file, &[&socket], NOTHING);
    let mut tunnel = Tunnel::open(connect(address), "/");
    tunnel.hear();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| keep_asking(address, &over));
        eventually("it is asked", || events.count(|event| event.contains("asked")) > 20);
        first.signal(Signal::TERM);
        assert_eq!(tunnel.close_code(), Some(1001));
        assert_eq!(first.wait().0.code(), Some(0));
        let before = events.count(|event| event.contains("asked"));
        let second = Process::inheriting(&file, &[&socket], NOTHING);
        eventually("it is asked again", || events.count(|event| event.contains("asked")) > before + 20);
        over.store(true, Ordering::Relaxed);
        assert!(client.join().unwrap() > 40);
        second.signal(Signal::TERM);
        assert_eq!(second.wait().0.code(), Some(0));
    });
}

#[test]
fn sockets_are_taken_by_their_address() {
    let a = Backend::named("a");
    let [(own, at_own), (for_admin, at_admin)] = [socket(), socket()];
    // The admin table comes before the listener.
    let file = at(&Setup::of(&[&a]).server("workers = 3").admin(""), &[at_admin, at_own]);
    let process = Process::inheriting(&file, &[&for_admin, &own], NOTHING);
    until_said(&process, "admin listening");
    drop((own, for_admin));
    for _ in 0..20 {
        assert_eq!(connect(at_own).get("/", &[]).text(), "a");
    }
    let healthy = connect(at_admin).send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").response();
    assert_eq!(healthy.status, 200);
}

#[test]
fn a_socket_that_nobody_wants_is_closed() {
    let a = Backend::named("a");
    let [(own, at_own), (foreign, at_foreign)] = [socket(), socket()];
    let file = at(&Setup::of(&[&a]), &[at_own]);
    let process = Process::inheriting(&file, &[&foreign, &own], NOTHING);
    drop((own, foreign));
    eventually("it serves", || TcpStream::connect(at_own).is_ok());
    until_said(&process, "listening");
    assert!(TcpStream::connect(at_foreign).is_err());
    let warned = |line: &String| line.contains("WARN") && line.contains(&at_foreign.to_string());
    assert!(process.lines().iter().any(warned), "{:?}", process.lines());
}

#[test]
fn a_listener_that_comes_back_finds_its_socket_again() {
    let a = Backend::named("a");
    let (socket, address) = socket();
    let more = |address: &str| {
        let listener = format!("[[listener]]\naddress = \"{address}\"\n[[route]]\npool = \"app\"");
        Setup::of(&[&a]).routes(&listener).toml()
    };
    let file = File::with(&more(&address.to_string()));
    let process = Process::inheriting(&file, &[&socket], NOTHING);
    assert_eq!(connect(address).get("/", &[]).text(), "a");
    for (turn, toml) in [Setup::of(&[&a]).toml(), more(&address.to_string())].iter().enumerate() {
        std::fs::write(&file.0, toml).unwrap();
        process.signal(Signal::HUP);
        eventually("it is reloaded", || {
            process.lines().iter().filter(|line| line.contains(": reloaded ")).count() == turn + 1
        });
    }
    assert_eq!(connect(address).get("/", &[]).text(), "a");
}

/// A service manager's end of what it is told.
struct Manager(UnixDatagram, PathBuf);

impl Manager {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket, path)
    }

    fn hear(&self) -> String {
        let mut buffer = [0; 256];
        let count = self.0.recv(&mut buffer).expect("something is told");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.1);
    }
}

#[test]
fn the_manager_is_told_how_it_goes() {
    let a = Backend::named("a");
    let (manager, (socket, address)) = (Manager::new(), socket());
    let file = at(&Setup::of(&[&a]), &[address]);
    let process = Process::inheriting(&file, &[&socket], ("NOTIFY_SOCKET", manager.1.to_str().unwrap()));
    assert_eq!(manager.hear(), "READY=1\n");
    process.signal(Signal::HUP);
    let reloading = manager.hear();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::trim_end);
    assert!(time.is_some_and(|time| time.parse::<u64>().is_ok_and(|time| time > 0)), "{reloading:?}");
    assert_eq!(manager.hear(), "READY=1\n");
    process.signal(Signal::TERM);
    assert_eq!(manager.hear(), "STOPPING=1\n");
    assert_eq!(process.wait().0.code(), Some(0));
}

#[test]
fn a_signal_can_be_turned_off() {
    let [a, b] = ["a", "b"].map(Backend::named);
    let off = |backend| Setup::of(&[backend]).server("reload_on_signal = false").toml();
    let file = File::with(&off(&a));
    let (process, address) = Process::of_file(&file);
    std::fs::write(&file.0, off(&b)).unwrap();
    process.signal(Signal::HUP);
    until_said(&process, "server.reload_on_signal");
    assert_eq!(connect(address).get("/", &[]).text(), "a");
}

/// Held against systemd's own reader of such files, where there is one.
#[test]
fn the_unit_files_are_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let copies = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("units-{}", std::process::id()));
    std::fs::create_dir_all(&copies).unwrap();
    let units = ["homing.service", "homing.socket"].map(|name| {
        // The binary is looked for: the one that was just built is there.
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let copy = copies.join(name);
        std::fs::write(&copy, text.replace("/usr/local/bin/homing", env!("CARGO_BIN_EXE_homing"))).unwrap();
        copy
    });
    let verified = Command::new("systemd-analyze").arg("verify").args(&units).output();
    let security =
        Command::new("systemd-analyze").args(["security", "--offline=true"]).arg(&units[0]).output();
    std::fs::remove_dir_all(copies).unwrap();
    let (Ok(verified), Ok(security)) = (verified, security) else {
        return println!("skipped: there is no systemd-analyze");
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.trim().is_empty(), "{said}");
    let told = String::from_utf8_lossy(&security.stdout);
    let level = told.lines().find(|line| line.contains("Overall exposure level"));
    let level: Option<f64> =
        level.and_then(|line| line.split_whitespace().find_map(|word| word.parse().ok()));
    assert!(level.is_none_or(|level| level < 2.5), "how exposed it is: {told}");
}
