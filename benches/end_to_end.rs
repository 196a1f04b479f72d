//! One request over the loopback, through a proxy with one worker, by how its pool is sticky:
//! `cargo bench --bench end_to_end`.
//!
//! One connection, one request at a time: what is measured is latency, most of it the kernel's and the scheduler's.
//! `direct` asks the backend without a proxy between.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use homing::config::Config;
use homing::server::{Server, Stop};

const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, world!";
const REQUEST: &str = "GET /game/7f3a9c HTTP/1.1\r\nhost: game.example\r\nuser-agent: bench\r\naccept: */*\r\n\
     cookie: theme=dark; sid=0123456789abcdef\r\n\r\n";

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    let backends = [backend(), backend()];
    let mut group = criterion.benchmark_group("end_to_end");
    let mut direct = Client::connect(backends[0]);
    group.bench_function("direct", |bencher| bencher.iter(|| direct.ask()));
    for (mode, sticky) in [
        ("none", ""),
        ("hash", "sticky = { key = [\"path:/game/{room}\"], mode = \"hash\" }"),
        ("table", "sticky = { key = [\"path:/game/{room}\"], mode = \"table\" }"),
    ] {
        let server = Server::start(&config(sticky, &backends)).unwrap();
        let mut client = Client::connect(server.addresses()[0]);
        group.bench_function(mode, |bencher| bencher.iter(|| client.ask()));
        server.stop(Stop::Now);
        server.wait();
    }
    group.finish();
    criterion.final_summary();
}

fn config(sticky: &str, backends: &[SocketAddr]) -> Config {
    let mut source = format!(
        "server = {{ workers = 1 }}\nlog = {{ access = false }}\nlistener = [{{ address = \"127.0.0.1:0\" }}]\n\
         route = [{{ pool = \"app\" }}]\n[[pool]]\nname = \"app\"\n{sticky}\n",
    );
    for address in backends {
        writeln!(source, "[[pool.backend]]\naddress = \"{address}\"").unwrap();
    }
    Config::parse(&source, "bench.toml").unwrap()
}

/// A backend that answers every head with the same response.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    while read_head(&mut lines).is_some() && stream.write_all(RESPONSE).is_ok() {}
}

/// Reads to the empty line that ends a head; `None` at the end of the stream.
fn read_head(lines: &mut impl BufRead) -> Option<()> {
    let mut line = Vec::with_capacity(256);
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) if line == b"\r\n" => return Some(()),
            Ok(_) => {}
        }
    }
}

/// A client with one connection that it keeps.
struct Client {
    write: TcpStream,
    read: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let write = TcpStream::connect(address).unwrap();
        write.set_nodelay(true).unwrap();
        let read = BufReader::new(write.try_clone().unwrap());
        Self { write, read }
    }

    fn ask(&mut self) {
        self.write.write_all(REQUEST.as_bytes()).unwrap();
        read_head(&mut self.read).unwrap();
        let mut body = [0; 13];
        self.read.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"Hello, world!");
    }
}
