//! One-off questions to a backend, asked by health checks.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
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

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Whom to ask.
    pub address: SocketAddr,
    /// The `Host` field.
    pub host: &'a str,
    /// The target.
    pub path: &'a str,
    /// For the whole.
    pub limit: Duration,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// The first [`MAX_BODY`] octets of its body.
    pub body: Vec<u8>,
}

/// Octets of an answer's body that are read.
pub const MAX_BODY: usize = 64 * 1024;

/// Asks, and reads the answer, the whole within the question's limit.
///
/// # Errors
/// Why there is none.
pub async fn http(question: Question<'_>) -> Result<Answer, ProbeError> {
    let limit = question.limit;
    timeout(limit, get(question)).await.unwrap_or(Err(ProbeError::TimedOut(limit)))
}

async fn get(question: Question<'_>) -> Result<Answer, ProbeError> {
    let Question { address, host, path, limit } = question;
    let stream = connect(address, limit).await?;
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("homing/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let (head, incoming) = sender.send_request(request).await?.into_parts();
        let body = read(incoming).await?;
        Ok::<_, hyper::Error>(Answer { status: head.status, headers: head.headers, body })
    };
    tokio::select! {
        answer = answer => Ok(answer?),
        // The answer may have been read ahead of the connection's end.
        Err(error) = connection => Err(error.into()),
    }
}

async fn read(mut incoming: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        if let Ok(data) = frame?.into_data() {
            let room = MAX_BODY - body.len();
            body.extend_from_slice(&data[..data.len().min(room)]);
        }
        if body.len() == MAX_BODY {
            break;
        }
    }
    Ok(body)
}
