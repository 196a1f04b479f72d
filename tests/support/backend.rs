//! Scriptable backends: each records every request as octets, and answers what its script says, connection by
//! connection. A backend can be killed, and brought back on its port, which it keeps in between.

use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use socket2::{Domain, SockRef, Socket, Type};

use super::message::{Message, Reader};
use super::wait::{DEADLINE, Latch, eventually};

type Script = dyn Fn(&mut Conn) + Send + Sync;

/// A server process, as far as a proxy can tell.
pub struct Backend {
    pub name: String,
    pub address: SocketAddr,
    /// Bound, never listening: keeps the port while nobody serves it.
    _port: Socket,
    /// What scripts may wait for; opened by the test.
    pub next: Latch,
    script: Arc<Script>,
    seen: Arc<Mutex<Seen>>,
    listening: Mutex<Option<(TcpListener, JoinHandle<()>)>>,
}

/// What a backend has seen.
#[derive(Debug, Default)]
struct Seen {
    requests: Vec<Message>,
    /// What came that is no whole request.
    garbage: Vec<Vec<u8>>,
    connections: usize,
    open: Vec<(usize, TcpStream)>,
}

/// One connection to a backend, for its script.
pub struct Conn {
    pub number: usize,
    pub reader: Reader<TcpStream>,
    /// The backend's.
    pub next: Latch,
    seen: Arc<Mutex<Seen>>,
}

impl Backend {
    /// Serves each connection by `script`; when that returns the connection is closed.
    pub fn start(name: &str, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        let this = Self::dead(name, script);
        this.restart();
        this
    }

    /// Nobody serves its port until it is restarted.
    pub fn dead(name: &str, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        let port = socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = port.local_addr().unwrap().as_socket().unwrap();
        let (name, script) = (name.to_owned(), Arc::new(script));
        let (seen, next, listening) = (Arc::default(), Latch::new(), Mutex::default());
        Self { name, address, _port: port, next, script, seen, listening }
    }

    /// Answers every request with the same octets.
    pub fn answering(name: &str, answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::start(name, move |conn| {
            while conn.request().is_some() {
                conn.send(&answer);
            }
        })
    }

    /// Answers every request with its name.
    pub fn named(name: &str) -> Self {
        Self::answering(name, ok(name))
    }

    /// One like that which was killed.
    pub fn killed(name: &str) -> Self {
        let this = Self::named(name);
        this.stop();
        this
    }

    /// Answers its name, and health checks (`GET /healthz`) with the status `health` tells.
    pub fn checked(name: &str, health: impl Fn() -> u16 + Send + Sync + 'static) -> Self {
        let body = ok(name);
        Self::start(name, move |conn| {
            while let Some(request) = conn.request() {
                if request.target() == "/healthz" {
                    conn.send(format!("HTTP/1.1 {} Health\r\ncontent-length: 0\r\n\r\n", health()));
                } else {
                    conn.send(&body);
                }
            }
        })
    }

    /// Everything that came, in order, health checks left out.
    ///
    /// # Panics
    /// If something came that is no whole request.
    #[track_caller]
    pub fn requests(&self) -> Vec<Message> {
        let seen = self.seen();
        assert!(seen.garbage.is_empty(), "{} got {:?}", self.name, texts(&seen.garbage));
        seen.requests.iter().filter(|request| request.target() != "/healthz").cloned().collect()
    }

    /// The one request that came.
    #[track_caller]
    pub fn request(&self) -> Message {
        eventually("a request arrives at the backend", || !self.seen().requests.is_empty());
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{} got {requests:?}", self.name);
        requests.remove(0)
    }

    /// Health checks that came.
    pub fn checks(&self) -> usize {
        self.seen().requests.iter().filter(|request| request.target() == "/healthz").count()
    }

    /// What came that is no whole request.
    pub fn garbage(&self) -> Vec<String> {
        texts(&self.seen().garbage)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.seen().connections
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.seen().open.len()
    }

    /// Ends the process, so to speak: the port refuses, and all connections are closed.
    pub fn stop(&self) {
        let Some((listener, accepting)) = self.listening.lock().unwrap().take() else { return };
        // Wakes the accept, which then fails.
        let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
        drop(listener);
        accepting.join().unwrap();
        self.disconnect();
    }

