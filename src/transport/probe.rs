//! One-off questions to a backend, asked by health checks.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::{DialError, connect};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No connection.
    #[error("connect: {0}")]
    Dial(#[from] DialError),
    /// A connection, but no response.
    #[error("no response: {0}")]
    Http(#[from] hyper::Error),
    /// The request cannot be written.
    #[error("the request cannot be made: {0}")]
    Request(#[from] http::Error),
    /// No response in time.
    #[error("no response within {0:?}")]
    TimedOut(Duration),
}

impl ProbeError {
    /// Whether the backend said nothing at all in time, as opposed to refusing or breaking off.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Dial(DialError::TimedOut(_)))
    }
}

/// Whether `address` accepts a connection within `limit`.
///
/// # Errors
/// Why it does not.
pub async fn tcp(address: SocketAddr, limit: Duration) -> Result<(), ProbeError> {
    connect(address, limit).await?;
    Ok(())
}

/// The status `address` answers to `GET path`, the whole within `limit`.
///
/// # Errors
/// Why there is none.
pub async fn http(
    address: SocketAddr,
    host: &str,
    path: &str,
    limit: Duration,
) -> Result<StatusCode, ProbeError> {
    timeout(limit, get(address, host, path, limit)).await.unwrap_or(Err(ProbeError::TimedOut(limit)))
}

async fn get(address: SocketAddr, host: &str, path: &str, limit: Duration) -> Result<StatusCode, ProbeError> {
    let stream = connect(address, limit).await?;
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("homing/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let status = async move { sender.send_request(request).await.map(|response| response.status()) };
    let (status, _) = tokio::join!(status, connection);
    Ok(status?)
}
