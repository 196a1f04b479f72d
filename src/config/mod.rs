//! The checked configuration: what `proxy.toml` means, as immutable values in which wrong states cannot be written.
//! It holds no runtime object; [`crate::snapshot`] turns it into those.

mod address;
mod check;
mod contract;
mod cookie;
mod difference;
mod effective;
mod error;
mod file;
mod fleet;
mod health;
mod key;
mod place;
mod pointer;
mod preset;
mod report;
mod suggest;
mod summary;
mod syntax;
mod tls;
mod token;
mod units;
mod value;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

pub use cookie::{Cookie, Origin, SameSite, Sealed, Secret, Secure};
pub use difference::{Names, at_next_start, at_once, backend_fields, places_alike};
pub use error::{Errors, Problem, ProblemKind};
pub use fleet::{Balance, Drain, Protocol, ProxyProtocol, Retry, Wanted};
pub use health::{Field, Health, Probe};
pub use key::{KeyError, KeySource, PathTemplate, Segment, TokenPlace};
pub use place::AdminPlace;
pub use pointer::{Pointer, PointerError};
pub use preset::Preset;
pub(crate) use suggest::did_you_mean;
pub use summary::Summary;
pub use tls::{ClientTls, Identity, Roots, ServerTls, Verify};
pub use token::Token;

/// Everything one `proxy.toml` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Networks whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Process-wide settings.
    pub server: Server,
    /// Where operators look at the proxy and change it, if anywhere.
    pub admin: Option<Admin>,
    /// What is logged, and how.
    pub log: Log,
    /// Addresses to listen on; at least one.
    pub listeners: Vec<Listener>,
    /// Host and path to pool, in the order of the file; at least one.
    pub routes: Vec<Route>,
    /// Pools by their position, which routes refer to; names are unique.
    pub pools: Vec<Pool>,
    /// Bounds on what clients may send and hold.
    pub limits: Limits,
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Threads that carry traffic. Default: the CPUs available.
    pub workers: NonZeroUsize,
    /// From the signal to stop until the process ends. Default 20 s.
    pub shutdown_timeout: Duration,
    /// Whether the file is read again when it changes. Default off.
    pub reload_on_change: bool,
    /// Whether SIGHUP has the file read again. Default on.
    pub reload_on_signal: bool,
    /// Where sessions and what operators want of backends are kept over a restart. Default: nowhere.
    pub state_dir: Option<PathBuf>,
    /// How often they are saved there while the proxy runs. Default 10 s.
    pub state_interval: Duration,
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// What callers must show, from `token_file`. Always there where the address is not loopback.
    pub token: Option<Token>,
    /// Whether callers may have the file read again. Default on.
    pub reload: bool,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// A level or a `tracing` filter. Default `info`.
    pub level: String,
    /// Lines for people or JSON objects.
    pub format: LogFormat,
    /// One line per request. Default on.
    pub access: bool,
}

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people (the default).
    Text,
    /// One JSON object per line.
    Json,
}

/// `[[listener]]`: a bound address.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// TLS; `None`: none.
    pub tls: Option<ServerTls>,
    /// Whether connections begin with a PROXY header, and come from trusted proxies only.
    pub proxy_protocol: bool,
    /// Whether clients may speak HTTP/2: agreed on by ALPN with TLS, by prior knowledge without. Default on.
    pub http2: bool,
    /// Client connections at one time; 0: as many as the process may have (the default).
    pub max_connections: usize,
}

/// `[[route]]`: which requests go to which pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Which hosts it fits.
    pub host: HostPattern,
    /// Path prefix on segment boundaries, decoded; starts with `/`, does not end with one unless it is `/`.
    pub path: String,
    /// Position of the pool in [`Config::pools`].
    pub pool: usize,
    /// Key sources that replace the pool's for this route. Empty: not sticky.
    pub key: Option<Vec<KeySource>>,
}

/// The host part of a route; names are lower case and carry no port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// No `host`: fits every request.
    Any,
    /// Exactly this name.
    Exact(String),
    /// `*.example.com`: any name below this one; holds `example.com`.
    Wildcard(String),
}

/// `[[pool]]`: backends with one balance policy and one stickiness.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Unique among pools.
    pub name: String,
    /// How a backend is chosen where nothing binds the request.
    pub balance: Balance,
    /// Bounded load for the first placement of keys: no backend gets a new key while it has more than this percentage
    /// of its share of the sessions. More than 100; 0: off (the default).
    pub hash_balance_factor: u32,
    /// While more than this percentage of the backends fail their checks by time-out or bad status, nothing bound moves.
    /// 0 to 100; 0: off (the default).
    pub panic_threshold: u32,
    /// What is spoken to backends.
    pub protocol: Protocol,
    /// The header that connections to backends begin with.
    pub proxy_protocol: ProxyProtocol,
    /// TLS to backends; `None`: none.
    pub tls: Option<ClientTls>,
    /// Stickiness, when there is a key.
    pub sticky: Option<Sticky>,
    /// At least one; names are unique within the pool.
    pub backends: Vec<Backend>,
    /// Active checks; `None`: connect failures alone decide.
    pub health: Option<Health>,
    /// Passive health.
    pub outlier: Outlier,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How often a request is tried.
    pub retry: Retry,
    /// How backends are emptied.
    pub drain: Drain,
    /// How long a backend that has come up takes less than its share of new work. Default 0: not at all.
    pub slow_start: Duration,
}