    /// Closes all connections, as a backend does that finds them idle.
    pub fn disconnect(&self) {
        for (_, stream) in self.seen().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Serves its port again.
    pub fn restart(&self) {
        let mut listening = self.listening.lock().unwrap();
        assert!(listening.is_none(), "{} runs", self.name);
        let socket = socket(self.address);
        socket.listen(128).unwrap();
        let listener = TcpListener::from(socket);
        let (own, next) = (listener.try_clone().unwrap(), self.next.clone());
        let (script, seen) = (self.script.clone(), self.seen.clone());
        let accepting = std::thread::spawn(move || {
            while let Ok((stream, _)) = own.accept() {
                serve(stream, script.clone(), seen.clone(), next.clone());
            }
        });
        *listening = Some((listener, accepting));
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop();
    }
}

fn socket(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

fn serve(stream: TcpStream, script: Arc<Script>, seen: Arc<Mutex<Seen>>, next: Latch) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let number = {
        let mut seen = seen.lock().unwrap();
        let number = seen.connections;
        seen.connections += 1;
        seen.open.push((number, stream.try_clone().unwrap()));
        number
    };
    std::thread::spawn(move || {
        let mut conn = Conn { number, reader: Reader::new(stream), next, seen };
        script(&mut conn);
    });
}

impl Drop for Conn {
    fn drop(&mut self) {
        // A clone of the socket may be held elsewhere, so closing this one would not end it. A linger of zero makes
        // the close a reset, but for that it must be the last, and not shut down before.
        if SockRef::from(&self.reader.source).linger().is_ok_and(|linger| linger.is_none()) {
            let _ = self.reader.source.shutdown(Shutdown::Both);
        }
        if let Ok(mut seen) = self.seen.lock() {
            seen.open.retain(|(number, _)| *number != self.number);
        }
    }
}

impl Conn {
    /// Reads a whole request and records it; `None` when the connection ends.
    pub fn request(&mut self) -> Option<Message> {
        let mut request = self.head()?;
        self.body(&mut request).then_some(request)
    }

    /// Reads a head. What is not recorded yet is recorded with its body.
    pub fn head(&mut self) -> Option<Message> {
        match self.reader.head() {
            Some(head) => Some(Message { head, ..Message::default() }),
            None if self.reader.buffer.is_empty() => None,
            None => {
                let rest = std::mem::take(&mut self.reader.buffer);
                self.seen.lock().unwrap().garbage.push(rest);
                None
            }
        }
    }

    /// Reads the body that belongs to a head, and records both. False if it broke off.
    pub fn body(&mut self, request: &mut Message) -> bool {
        let length = request.length();
        self.reader.body(request, Some(length.unwrap_or(0)));
        let mut seen = self.seen.lock().unwrap();
        if request.complete {
            seen.requests.push(request.clone());
        } else {
            seen.garbage.push(format!("{}\r\n\r\n{}", request.head, request.text()).into());
        }
        request.complete
    }

    /// Sends octets as they are. It does not matter if nobody is left to read them.
    pub fn send(&mut self, octets: impl AsRef<[u8]>) -> bool {
        self.reader.source.write_all(octets.as_ref()).is_ok()
    }

    /// Waits until the other side has closed.
    pub fn until_closed(&mut self) {
        while self.reader.fill() {}
    }

    /// Resets the connection, as the kernel does for a process that dies with data unread.
    pub fn reset(&mut self) {
        let _ = SockRef::from(&self.reader.source).set_linger(Some(std::time::Duration::ZERO));
        let mut seen = self.seen.lock().unwrap();
        seen.open.retain(|(number, _)| *number != self.number);
    }
}

/// Whether the kernel holds the connection between two addresses open in both directions, seen from `local`.
/// What a thread has read says nothing of what has arrived since.
pub fn is_established((local, peer): (SocketAddr, SocketAddr)) -> bool {
    const ESTABLISHED: &str = "01";
    let wanted = [local, peer].map(|address| format!("0100007F:{:04X}", address.port()));
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    table.lines().any(|line| {
        let columns: Vec<&str> = line.split_whitespace().skip(1).take(3).collect();
        columns == [&*wanted[0], &*wanted[1], ESTABLISHED]
    })
}

/// A plain answer.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn texts(all: &[Vec<u8>]) -> Vec<String> {
    all.iter().map(|octets| String::from_utf8_lossy(octets).into_owned()).collect()
}
