//! What can go wrong with a request, and the only place where that becomes a response.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::Body;
use crate::pool::Refusal;
use crate::transport::exchange::Phase;
use crate::watch::Call;

/// Why a request is not answered by a backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    BadRequest(&'static str),
    #[error("the transfer coding is not known")]
    UnknownCoding,
    #[error("CONNECT is not offered")]
    ConnectMethod,
    #[error("no route fits this host and path")]
    NoRoute,
    #[error("the request body did not come in time")]
    RequestTimeout,
    #[error("the request body is too long")]
    BodyTooLong,
    #[error("the request body broke off")]
    BodyBroken,
    #[error("the request target is too long")]
    UriTooLong,
    #[error("no backend is available")]
    NoBackend,
    #[error("the backend of this session does not accept connections")]
    Unreachable,
    #[error("the backend of this session is down")]
    SessionDown,
    #[error("every backend has as many sessions as it may have")]
    AllFull,
    #[error("no backend had room in time")]
    QueueTimeout,
    #[error("the session is moving to another backend")]
    Moving,
    #[error("too many sessions")]
    TableFull,
    #[error("too many requests wait")]
    QueueFull,
    #[error("the backend did not answer in time")]
    ResponseTimeout,
    #[error("the backend broke the connection before it answered")]
    Broken,
    #[error("the backend answered nonsense")]
    Nonsense,
    #[error("the backend changed the protocol in a way nobody asked for")]
    BadUpgrade,
}

/// When to try again, where that may help.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl Error {
    /// What it means that an exchange was called in this phase, before there was a response.
    pub(super) fn of_call(call: Call, phase: Phase) -> Self {
        match (call, phase) {
            (Call::Overdue, Phase::RequestBody) => Self::RequestTimeout,
            (Call::Overdue, _) => Self::ResponseTimeout,
            (Call::Moved | Call::Stopping | Call::Drop, _) => Self::Moving,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::UnknownCoding | Self::ConnectMethod => StatusCode::NOT_IMPLEMENTED,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::NoBackend
            | Self::Unreachable
            | Self::SessionDown
            | Self::AllFull
            | Self::QueueTimeout
            | Self::Moving
            | Self::TableFull
            | Self::QueueFull => StatusCode::SERVICE_UNAVAILABLE,
            Self::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Broken | Self::Nonsense | Self::BadUpgrade => StatusCode::BAD_GATEWAY,
        }
    }

    /// The error type of RFC 9209 §2.3 that fits best.
    fn proxy_status(&self) -> &'static str {
        match self {
            Self::BadRequest(_) | Self::BodyBroken | Self::UnknownCoding | Self::ConnectMethod => {
                "http_request_error"
            }
            Self::RequestTimeout | Self::BodyTooLong | Self::UriTooLong => "http_request_denied",
            Self::NoRoute => "destination_not_found",
            Self::NoBackend | Self::Moving | Self::SessionDown => "destination_unavailable",
            Self::Unreachable => "connection_refused",
            Self::TableFull | Self::QueueFull | Self::AllFull | Self::QueueTimeout => {
                "connection_limit_reached"
            }
            Self::ResponseTimeout => "http_response_timeout",
            Self::Broken => "connection_terminated",
            Self::Nonsense => "http_protocol_error",
            Self::BadUpgrade => "http_upgrade_failed",
        }
    }

    /// Whether the rest of the request is not worth reading.
    fn closes(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_)
                | Self::BodyBroken
                | Self::UnknownCoding
                | Self::ConnectMethod
                | Self::RequestTimeout
                | Self::BodyTooLong
                | Self::UriTooLong
        )
    }

    /// A small response that says what went wrong, without internals.
    pub(super) fn response(&self, accept: Accept) -> Response<Body> {
        let status = self.status();
        let (kind, text) = match accept {
            Accept::Json => {
                ("application/json", format!("{{\"status\":{},\"error\":\"{self}\"}}\n", status.as_u16()))
            }
            Accept::Text => ("text/plain; charset=utf-8", format!("{status}: {self}\n")),
        };
        let mut response = Response::new(Body::full(Bytes::from(text)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())) {
            headers.insert(header::DATE, date);
        }
        if let Ok(value) = HeaderValue::try_from(format!("homing; error={}", self.proxy_status())) {
            headers.insert("proxy-status", value);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if self.closes() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoBackend => Self::NoBackend,
            Refusal::Full => Self::AllFull,
            // Who may wait has waited before this is asked.
            Refusal::Down | Refusal::Wait { .. } => Self::SessionDown,
            Refusal::Outdated => Self::Moving,
        }
    }
}

/// The form of an error a client prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    Text,
    Json,
}

impl Accept {
    /// JSON for those who name it and do not name text.
    pub(super) fn of(accept: Option<&HeaderValue>) -> Self {
        let accept = accept.map_or(&b""[..], HeaderValue::as_bytes);
        let names = |kind: &[u8]| accept.windows(kind.len()).any(|window| window.eq_ignore_ascii_case(kind));
        if names(b"application/json") && !names(b"text/") { Self::Json } else { Self::Text }
    }
}
