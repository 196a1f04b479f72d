//! Making a connection to a backend.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::heard::{BackendIo, Heard};
use super::{Outgoing, Wire};

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
    /// The connection broke at once.
    #[error("the connection broke: {0}")]
    Handshake(#[from] hyper::Error),
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
    /// Whether nobody answered, as opposed to somebody who refused or broke off.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Unresolved => true,
            Self::Shared(error) => error.is_silence(),
            _ => false,
        }
    }
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

/// Speaks HTTP/1.1 on a connection to `address`. Must be called on a worker's runtime: a local task drives it.
pub(super) async fn http1(
    wire: Wire,
    address: SocketAddr,
) -> Result<(SendRequest<Outgoing>, Heard), DialError> {
    let mut builder = http1::Builder::new();
    builder.writev(false).max_header_size(MAX_RESPONSE_HEAD).max_buf_size(MAX_BUFFER);
    let heard = Heard::default();
    let io = TokioIo::new(BackendIo::new(wire, heard.clone()));
    let (sender, connection) = builder.handshake::<_, Outgoing>(io).await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%address, %error, "connection to a backend ended");
        }
    });
    Ok((sender, heard))
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
/// Octets read ahead of a client that reads slowly.
pub(super) const MAX_BUFFER: usize = 64 * 1024;
