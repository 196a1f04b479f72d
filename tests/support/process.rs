//! The `homing` binary as a child process, with what it says.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::client::Client;
use super::proxy::Setup;
use super::wait::{DEADLINE, eventually};

/// A running binary; killed when dropped.
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reading: Option<JoinHandle<()>>,
}

/// A file of the test's own; removed when dropped.
#[derive(Debug)]
pub struct File(pub PathBuf);

impl File {
    pub fn with(text: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}.toml", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs the binary to its end.
///
/// # Panics
/// If it does not end by itself.
#[track_caller]
pub fn run(arguments: &[&str]) -> Output {
    finish(&mut command(arguments))
}

/// Runs a command to its end.
///
/// # Panics
/// If it does not end by itself.
#[track_caller]
pub fn finish(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = pid(&child);
    let (ended, has_ended) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let output = child.wait_with_output().unwrap();
        // Nobody listens any more where this took too long.
        let _ = ended.send(());
        output
    });
    if has_ended.recv_timeout(DEADLINE).is_err() {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("`{command:?}` does not end");
    }
    waiting.join().unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// The binary with these arguments, without colours and without what its environment might say.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
    let own = ["RUST_LOG", "HOMING_ADMIN", "HOMING_TOKEN_FILE"];
    for name in own {
        command.env_remove(name);
    }
    command.args(arguments).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

impl Process {
    /// Starts the binary and collects what it says.
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut command(arguments))
    }

    /// `homing run` that finds one or two sockets open, as a service manager hands them over, with a variable set.
    pub fn inheriting(file: &File, sockets: &[&TcpListener], (name, value): (&str, &str)) -> Self {
        let handed = |index: usize| match sockets.get(index) {
            Some(socket) => Stdio::from(OwnedFd::from(socket.try_clone().unwrap())),
            None => Stdio::null(),
        };
        assert!(sockets.len() <= 2, "there are no more places");
        let count = sockets.len();
        // Only the process itself knows its number, and a shell can put descriptors in their places.
        let script = format!(
            "LISTEN_PID=$$ LISTEN_FDS={count} exec \"$0\" run -c \"$1\" 3<&0 4<&2 0</dev/null 2>/dev/null"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_homing"), file.path()]);
        command.env_remove("RUST_LOG").env("NO_COLOR", "1").env(name, value);
        Self::spawn(command.stdin(handed(0)).stderr(handed(1)))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (stdout, own): (ChildStdout, _) = (child.stdout.take().unwrap(), lines.clone());
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                own.lock().unwrap().push(line);
            }
        });
        Self { child, lines, reading: Some(reading) }
    }

    /// `homing run` with a configuration, once it listens, and where.
    #[track_caller]
    pub fn proxy(setup: &Setup) -> (Self, SocketAddr) {
        Self::of_file(&File::with(&setup.toml()))
    }

    /// The same with a file that stays, to be read again.
    #[track_caller]
    pub fn of_file(file: &File) -> (Self, SocketAddr) {
        Self::start(&["run", "-c", file.path()]).listening()
    }

    /// The same by a command that becomes `homing run`.
    #[track_caller]
    pub fn of_command(program: &str, arguments: &[&str]) -> (Self, SocketAddr) {
        let mut command = Command::new(program);
        command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
        Self::spawn(&mut command).listening()
    }

    #[track_caller]
    fn listening(self) -> (Self, SocketAddr) {
        let this = self;
        eventually("the proxy listens", || this.lines().iter().any(|line| line.contains("listening")));
        let lines = this.lines();
        let (_, port) = lines
            .iter()
            .filter(|line| line.contains("listening"))
            .find_map(|line| line.split_once("127.0.0.1:"))
            .expect("an address");
        let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
        (this, SocketAddr::from(([127, 0, 0, 1], digits.parse().unwrap())))
    }

    /// A connection to its admin listener, once that listens.
    #[track_caller]
    pub fn connect_admin(&self) -> Client {
        Client::connect(self.admin())
    }

    /// The port of its admin listener, once it listens there.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        let find = || self.lines().iter().find(|line| line.contains("admin listening")).cloned();
        eventually("the admin listener listens", || find().is_some());
        let line = find().expect("found just now");
        let (_, port) = line.split_once("127.0.0.1:").expect("an address");
        let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
        SocketAddr::from(([127, 0, 0, 1], digits.parse().unwrap()))
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        pid(&self.child)
    }

    /// Octets of memory that it has.
    pub fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }

    /// What it has said so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The lines of its access log, once there are so many.
    #[track_caller]
    pub fn access(&self, count: usize) -> Vec<String> {
        let access = || -> Vec<String> {
            self.lines()
                .into_iter()
                .filter(|line| line.contains("access") && line.contains("status"))
                .collect()
        };
        eventually(&format!("{count} access lines"), || access().len() >= count);
        access()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(pid(&self.child), signal).unwrap();
    }

    /// Waits until it ends; with everything it said.
    ///
    /// # Panics
    /// If it does not end.
    #[track_caller]
    pub fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < DEADLINE, "the process does not end");
            std::thread::sleep(std::time::Duration::from_millis(3));
        };
        self.reading.take().unwrap().join().unwrap();
        (status, self.lines())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to a proxy that is another process.
pub fn connect(address: SocketAddr) -> Client {
    Client::connect(address)
}
