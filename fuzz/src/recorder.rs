//! A backend that reads strictly and records: whole requests, those that broke off, and what is no request at all.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::message::{self, Message, Rules, Stop};

/// Far longer than anything here should take.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Where the scripted answer is to be had; everything else gets an ordinary one.
pub const SCRIPTED: &[u8] = b"/scripted";

/// What a request that came says of itself, beside being one.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Counts all requests of the backend; stands in the answer as `x-number`.
    pub number: usize,
    pub message: Message,
    /// As octets.
    pub octets: Vec<u8>,
}

/// An answer as octets, and what becomes of the connection behind it.
#[derive(Debug, Clone)]
pub struct Script {
    pub octets: Vec<u8>,
    pub then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Keep,
    Close,
}

/// The backend, for the life of the process.
#[derive(Debug)]
pub struct Recorder {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    count: usize,
    whole: Vec<Arrival>,
    wrong: Vec<String>,
    /// Connections in the middle of a request.
    midway: usize,
    script: Option<Script>,
}

impl Recorder {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, shared) = (listener.local_addr().unwrap(), Arc::<Shared>::default());
        let own = shared.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let shared = own.clone();
                std::thread::spawn(move || Conn { stream, buffer: Vec::new(), shared }.serve());
            }
        });
        Self { address, shared }
    }

    /// What answers requests for [`SCRIPTED`] from now on.
    pub fn follow(&self, script: Script) {
        self.shared.seen().script = Some(script);
    }

    /// Everything that came since this was asked last, as soon as nothing is midway.
    ///
    /// # Panics
    /// If something came that is no request, or a request is neither ended nor broken off.
    pub fn take(&self) -> Vec<Arrival> {
        let seen = self.shared.seen();
        let (mut seen, waited) =
            self.shared.changed.wait_timeout_while(seen, DEADLINE, |seen| seen.midway > 0).unwrap();
        assert!(!waited.timed_out(), "a request to the backend neither ends nor breaks off");
        assert!(seen.wrong.is_empty(), "the backend got what is no request: {:#?}", seen.wrong);
        std::mem::take(&mut seen.whole)
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

/// One connection.
struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
    shared: Arc<Shared>,
}

impl Conn {
    fn serve(mut self) {
        let _ = self.stream.set_nodelay(true);
        while let Some(arrival) = self.request() {
            if !self.answer(&arrival) {
                break;
            }
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// The next whole request; `None` at the end, wherever that is.
    fn request(&mut self) -> Option<Arrival> {
        let mut is_invited = false;
        loop {
            match message::request(&self.buffer, Rules::Sent) {
                Ok(message) => return self.arrived(message),
                Err(Stop::Wrong(why)) => return self.refuse(why),
                Err(Stop::More) => {}
            }
            is_invited = is_invited || self.invite();
            let was_midway = !self.buffer.is_empty();
            let mut chunk = [0; 16 << 10];
            let count = match self.stream.read(&mut chunk) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            self.buffer.extend_from_slice(&chunk[..count]);
            let mut seen = self.shared.seen();
            match count {
                0 => seen.midway -= usize::from(was_midway),
                _ => seen.midway += usize::from(!was_midway),
            }
            self.shared.changed.notify_all();
            if count == 0 {
                return None;
            }
        }
    }

    /// Asks for the body that somebody wants to be asked for.
    fn invite(&mut self) -> bool {
        let head = self.buffer.windows(4).position(|window| window == b"\r\n\r\n");
        let expects = b"\r\nexpect: 100-continue\r\n";
        let is_asked = head.is_some_and(|end| {
            self.buffer[..end + 2].to_ascii_lowercase().windows(expects.len()).any(|w| w == expects)
        });
        is_asked && self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_ok()
    }

    fn arrived(&mut self, message: Message) -> Option<Arrival> {
        let octets: Vec<u8> = self.buffer.drain(..message.length).collect();
        if !self.buffer.is_empty() {
            return self.refuse("octets behind a request that is not answered");
        }
        let mut seen = self.shared.seen();
        let arrival = Arrival { number: seen.count, message, octets };
        seen.count += 1;
        seen.midway -= 1;
        seen.whole.push(arrival.clone());
        self.shared.changed.notify_all();
        Some(arrival)
    }

    fn refuse(&mut self, why: &str) -> Option<Arrival> {
        let mut seen = self.shared.seen();
        seen.midway -= 1;
        seen.wrong.push(format!("{why}: {}", self.buffer.escape_ascii()));
        self.shared.changed.notify_all();
        None
    }

    fn answer(&mut self, Arrival { number, message, .. }: &Arrival) -> bool {
        let script = self.shared.seen().script.clone();
        if let Some(script) = script.filter(|_| message.target() == SCRIPTED) {
            return self.stream.write_all(&script.octets).is_ok() && script.then == Then::Keep;
        }
        let target = message.target();
        let head =
            format!("HTTP/1.1 200 OK\r\nx-number: {number}\r\ncontent-length: {}\r\n\r\n", target.len());
        let mut octets = head.into_bytes();
        if message.method() != b"HEAD" {
            octets.extend_from_slice(target);
        }
        self.stream.write_all(&octets).is_ok()
    }
}
