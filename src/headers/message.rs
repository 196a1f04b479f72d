//! Messages as they go through: what a request or a response says, without how it is framed.

use http::{Method, StatusCode, Uri, Version};

use super::{Fields, Seen};

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
    /// What they said when it came.
    pub seen: Seen,
}

/// A response.
#[derive(Debug)]
pub struct Response<B> {
    /// What came of the request.
    pub status: StatusCode,
    /// The version of HTTP that it came in.
    pub version: Version,
    /// A phrase of the backend's own for the status.
    pub reason: Option<Box<[u8]>>,
    /// Its fields.
    pub fields: Fields,
    /// What they said when it came.
    pub seen: Seen,
    /// Its body.
    pub body: B,
}

impl<B> Response<B> {
    /// One without fields.
    pub fn new(status: StatusCode, body: B) -> Self {
        let (fields, seen) = (Fields::new(), Seen::default());
        Self { status, version: Version::HTTP_11, reason: None, fields, seen, body }
    }

    /// The same with a body made of this one.
    pub fn map<C>(self, to: impl FnOnce(B) -> C) -> Response<C> {
        let Self { status, version, reason, fields, seen, body } = self;
        Response { status, version, reason, fields, seen, body: to(body) }
    }
}

impl From<http::request::Parts> for Request {
    fn from(head: http::request::Parts) -> Self {
        let fields = head.headers.into();
        let seen = Seen::look(&fields);
        Self { method: head.method, uri: head.uri, version: head.version, fields, seen }
    }
}

impl<B> From<http::Response<B>> for Response<B> {
    fn from(response: http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        let fields = parts.headers.into();
        let seen = Seen::look(&fields);
        Self { status: parts.status, version: parts.version, reason: None, fields, seen, body }
    }
}
