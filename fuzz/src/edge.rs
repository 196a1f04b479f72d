//! The real proxy between a client that sends any octets and a backend that reads strictly, for the life of a process.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use homing::config::Config;
use homing::server::Server;
use socket2::{Domain, Socket, Type};

use super::message::{self, Message, Rules, Source, Stop, To};
use super::recorder::{Arrival, DEADLINE, Recorder};

/// Nothing is going to come: a client gives up. It decides how much is tried, and nothing that is asserted.
const PATIENCE: Duration = Duration::from_millis(100);

/// Connections in a row that the backend may have closed just when they are used again: the proxy then says 502.
const MOST_STALE: usize = 20;

/// A proxy in front of one backend.
pub struct Edge {
    pub backend: Recorder,
    proxy: SocketAddr,
    _server: Server,
    clients: AtomicU32,
}

/// A client connection from an address that no other has, by which the backend knows whose a request is.
pub struct Client {
    pub ip: Ipv4Addr,
    stream: TcpStream,
    pub received: Vec<u8>,
    pub source: Source,
}

impl Edge {
    pub fn start() -> Self {
        notice_panics();
        let backend = Recorder::start();
        let toml = format!(
            "[server]\nworkers = 1\n[log]\naccess = false\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
             [[route]]\npool = \"app\"\n[[pool]]\nname = \"app\"\n[[pool.backend]]\naddress = \"{}\"\n\
             [pool.outlier]\nconsecutive_failures = 0\n",
            backend.address
        );
        let config = Config::parse(&toml, "fuzz").unwrap_or_else(|errors| panic!("{errors}"));
        let server = Server::start(&config).unwrap();
        Self { backend, proxy: server.addresses()[0], _server: server, clients: AtomicU32::new(0) }
    }

    pub fn client(&self) -> Client {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        let [_, a, b, c] = number.to_be_bytes();
        let ip = Ipv4Addr::new(127, a.wrapping_add(1), b, c.clamp(1, 254));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
        socket.connect(&self.proxy.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Client { ip, stream, received: Vec::new(), source: Source::Open }
    }

    /// What has come to the backend from a client that is gone.
    ///
    /// # Panics
    /// If anything is wrong with what came, from whomever.
    pub fn arrivals(&self, ip: Ipv4Addr) -> Vec<Arrival> {
        let ip = ip.to_string();
        let arrivals = self.backend.take();
        arrivals.iter().for_each(check_fields);
        let is_own = |arrival: &Arrival| arrival.message.all("x-forwarded-for") == [ip.as_bytes()];
        arrivals.into_iter().filter(is_own).collect()
    }

    /// Another client, who does nothing wrong, gets its own answer.
    ///
    /// # Panics
    /// If it does not.
    pub fn serves_others(&self) {
        assert!(!HAS_PANICKED.load(Ordering::Relaxed), "a thread of the proxy panicked");
        for _ in 0..MOST_STALE {
            let mut client = self.client();
            let target = format!("/honest/{}", client.ip);
            client.send(format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes());
            let answer = client.answer(To::Other, DEADLINE);
            let text = client.received.escape_ascii().to_string();
            let answer = answer.unwrap_or_else(|stop| panic!("an honest client got {stop:?}: {text}"));
            assert_eq!(answer.length, client.received.len(), "more than one answer: {text}");
            if !answer.is_error() {
                let is_own = answer.status() == 200 && answer.body == target.as_bytes();
                return assert!(is_own, "another's answer: {text}");
            }
        }
        panic!("an honest client gets no answer");
    }
}

/// Whether a panic came from a thread of the proxy's: a worker goes on, but for the connection it was about.
static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

fn notice_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let is_own = |name: &str| name == "control" || name.starts_with("worker-");
            HAS_PANICKED.fetch_or(thread.name().is_some_and(is_own), Ordering::Relaxed);
            before(panic);
        }));
    });
}

/// The addresses of clients say whose requests they are, and each is for one host.
fn check_fields(Arrival { message, octets, .. }: &Arrival) {
    let text = octets.escape_ascii();
    assert_eq!(message.all("host").len(), 1, "not one host: {text}");
    assert_eq!(message.all("x-forwarded-for").len(), 1, "not one client: {text}");
    assert!(message.all("x-forwarded-host").len() <= 1, "more than one host: {text}");
    assert_eq!(message.all("x-forwarded-proto"), [b"http"], "{text}");
    for name in ["keep-alive", "proxy-connection", "proxy-authorization", "http2-settings", "x-session-epoch"]
    {
        assert!(message.all(name).is_empty(), "{name} belongs to one hop: {text}");
    }
    for connection in message.all("connection") {
        assert!(matches!(connection, b"upgrade" | b"te"), "for one hop: {text}");
    }
    for upgrade in message.all("upgrade") {
        assert!(upgrade == b"websocket" && message.body.is_empty(), "not a WebSocket: {text}");
    }
}

impl Client {
    /// Sends as much as the proxy takes.
    pub fn send(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets);
    }

    /// Sends no more.
    pub fn end(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads what is there; false if nothing comes in time, or no more will.
    pub fn fill(&mut self, patience: Duration) -> bool {
        if self.source == Source::Ended {
            return false;
        }
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let mut chunk = [0; 16 << 10];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => self.source = Source::Ended,
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return false;
                }
                Err(_) => self.source = Source::Ended,
            }
            return self.source == Source::Open;
        }
    }

    /// Reads until more would have to come, but does not.
    pub fn fill_while(&mut self, mut goes_on: impl FnMut(&[u8]) -> bool) {
        while goes_on(&self.received) && self.fill(PATIENCE) {}
    }

    /// Reads to the end, which has to come.
    ///
    /// # Panics
    /// If it does not.
    pub fn fill_to_the_end(&mut self) {
        while self.fill(DEADLINE) {}
        assert_eq!(self.source, Source::Ended, "the proxy does not let go of a client that left");
    }

    /// Reads one final response, and leaves its octets, and those before and behind, in `received`. Its length counts
    /// from the first of them.
    pub fn answer(&mut self, to: To, patience: Duration) -> Result<Message, Stop> {
        loop {
            match final_response(&self.received, Rules::Sent, (to, self.source)) {
                Err(Stop::More) if self.source == Source::Open => {
                    if !self.fill(patience) && self.source == Source::Open {
                        return Err(Stop::More);
                    }
                }
                read => return read,
            }
        }
    }
}

/// The first response that is not an interim one. A 101 is final.
pub fn final_response(octets: &[u8], rules: Rules, how: (To, Source)) -> Result<Message, Stop> {
    let mut before = 0;
    loop {
        let mut response = message::response(&octets[before..], rules, how)?;
        if response.status() >= 200 || response.status() == 101 {
            response.length += before;
            return Ok(response);
        }
        before += response.length;
    }
}
