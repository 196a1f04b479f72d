//! One request to a server of one's own, and the whole of its answer: what the command line asks a running proxy.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::{DialError, connect};

/// Octets of an answer that are read.
pub const MOST: usize = 1024 * 1024;
/// For one address.
const CONNECT: Duration = Duration::from_secs(3);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The name leads nowhere.
    #[error("{0:?} cannot be looked up: {1}")]
    Name(String, #[source] std::io::Error),
    /// No address accepts a connection.
    #[error("{0}")]
    Dial(#[from] DialError),
    /// A connection, but no response.
    #[error("no response: {0}")]
    Http(#[from] hyper::Error),
    /// The response broke off, or is longer than [`MOST`].
    #[error("the answer cannot be read: {0}")]
    Body(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// Sends `request` to `authority`, a host and a port, over a connection of its own, and reads the answer; the whole
/// within `limit`. `Host` and `Connection` are set here.
///
/// # Errors
/// Why there is no answer. Any status is one.
pub async fn call(
    authority: &str,
    request: Request<Full<Bytes>>,
    limit: Duration,
) -> Result<(StatusCode, Bytes), CallError> {
    timeout(limit, exchange(authority, request)).await.unwrap_or(Err(CallError::TimedOut(limit)))
}

async fn exchange(
    authority: &str,
    mut request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), CallError> {
    if let Ok(host) = authority.parse() {
        request.headers_mut().insert(header::HOST, host);
    }
    request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    let name = |error| CallError::Name(authority.to_owned(), error);
    let mut refused = None;
    for address in lookup_host(authority).await.map_err(name)? {
        match connect(address, CONNECT).await {
            Ok(stream) => return converse(stream, request).await,
            Err(error) => refused = Some(error),
        }
    }
    let nowhere = || name(std::io::Error::from(std::io::ErrorKind::NotFound));
    Err(refused.map_or_else(nowhere, CallError::Dial))
}

async fn converse(
    stream: tokio::net::TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), CallError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MOST).collect().await;
        let body = body.map_err(|error| CallError::Body(error.to_string()))?;
        Ok((head.status, body.to_bytes()))
    };
    tokio::select! {
        answer = answer => answer,
        // The answer may have been read ahead of the connection's end.
        Err(error) = connection => Err(error.into()),
    }
}
