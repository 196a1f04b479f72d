//! One-off questions to a backend, asked by health checks.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::http1::backend::Connection;
use super::{Arriving, BrokenOff, DialError, Outgoing, Way, Wire, grpc, shared};
use crate::config::Protocol;
use crate::headers;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No connection.
    #[error("connect: {0}")]
    Dial(#[from] DialError),
    /// A connection, but no response.
    #[error("no response: {0}")]
    Http(#[from] BrokenOff),
    /// The request cannot be written.
    #[error("the request cannot be made: {0}")]
    Request(#[from] http::Error),
    /// No response in time.
    #[error("no response within {0:?}")]
    TimedOut(Duration),
}

impl From<h2::Error> for ProbeError {
    fn from(error: h2::Error) -> Self {
        Self::Http(error.into())
    }
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

/// Whether a backend accepts a connection within `limit`, and shakes hands where its pool has TLS.
///
/// # Errors
/// Why it does not.
pub async fn tcp(way: &Way, limit: Duration) -> Result<(), ProbeError> {
    way.open(way.dialing.protocol(), limit).await?;
    Ok(())
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Whom to ask.
    pub way: &'a Way,
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
    /// What came behind the body.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// It comes behind the message, or in the head where an error leaves nothing to say.
    fn grpc_status(&self) -> Option<&[u8]> {
        let in_trailers = self.trailers.as_ref().and_then(|trailers| trailers.get(GRPC_STATUS));
        in_trailers.or_else(|| self.headers.get(GRPC_STATUS)).map(HeaderValue::as_bytes)
    }
}

const GRPC_STATUS: &str = "grpc-status";

/// Octets of an answer's body that are read at most.
pub const MAX_BODY: usize = 64 * 1024;

/// How long an exchange may take, and what is read of the answer.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    limit: Duration,
    end: Instant,
    body: usize,
}

impl Bounds {
    fn new(limit: Duration, body: usize) -> Self {
        Self { limit, end: Instant::now() + limit, body: body.min(MAX_BODY) }
    }

    async fn keep<T>(self, work: impl Future<Output = T>) -> Result<T, ProbeError> {
        timeout_at(self.end, work).await.map_err(|_| ProbeError::TimedOut(self.limit))
    }
}

/// Asks, and reads the answer, the whole within the question's limit. A body that breaks off or does not end in time is
/// as good as none: what the head says counts all the same.
///
/// # Errors
/// Why there is no answer.
pub async fn http(question: Question<'_>) -> Result<Answer, ProbeError> {
    let Question { way, host, path, limit, body } = question;
    let bounds = Bounds::new(limit, body);
    let protocol = way.dialing.protocol();
    let wire = bounds.keep(way.wire(protocol)).await??;
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, AGENT)
        .header(header::CONNECTION, "close")
        .body(())?;
    let request = request.into_parts().0.into();
    match protocol {
        Protocol::Http1 => over_http1(wire, request, bounds).await,
        Protocol::Http2 => {
            let head = shared::head(&request, way.dialing.scheme());
            over_http2(wire, (head, Bytes::new()), bounds).await
        }
    }
}

const AGENT: &str = concat!("homing/", env!("CARGO_PKG_VERSION"));

/// Asks a gRPC server how a service is (`grpc.health.v1`), the whole within the question's limit. HTTP/2 is spoken
/// whatever the pool speaks. Returns the answer, and what is wrong with it if anything is.
///
/// # Errors
/// Why there is no answer.
pub async fn grpc(
    way: &Way,
    (host, service): (&str, &str),
    limit: Duration,
) -> Result<(Answer, Option<String>), ProbeError> {
    let bounds = Bounds::new(limit, MAX_BODY);
    let wire = bounds.keep(way.wire(Protocol::Http2)).await??;
    let request = Request::post(grpc::PATH)
        .header(header::HOST, host)
        .header(header::USER_AGENT, AGENT)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(())?;
    let head = shared::head(&request.into_parts().0.into(), way.dialing.scheme());
    let answer = over_http2(wire, (head, grpc::question(service)), bounds).await?;
    let complaint = match answer.status {
        StatusCode::OK => grpc::complaint(answer.grpc_status(), &answer.body),
        other => Some(other.to_string()),
    };
    Ok((answer, complaint))
}

async fn over_http1(wire: Wire, request: headers::Request, bounds: Bounds) -> Result<Answer, ProbeError> {
    let connection = Connection::new(wire);
    let answer = bounds.keep(connection.send(&request, None, Outgoing::empty())).await?;
    let response = answer.map_err(|unanswered| unanswered.error)?;
    Ok(read(response.map(Arriving::from), bounds).await)
}

async fn over_http2(
    wire: Wire,
    (head, body): (Request<()>, Bytes),
    bounds: Bounds,
) -> Result<Answer, ProbeError> {
    let (mut sender, connection) = shared::handshake(wire).await?;
    let answer = async move {
        let (answer, mut stream) = sender.send_request(head, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(body, true)?;
        }
        let response = headers::Response::from(bounds.keep(answer).await??);
        Ok(read(response.map(Arriving::from), bounds).await)
    };
    tokio::select! {
        answer = answer => answer,
        Err(error) = connection => Err(error.into()),
    }
}

/// Reads what is of interest of the body, and trailers if they come then.
async fn read(response: headers::Response<Arriving>, bounds: Bounds) -> Answer {
    let headers::Response { status, fields, body: mut incoming, .. } = response;
    let headers = HeaderMap::from(&fields);
    let mut answer = Answer { status, headers, body: Vec::new(), trailers: None };
    let mut whole = Vec::new();
    let reading = async {
        while whole.len() < bounds.body && !incoming.is_end_stream() {
            let Some(Ok(frame)) = incoming.frame().await else { return !incoming.is_end_stream() };
            match frame.into_data() {
                Ok(data) => {
                    let room = bounds.body - whole.len();
                    whole.extend_from_slice(&data[..data.len().min(room)]);
                }
                Err(frame) => answer.trailers = frame.into_trailers().ok(),
            }
        }
        false
    };
    let broke_off = bounds.keep(reading).await.unwrap_or(true);
    if !broke_off {
        answer.body = whole;
    }
    answer
}
