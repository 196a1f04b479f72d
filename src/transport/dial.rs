//! Making a connection to a backend.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::heard::{BackendIo, Heard};
use super::{Link, Links, Outgoing, Wire};

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
}

impl DialError {
    /// Whether nobody answered, as opposed to somebody who refused or broke off.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Unresolved)
    }
}

/// Connects to `address` within `limit`.
///
/// # Errors
/// No answer in time, or what the system says.
pub async fn connect(address: SocketAddr, limit: Duration) -> Result<TcpStream, DialError> {
    let stream =
        timeout(limit, TcpStream::connect(address)).await.map_err(|_| DialError::TimedOut(limit))??;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&keep_alive())?;
    Ok(stream)
}

/// Makes a connection that carries HTTP/1.1, and will idle among `home`. Must be called on a worker's runtime: a local task drives it.
///
/// # Errors
/// As [`connect`].
pub async fn dial(address: SocketAddr, limit: Duration, home: Rc<Links>) -> Result<Link, DialError> {
    let stream = connect(address, limit).await?;
    let mut builder = http1::Builder::new();
    builder.writev(false).max_header_size(MAX_RESPONSE_HEAD).max_buf_size(MAX_BUFFER);
    let heard = Heard::default();
    let io = TokioIo::new(BackendIo::new(Wire::Plain(stream), heard.clone()));
    let (sender, connection) = builder.handshake::<_, Outgoing>(io).await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%address, %error, "connection to a backend ended");
        }
    });
    Ok(Link::new(sender, heard, home))
}

/// How sockets find out that the other end has vanished without a word: after two minutes of silence.
pub fn keep_alive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_mins(1))
        .with_interval(Duration::from_secs(15))
        .with_retries(4)
}

/// Octets of a response head.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;
/// Octets read ahead of a client that reads slowly.
const MAX_BUFFER: usize = 64 * 1024;
