//! Answers as JSON, and the one form that errors have: `{"error":"…"}`, some with more beside it.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::Errors;
use crate::server::{ApplyError, ReloadError, Unknown};

/// Why a call was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Value,
}

pub(super) type Answer = Result<Response, Refusal>;

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, body: json!({ "error": why.into() }) }
    }

    /// What was asked cannot be understood.
    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    pub(super) fn not_found(why: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, why)
    }

    /// The same, with a field beside the error.
    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        if let Value::Object(fields) = &mut self.body {
            fields.insert(name.to_owned(), value);
        }
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = respond(self.status, &self.body);
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Unknown> for Refusal {
    fn from(unknown: Unknown) -> Self {
        Self::not_found(unknown.to_string())
    }
}

impl From<ReloadError> for Refusal {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Invalid(errors) => invalid(&errors),
            ReloadError::NoFile => Self::new(StatusCode::CONFLICT, error.to_string()),
            ReloadError::Off(_) => Self::new(StatusCode::FORBIDDEN, error.to_string()),
            ReloadError::Apply(ApplyError::Bind { .. }) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{error}; nothing has changed"))
            }
            ReloadError::Apply(ApplyError::Busy) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
        }
    }
}

/// Every problem of a file; line and column are 0 where the file as a whole is meant.
fn invalid(errors: &Errors) -> Refusal {
    let refusal = Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "the file is wrong; nothing has changed");
    refusal.with("file", errors.origin().into()).with("problems", json!(errors.problems()))
}

/// An answer. It is what holds at this moment, so nobody may keep it.
pub(super) fn respond(status: StatusCode, value: &impl Serialize) -> Response {
    let Ok(mut text) = serde_json::to_vec(value) else {
        // Only a map with keys that are no strings could not be written, and there is none.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    text.push(b'\n');
    let mut response = self::text("application/json", text);
    *response.status_mut() = status;
    response
}

/// An answer in another form. It too is what holds at this moment.
pub(super) fn text(kind: &'static str, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer to a call that was done.
pub(super) fn ok(value: &impl Serialize) -> Response {
    respond(StatusCode::OK, value)
}
