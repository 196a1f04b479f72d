//! Changing the protocol of a connection: which changes are offered, and what makes a backend's answer one.

use std::rc::Rc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;

use super::Client;
use super::body::Body;
use super::running::Running;
use super::tunnel;
use crate::headers;
use crate::transport::Arriving;

/// The one protocol that is tunnelled.
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");

/// The client's end of a tunnel to be.
#[derive(Debug)]
pub(super) struct ClientEnd {
    pub(super) upgrade: OnUpgrade,
    pub(super) client: Rc<Client>,
}

/// Whether a request asks for a WebSocket (RFC 6455 §4.1).
pub(super) fn is_asked(parts: &Parts) -> bool {
    parts.version == Version::HTTP_11 && parts.method == Method::GET && names_websocket(&parts.headers)
}

fn names_websocket(fields: &HeaderMap) -> bool {
    headers::lists(fields, header::CONNECTION, "upgrade")
        && headers::lists(fields, header::UPGRADE, "websocket")
}

/// Puts the fields of the upgrade back after those of one hop were removed.
pub(super) fn ask(fields: &mut HeaderMap) {
    fields.insert(header::CONNECTION, UPGRADE);
    fields.insert(header::UPGRADE, WEBSOCKET);
}

/// Whether a response changes the protocol although nobody asked, or to another than was asked for.
pub(super) fn is_wrong(response: &Response<Arriving>, asked: Option<&ClientEnd>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
        && (asked.is_none() || !names_websocket(response.headers()))
}

/// Opens the tunnel that the client asked for and this 101 grants.
pub(super) fn open(
    mut response: Response<Arriving>,
    mut running: Running,
    client: ClientEnd,
) -> Response<Body> {
    let backend = hyper::upgrade::on(&mut response);
    running.link = None;
    let worker = Rc::clone(&running.worker);
    tokio::task::spawn_local(async move { tunnel::run(client, backend, running, &worker).await });
    let (mut parts, _) = response.into_parts();
    let seen = headers::look_at_response(&parts.headers);
    headers::strip(&mut parts.headers, &seen);
    ask(&mut parts.headers);
    Response::from_parts(parts, Body::empty())
}
