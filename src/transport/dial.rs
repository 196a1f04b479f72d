//! Making a connection to a backend.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has not been resolved yet.
    #[error("its name does not resolve")]
    Unresolved,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The system says why.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// TLS could not be agreed on, or the backend is not who it should be.
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    /// No certificate can be for this name.
    #[error("{0:?} is not a name that a certificate could be for; `server_name` can say another")]
    Name(String),
    /// It agreed to TLS, but not to HTTP/2.
    #[error("it does not offer HTTP/2 (ALPN)")]
    OffersNoHttp2,
    /// What it said first is not HTTP/2, or it said nothing and closed.
    #[error("it does not speak HTTP/2: {0}")]
    NotHttp2(#[from] h2::Error),
    /// It speaks HTTP/2, and has no place for a request.
    #[error("it takes no requests")]
    TakesNothing,
    /// The same attempt, of which another request waited too.
    #[error(transparent)]
    Shared(Arc<DialError>),
}

impl DialError {
    /// Whether this machine has run out of something (descriptors, ports, memory), which says nothing of the backend.
    pub fn is_own_fault(&self) -> bool {
        match self {
            Self::Io(error) => is_exhaustion(error),
            Self::Shared(error) => error.is_own_fault(),
            _ => false,
        }
    }

    /// Whether nobody answered, as opposed to somebody who refused or broke off.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Unresolved => true,
            Self::Shared(error) => error.is_silence(),
            _ => false,
        }
    }
}

/// Whether an operation failed for lack of something that the process or the system has only so much of.
fn is_exhaustion(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL))
}

/// Connects to `address` within `limit`.
///
/// # Errors
/// No answer in time, or what the system says.
pub async fn connect(address: SocketAddr, limit: Duration) -> Result<TcpStream, DialError> {
    timeout(limit, tcp(address)).await.map_err(|_| DialError::TimedOut(limit))?
}

/// Connects to `address`, for as long as the system tries.
pub(super) async fn tcp(address: SocketAddr) -> Result<TcpStream, DialError> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&keep_alive())?;
    Ok(stream)
}

/// How sockets find out that the other end has vanished without a word: after two minutes of silence.
pub fn keep_alive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_mins(1))
        .with_interval(Duration::from_secs(15))
        .with_retries(4)
}

/// Octets of a response head.
pub(super) const MAX_RESPONSE_HEAD: usize = 64 * 1024;
