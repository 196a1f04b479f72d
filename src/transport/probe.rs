//! One-off questions to a backend, asked by health checks.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};

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
        match self {
            Self::TimedOut(_) => true,
            Self::Dial(error) => error.is_silence(),
            Self::Http(_) | Self::Request(_) => false,
        }
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
    /// For the head of the answer, and what is read of its body.
    pub limit: Duration,
    /// Octets of the body that are of interest, at most [`MAX_BODY`]; with 0 its end is not waited for.
    pub body: usize,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// As much of its body as was asked for and came in time.
    pub body: Vec<u8>,
}

/// Octets of an answer's body that are read at most.
pub const MAX_BODY: usize = 64 * 1024;

/// Asks, and reads the answer, the whole within the question's limit. A body that breaks off or does not end in time is
/// as good as none: what the head says counts all the same.
///
/// # Errors
/// Why there is no answer.
pub async fn http(question: Question<'_>) -> Result<Answer, ProbeError> {
    let Question { address, host, path, limit, body: most } = question;
    let end = Instant::now() + limit;
    let late = |_| ProbeError::TimedOut(limit);
    let stream = timeout_at(end, connect(address, limit)).await.map_err(late)??;
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("homing/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let response = timeout_at(end, sender.send_request(request)).await.map_err(late)??;
        let (head, incoming) = response.into_parts();
        let body = timeout_at(end, read(incoming, most.min(MAX_BODY))).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    tokio::select! {
        answer = answer => answer,
        // The answer may have been read ahead of the connection's end.
        Err(error) = connection => Err(error.into()),
    }
}

async fn read(mut incoming: Incoming, most: usize) -> Result<Vec<u8>, hyper::Error> {
    let mut body = Vec::new();
    while body.len() < most {
        let Some(frame) = incoming.frame().await else { break };
        if let Ok(data) = frame?.into_data() {
            let room = most - body.len();
            body.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(body)
}