/// `[[pool.backend]]`: one server process.
#[derive(Debug, Clone, PartialEq)]
pub struct Backend {
    /// Its identity within the pool. Default: the address as written.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// Share of new work, 0 to 65,535. 0: keeps its own, takes no new.
    pub weight: u32,
    /// What its operator wants of it at the start, and from the moment this changes in the file.
    pub state: Wanted,
    /// Requests and tunnels at one time; 0: unlimited (the default). More wait.
    pub max_connections: u32,
    /// Sessions; 0: unlimited (the default). Takes no new ones beyond.
    pub max_sessions: u64,
}

/// Where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A literal IP address and port.
    Ip(SocketAddr),
    /// A DNS name, resolved every 30 s.
    Name {
        /// The name to look up.
        host: String,
        /// TCP port, not 0.
        port: u16,
    },
}

/// `[pool.sticky]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sticky {
    /// Where a session key is looked for; the first present wins. Empty only in cookie mode.
    pub key: Vec<KeySource>,
    /// How a key keeps its backend.
    pub mode: Mode,
    /// What becomes of a bound key whose backend is down.
    pub on_backend_down: OnBackendDown,
}

/// `sticky.on_backend_down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBackendDown {
    /// It gets another backend at once (the default).
    Rebind,
    /// Its requests wait for the backend to come back, until so long after it went down; then it gets another.
    Wait(Duration),
    /// Its requests are refused with 503 until the backend is back.
    Reject,
}

/// `sticky.mode`, with what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    /// Recomputed for every request by the pool's hash.
    Hash,
    /// Kept in the session table.
    Table(Table),
    /// Kept by the client, in a cookie that the proxy seals.
    Cookie(Sealed),
}

/// The settings of `mode = "table"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Responses that teach keys: cookie and header sources only.
    pub learn: Vec<KeySource>,
    /// A session without connections and requests ends after this long. Default 30 min.
    pub idle_timeout: Duration,
    /// A session ends so long after its beginning, once nothing of it is live. Default 0: never.
    pub max_lifetime: Duration,
    /// Most sessions kept. Default 1,000,000.
    pub capacity: NonZeroUsize,
}

/// `[pool.outlier]`: what traffic tells of a backend's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlier {
    /// Failures in a row (connects, resets, 502, 503 and 504) that eject a backend; as many failed connects take one
    /// without active checks down. Default 5; 0: never.
    pub consecutive_failures: u32,
    /// How long it is ejected, and how often one taken down that way is probed. Default 10 s.
    pub eject: Duration,
    /// Most backends ejected at one time, in percent of the pool's, 0 to 100. Default 50.
    pub max_ejected_percent: u32,
}

/// `[pool.timeouts]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeouts {
    /// For a connection to a backend, all handshakes included. Default 2 s.
    pub connect: Duration,
    /// From the request sent to the response head. Default 60 s.
    pub response: Duration,
    /// No byte of a body in either direction. Default 60 s.
    pub idle: Duration,
    /// No byte of a tunnel in either direction. Default 1 h.
    pub tunnel_idle: Duration,
    /// How long an unused connection to a backend is kept. Default 4 s.
    pub keep_alive: Duration,
    /// For a place below `max_connections`. Default 5 s.
    pub queue: Duration,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Client connections at one time, in the whole process. Default 100,000.
    pub connections: usize,
    /// Client connections from one address (IPv6: one /64) at one time. Default 0: unlimited.
    pub connections_per_ip: usize,
    /// Requests at one time on one HTTP/2 connection. Default 100.
    pub streams: u32,
    /// For a request head. Default 10 s, kept to 250 ms.
    pub header_timeout: Duration,
    /// No byte of a request body. Default 30 s.
    pub body_timeout: Duration,
    /// Octets of a request head. Default 64 KiB, at least 8 KiB.
    pub header_bytes: usize,
    /// Fields in a request head. Default 100.
    pub headers: usize,
    /// Octets of a request target. Default 16 KiB.
    pub uri_bytes: usize,
    /// Octets of a request body. Default 0: unlimited.
    pub body_bytes: u64,
    /// How long a client connection may idle between requests. Default 75 s.
    pub keep_alive: Duration,
    /// Requests that may wait, per pool. Default 1,000.
    pub queue: usize,
}

impl Address {
    /// The port to connect to.
    pub fn port(&self) -> u16 {
        match self {
            Self::Ip(address) => address.port(),
            Self::Name { port, .. } => *port,
        }
    }
}

impl FromStr for Address {
    type Err = String;

    /// Reads an address as it is written in the file; the error says what would be right.
    fn from_str(text: &str) -> Result<Self, String> {
        address::backend(text).map_err(report::Complaint::into_text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(name) => write!(f, "*.{name}"),
        }
    }
}

impl Config {
    /// Reads and checks the file at `path`, and the secrets it names; relative paths in it begin in its directory.
    ///
    /// # Errors
    /// Every problem found, each with its line; or that the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, Errors> {
        match std::fs::read_to_string(path) {
            Ok(source) => {
                let directory = path.parent().unwrap_or(Path::new(""));
                check::config(&source, &path.display().to_string(), directory)
            }
            Err(error) => Err(Errors::unreadable(path, &error)),
        }
    }

    /// Checks `source`; `origin` names it in messages, as a file name would. Relative paths in it begin in the working
    /// directory.
    ///
    /// # Errors
    /// Every problem found, each with its line.
    pub fn parse(source: &str, origin: &str) -> Result<Self, Errors> {
        check::config(source, origin, Path::new(""))
    }
}

/// A duration as the file has it: `"250ms"`, `"10s"`, `"1h30m"`; at most a year.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(report::Complaint::into_text)
}
