//! What can go wrong with a request, and the only place where that becomes a response.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, Version, header};

use super::{Body, Limit};
use crate::headers::{Request, Response};
use crate::path::Unclear;
use crate::pool::Refusal;
use crate::transport::exchange::Phase;
use crate::transport::http1::client::HeadError;
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
    #[error("the request has too many fields")]
    TooManyFields,
    #[error("the request head is too long")]
    HeadTooLong,
    #[error("this version of HTTP is not spoken here")]
    UnknownVersion,
    #[error("the proxy has no descriptor or port left")]
    Exhausted,
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

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
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
            Self::TooManyFields | Self::HeadTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnknownVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::NoBackend
            | Self::Exhausted
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

    /// The limit that it tells of.
    pub(super) const fn limit(&self) -> Option<Limit> {
        Some(match self {
            Self::RequestTimeout => Limit::BodyTimeout,
            Self::BodyTooLong => Limit::BodyBytes,
            Self::UriTooLong => Limit::UriBytes,
            Self::TooManyFields => Limit::Headers,
            Self::HeadTooLong => Limit::HeaderBytes,
            Self::Exhausted => Limit::Descriptors,
            Self::AllFull => Limit::MaxSessions,
            Self::QueueTimeout => Limit::QueueTimeout,
            Self::TableFull => Limit::Capacity,
            Self::QueueFull => Limit::Queue,
            _ => return None,
        })
    }

    /// The error type of RFC 9209 §2.3 that fits best.
    fn proxy_status(&self) -> &'static str {
        match self {
            Self::BadRequest(_)
            | Self::BodyBroken
            | Self::UnknownCoding
            | Self::UnknownVersion
            | Self::ConnectMethod => "http_request_error",
            Self::RequestTimeout
            | Self::BodyTooLong
            | Self::UriTooLong
            | Self::TooManyFields
            | Self::HeadTooLong => "http_request_denied",
            Self::NoRoute => "destination_not_found",
            Self::NoBackend | Self::Moving | Self::SessionDown => "destination_unavailable",
            Self::Unreachable => "connection_refused",
            Self::Exhausted | Self::TableFull | Self::QueueFull | Self::AllFull | Self::QueueTimeout => {
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
                | Self::UnknownVersion
                | Self::HeadTooLong
                | Self::RequestTimeout
                | Self::BodyTooLong
                | Self::UriTooLong
        )
    }

    /// The status code of gRPC that says the same (grpc.io, "HTTP to gRPC Status Code Mapping", with what that leaves
    /// open: too much is `RESOURCE_EXHAUSTED`, too late is `DEADLINE_EXCEEDED`).
    fn grpc_status(&self) -> u16 {
        match self.status() {
            StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED => 12,
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => 4,
            StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => 8,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => 14,
            _ => 13,
        }
    }

    /// A small response that says what went wrong, without internals.
    pub(super) fn response(&self, form: Form) -> Response<Body> {
        let status = self.status();
        let mut response = match form {
            Form::Grpc => self.trailers_only(),
            Form::Json => {
                let text = format!("{{\"status\":{},\"error\":\"{self}\"}}\n", status.as_u16());
                self.with_body("application/json", text)
            }
            Form::Text => self.with_body("text/plain; charset=utf-8", format!("{status}: {self}\n")),
        };
        let fields = &mut response.fields;
        if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())) {
            fields.append(header::DATE, date);
        }
        if let Ok(value) = HeaderValue::try_from(format!("homing; error={}", self.proxy_status())) {
            fields.append(PROXY_STATUS, value);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            fields.append(header::RETRY_AFTER, RETRY_AFTER);
        }
        if self.closes() {
            fields.append(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn with_body(&self, kind: &'static str, text: String) -> Response<Body> {
        let mut response = Response::new(self.status(), Body::full(Bytes::from(text)));
        let fields = &mut response.fields;
        fields.append(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        fields.append(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// A gRPC client looks at its own status only, and finds it here in the head (the "Trailers-Only" of gRPC's
    /// protocol over HTTP/2).
    fn trailers_only(&self) -> Response<Body> {
        let mut response = Response::new(StatusCode::OK, Body::empty());
        let fields = &mut response.fields;
        fields.append(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        fields.append(GRPC_STATUS, HeaderValue::from(self.grpc_status()));
        // Its messages are plain ASCII without a percent sign, so there is nothing to encode.
        if let Ok(message) = HeaderValue::try_from(self.to_string()) {
            fields.append(GRPC_MESSAGE, message);
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

impl From<&HeadError> for Error {
    fn from(error: &HeadError) -> Self {
        match error {
            HeadError::Nonsense(what) => Self::BadRequest(what.as_str()),
            HeadError::Version => Self::UnknownVersion,
            HeadError::TooLong => Self::HeadTooLong,
            HeadError::TargetTooLong => Self::UriTooLong,
            HeadError::TooManyFields => Self::TooManyFields,
        }
    }
}

impl From<Unclear> for Error {
    fn from(unclear: Unclear) -> Self {
        Self::BadRequest(unclear.as_str())
    }
}

/// The form in which a client hears of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A line of text.
    Text,
    /// A JSON object, for those who name that in `Accept` and do not name text.
    Json,
    /// A status of gRPC, for its requests.
    Grpc,
}

impl Form {
    /// The form for a request.
    pub(super) fn wanted_by(request: &Request) -> Self {
        if is_grpc(request) { Self::Grpc } else { Self::of(request.fields.get(&header::ACCEPT)) }
    }

    /// The form for a request that has this `Accept`.
    pub(super) fn of(accept: Option<&[u8]>) -> Self {
        let accept = accept.unwrap_or_default();
        let names = |kind: &[u8]| accept.windows(kind.len()).any(|window| window.eq_ignore_ascii_case(kind));
        if names(b"application/json") && !names(b"text/") { Self::Json } else { Self::Text }
    }
}

/// Whether a request is one of gRPC: `application/grpc`, alone or followed by what messages are encoded with. That is
/// spoken over HTTP/2 only, so nobody else pays for the look.
pub(super) fn is_grpc(request: &Request) -> bool {
    if request.version != Version::HTTP_2 {
        return false;
    }
    let kind = request.fields.get(&header::CONTENT_TYPE);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}
