//! Changing the protocol of a connection: which changes are offered, and what makes a backend's answer one.

use std::rc::Rc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::Client;
use super::body::Body;
use super::error::{Accept, Error};
use super::running::Running;
use super::tunnel;
use crate::headers::{self, Seen};

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

/// Opens the tunnel, if the client asked for one and this 101 grants just that.
pub(super) fn open(
    mut response: Response<Incoming>,
    mut running: Running,
    asked: Option<ClientEnd>,
) -> Response<Body> {
    let Some(client) = asked.filter(|_| names_websocket(response.headers())) else {
        running.note(|| Error::BadUpgrade.to_string());
        if let Some(record) = &mut running.record {
            record.status = Some(StatusCode::BAD_GATEWAY);
        }
        return Error::BadUpgrade.response(Accept::Text);
    };
    let backend = hyper::upgrade::on(&mut response);
    running.link = None;
    let worker = Rc::clone(&running.worker);
    tokio::task::spawn_local(async move { tunnel::run(client, backend, running, &worker).await });
    let (mut parts, _) = response.into_parts();
    let seen = Seen::look(&parts.headers);
    headers::strip(&mut parts.headers, &seen);
    ask(&mut parts.headers);
    Response::from_parts(parts, Body::empty())
}
