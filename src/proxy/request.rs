//! Whether what a client sent is one well-formed request, and for whom.
//!
//! Its head was parsed, and it has one framing; what else a proxy must check is here: `Host`, the target's form, transfer
//! codings, lengths.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;

use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Method, Version, header};
use http_body::Body as _;

use super::error::{Error, Form, is_grpc};
use super::upgrade::Offer;
use super::worker::Current;
use super::{Arrived, Body, Client, Worker};
use crate::affinity::Facts;
use crate::balance::Draw;
use crate::clock::{Clock, Now};
use crate::config::{KeySource, Limits};
use crate::headers::{self, Request, Response, X_REQUEST_ID, forwarded_for, host_name};
use crate::telemetry::{Record, Redacted};
use crate::transport::{Interim, Received};

/// A request with what is known of it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) head: Box<Request>,
    pub(super) body: Received,
    /// What becomes a tunnel if the request asks for one and the backend agrees.
    pub(super) offer: Option<Offer>,
    /// Where interim responses go.
    pub(super) interim: Option<Interim>,
    pub(super) client: Rc<Client>,
    pub(super) client_ip: IpAddr,
    /// Whether the peer's word about others is believed.
    pub(super) trusted: bool,
    /// When its head was there.
    pub(super) start: Now,
    /// For the access log, when there is one.
    pub(super) record: Option<Box<Record>>,
}

/// What is needed to answer a request without a backend.
#[derive(Debug)]
pub(super) struct Reply {
    /// It speaks gRPC.
    pub(super) grpc: bool,
    /// For the access log, when there is one.
    pub(super) record: Option<Box<Record>>,
}

impl Reply {
    /// Answers with an error, and records that; `accept` is what the client has said to.
    pub(super) fn fail(self, error: &Error, accept: Option<&[u8]>) -> Response<Body> {
        if let Some(mut record) = self.record {
            record.status = Some(error.status());
            record.error = Some(error.to_string());
        }
        error.response(if self.grpc { Form::Grpc } else { Form::of(accept) })
    }
}

impl Asked {
    pub(super) fn new(
        Arrived { request: mut head, body, offer, interim }: Arrived,
        worker: &Worker,
        current: &Current,
        client: &Rc<Client>,
    ) -> Self {
        let networks = &current.snapshot.trusted_proxies;
        let trusted = client.is_trusted(networks);
        let client_ip = if trusted { forwarded_for(client.ip, &head.fields, networks) } else { client.ip };
        if !head.seen.request_id {
            head.fields.append(X_REQUEST_ID, new_id(&worker.draw));
        }
        let (clock, start) = (worker.clock, worker.clock.now());
        let record =
            current.snapshot.access_log.then(|| Box::new(new_record(&head, client_ip, (clock, start))));
        let client = client.clone();
        Self { head, body, offer, interim, client, client_ip, trusted, start, record }
    }

    /// Checks the request, all but its host, and brings its target into origin form.
    pub(super) fn check(&mut self, limits: &Limits) -> Result<(), Error> {
        if self.head.method == Method::CONNECT {
            return Err(Error::ConnectMethod);
        }
        if self.head.seen.transfer_encoding && !headers::is_only_chunked(&self.head.fields) {
            return Err(Error::UnknownCoding);
        }
        if limits.body_bytes > 0 && self.body.size_hint().lower() > limits.body_bytes {
            return Err(Error::BodyTooLong);
        }
        self.take_origin_form()?;
        let target = self.head.uri.path_and_query().map_or("", PathAndQuery::as_str);
        if target.len() > limits.uri_bytes {
            return Err(Error::UriTooLong);
        }
        // `httparse` lets UTF-8 pass, which would be a second spelling of what is percent-encoded (RFC 9112 §3.2).
        if !target.is_ascii() {
            return Err(Error::BadRequest("the request target is not ASCII"));
        }
        if !self.body.is_end_stream() {
            headers::write_length_plainly(&mut self.head.fields);
        }
        Ok(())
    }

    /// In absolute form the target's authority is the host, whatever `Host` says (RFC 9112 §3.2.2); but there must be
    /// one as in any other request (§3.2).
    fn take_origin_form(&mut self) -> Result<(), Error> {
        let uri = &self.head.uri;
        if let Some(authority) = uri.authority() {
            host(&self.head)?;
            if !matches!(uri.scheme_str(), Some("http" | "https")) {
                return Err(Error::BadRequest("the request target has another scheme than http"));
            }
            let host = HeaderValue::from_str(authority.as_str());
            let host = host.map_err(|_| Error::BadRequest("the host is not valid"))?;
            self.head.fields.insert(header::HOST, host);
            self.head.seen.hosts = 1;
            let target = uri.path_and_query().cloned();
            self.head.uri = target.map_or_else(|| Uri::from_static("/"), Uri::from);
        }
        match self.head.uri.path() {
            "*" if self.head.method == Method::OPTIONS => Ok(()),
            path if path.starts_with('/') => Ok(()),
            _ => Err(Error::BadRequest("the request target is not a path")),
        }
    }

    /// Answers without a backend.
    pub(super) fn fail(self, error: &Error) -> Response<Body> {
        let reply = Reply { grpc: is_grpc(&self.head), record: self.record };
        reply.fail(error, self.head.fields.get(&header::ACCEPT))
    }

    /// What decisions may look at.
    pub(super) fn facts<'a>(&'a self, host: &'a str) -> Facts<'a> {
        let (uri, headers) = (&self.head.uri, &self.head.fields);
        Facts { host, uri, headers, client_ip: self.client_ip, sni: self.client.server_name() }
    }

    /// Notes the pool, and where the session key was found.
    pub(super) fn record_plan(&mut self, pool: Rc<str>, found: Option<(&KeySource, u64)>) {
        let Some(record) = &mut self.record else { return };
        record.pool = Some(pool);
        if let Some((source, key)) = found {
            record.key_source = Some(source.to_string());
            record.key = Some(key);
            if let KeySource::Path(template) = source {
                record.path = Redacted { path: self.head.uri.path(), template: Some(template) }.to_string();
            }
        }
    }
}

/// The host a request is for: lower case, without a port, and empty where it names none. There must be one `Host`
/// (RFC 9112 §3.2), which HTTP/1.0 clients may leave out.
pub(super) fn host(head: &Request) -> Result<Cow<'_, str>, Error> {
    match head.seen.hosts {
        0 if head.version < Version::HTTP_11 => Ok(Cow::Borrowed("")),
        0 => Err(Error::BadRequest("there is no Host field")),
        1 => {
            let host = head.fields.get(&header::HOST).and_then(host_name);
            host.ok_or(Error::BadRequest("the host is not valid"))
        }
        _ => Err(Error::BadRequest("there is more than one Host field")),
    }
}

/// 64 random bits in hexadecimal.
fn new_id(draw: &Draw) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bits = draw.next();
    let id: [u8; 16] = std::array::from_fn(|i| DIGITS[(bits >> (4 * i)) as usize & 0xf]);
    HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("-"))
}

fn new_record(head: &Request, client: IpAddr, (clock, start): (Clock, Now)) -> Record {
    let id = head.fields.get(&X_REQUEST_ID).and_then(|id| std::str::from_utf8(id).ok());
    Record {
        clock,
        start,
        client,
        method: head.method.clone(),
        host: String::new(),
        path: head.uri.path().to_owned(),
        pool: None,
        backend: None,
        affinity: None,
        tries: 1,
        key_source: None,
        key: None,
        status: None,
        head: None,
        end: None,
        received: 0,
        sent: 0,
        error: None,
        id: id.unwrap_or_default().to_owned(),
    }
}
