//! Messages as they go through: what a request or a response says, without how it is framed.

use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version};

use super::Fields;

/// A request.
#[derive(Debug)]
pub struct Request<B> {
    /// What is to be done.
    pub method: Method,
    /// With what.
    pub uri: Uri,
    /// The version of HTTP that it came in.
    pub version: Version,
    /// Its fields.
    pub fields: Fields,
    /// Its body.
    pub body: B,
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

impl<B> Request<B> {
    /// The same without its body, and the body.
    pub fn split(self) -> (Request<()>, B) {
        let Self { method, uri, version, fields, body } = self;
        (Request { method, uri, version, fields, body: () }, body)
    }

    /// The same with a body made of this one.
    pub fn map<C>(self, to: impl FnOnce(B) -> C) -> Request<C> {
        let Self { method, uri, version, fields, body } = self;
        Request { method, uri, version, fields, body: to(body) }
    }
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

impl<B> From<http::Request<B>> for Request<B> {
    fn from(request: http::Request<B>) -> Self {
        let (parts, body) = request.into_parts();
        let fields = parts.headers.into();
        Self { method: parts.method, uri: parts.uri, version: parts.version, fields, body }
    }
}

impl<B> From<http::Response<B>> for Response<B> {
    fn from(response: http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        let fields = parts.headers.into();
        Self { status: parts.status, version: parts.version, reason: None, fields, body }
    }
}
