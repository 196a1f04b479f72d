//! Messages as they go through: what a request or a response says, without how it is framed.

use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version};

use super::Fields;

/// A request.
#[derive(Debug)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// With what.
    pub uri: Uri,
    /// The version of HTTP that it came in.
    pub version: Version,
    /// Its fields.
    pub fields: Fields,
}

/// A response.
#[derive(Debug)]
pub struct Response<B> {
    /// What came of the request.
    pub status: StatusCode,
    /// The version of HTTP that it came in.
    pub version: Version,
    /// A phrase of the backend's own for the status.
    pub reason: Option<Bytes>,
    /// Its fields.
    pub fields: Fields,
    /// Its body.
    pub body: B,
}

impl<B> Response<B> {
    /// One without fields.
    pub fn new(status: StatusCode, body: B) -> Self {
        Self { status, version: Version::HTTP_11, reason: None, fields: Fields::new(), body }
    }

    /// The same with a body made of this one.
    pub fn map<C>(self, to: impl FnOnce(B) -> C) -> Response<C> {
        let Self { status, version, reason, fields, body } = self;
        Response { status, version, reason, fields, body: to(body) }
    }
}

impl From<http::request::Parts> for Request {
    fn from(head: http::request::Parts) -> Self {
        Self { method: head.method, uri: head.uri, version: head.version, fields: head.headers.into() }
    }
}

impl<B> From<http::Response<B>> for Response<B> {
    fn from(response: http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        let fields = parts.headers.into();
        Self { status: parts.status, version: parts.version, reason: None, fields, body }
    }
}
