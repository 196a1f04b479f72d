//! One request to a server of one's own, and its answer, whole or as it comes: what the command line asks a running
//! proxy.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
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

/// An answer whose body comes as it is made.
#[derive(Debug)]
pub struct Streamed {
    /// Its status.
    pub status: StatusCode,
    body: Incoming,
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
    let whole = async {
        let Streamed { status, body } = send(authority, request).await?;
        let body = Limited::new(body, MOST).collect().await;
        let body = body.map_err(|error| CallError::Body(error.to_string()))?;
        Ok((status, body.to_bytes()))
    };
    timeout(limit, whole).await.unwrap_or(Err(CallError::TimedOut(limit)))
}

/// The same for an answer without an end: `limit` is for its head.
///
/// # Errors
/// Why there is no answer.
pub async fn open(
    authority: &str,
    request: Request<Full<Bytes>>,
    limit: Duration,
) -> Result<Streamed, CallError> {
    timeout(limit, send(authority, request)).await.unwrap_or(Err(CallError::TimedOut(limit)))
}

impl Streamed {
    /// The octets that come next, or `None` at the end.
    ///
    /// # Errors
    /// The body broke off, or nothing came within `limit`.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<Bytes>, CallError> {
        loop {
            let frame = timeout(limit, self.body.frame()).await.map_err(|_| CallError::TimedOut(limit))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(CallError::Body(error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(octets) = frame.into_data() {
                        return Ok(Some(octets));
                    }
                }
            }
        }
    }
}

async fn send(authority: &str, mut request: Request<Full<Bytes>>) -> Result<Streamed, CallError> {
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
) -> Result<Streamed, CallError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the body. What is wrong with it is told to those who wait for the head or the body.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Streamed { status: head.status, body })
}
