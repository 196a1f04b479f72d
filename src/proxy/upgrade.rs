//! Changing the protocol of a connection: which changes are offered, and what makes a backend's answer one.

use std::rc::Rc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Version, header};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::body::Body;
use super::running::Running;
use super::{Active, Client, Worker, tunnel};
use crate::headers::{self, Fields, Request, Response, Seen};
use crate::transport::{Arriving, Link, Wire};

/// The one protocol that is tunnelled.
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");

/// The client's end of a tunnel to be.
#[derive(Debug)]
pub(super) struct ClientEnd {
    pub(super) offer: Offer,
    pub(super) client: Rc<Client>,
}

/// What may become a tunnel, and brings its wire.
#[derive(Debug)]
pub(crate) enum Offer {
    /// The whole of an HTTP/1.1 connection, once its 101 was sent (RFC 9110 §7.8), with what was read ahead of it.
    Connection(oneshot::Receiver<(Wire, Bytes)>),
    /// One stream of an HTTP/2 connection, once its 200 was sent (RFC 8441 §5).
    Stream(Tunnelling),
}

/// A stream that an extended CONNECT was sent on, as soon as it may carry octets.
#[derive(Debug)]
pub(crate) struct Tunnelling {
    /// Brings the stream.
    pub(crate) wire: oneshot::Receiver<Wire>,
    /// The `Sec-WebSocket-Accept` that proves that the backend means this handshake (RFC 6455 §4.2.2).
    accept: String,
    /// The connection is not idle as long as the tunnel is open.
    _active: Active,
}

/// Makes an extended CONNECT for a WebSocket the upgrade that it stands for (RFC 8441 §5.1): a `GET` with a key of its
/// own, since HTTP/2 has none.
pub(crate) fn as_upgrade(
    request: &mut Request,
    wire: oneshot::Receiver<Wire>,
    worker: &Worker,
    active: Active,
) -> Offer {
    let nonce = (u128::from(worker.draw.next()) << 64 | u128::from(worker.draw.next())).to_be_bytes();
    let key = BASE64_STANDARD.encode(nonce);
    let accept = derive_accept_key(key.as_bytes());
    request.method = Method::GET;
    let fields = &mut request.fields;
    ask(fields);
    if let Ok(key) = HeaderValue::from_str(&key) {
        fields.insert(header::SEC_WEBSOCKET_KEY, key);
    }
    if !fields.contains(&header::SEC_WEBSOCKET_VERSION) {
        fields.append(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    request.seen = Seen::look(fields);
    Offer::Stream(Tunnelling { wire, accept, _active: active })
}

/// Whether a request asks for a WebSocket (RFC 6455 §4.1).
pub(super) fn is_asked(request: &Request) -> bool {
    request.version == Version::HTTP_11 && request.method == Method::GET && names_websocket(&request.fields)
}

fn names_websocket(fields: &Fields) -> bool {
    headers::lists(fields, &header::CONNECTION, "upgrade")
        && headers::lists(fields, &header::UPGRADE, "websocket")
}

/// Puts the fields of the upgrade back after those of one hop were removed.
pub(super) fn ask(fields: &mut Fields) {
    fields.insert(header::CONNECTION, UPGRADE);
    fields.insert(header::UPGRADE, WEBSOCKET);
}

/// Whether a response changes the protocol although nobody asked, or to another than was asked for. On a stream it would
/// be any success that does (RFC 8441 §5).
pub(super) fn is_wrong(response: &Response<Arriving>, asked: Option<&ClientEnd>) -> bool {
    if response.status != StatusCode::SWITCHING_PROTOCOLS {
        let is_stream = asked.is_some_and(|client| matches!(client.offer, Offer::Stream(_)));
        return is_stream && response.status.is_success();
    }
    asked.is_none_or(|client| !names_websocket(&response.fields) || !client.accepts(response))
}

impl ClientEnd {
    /// Whether a 101 answers the key that was made for the client; one that made its own sees to that itself.
    fn accepts(&self, response: &Response<Arriving>) -> bool {
        let Offer::Stream(Tunnelling { accept, .. }) = &self.offer else { return true };
        response.fields.get(&header::SEC_WEBSOCKET_ACCEPT).is_some_and(|shown| shown == accept.as_bytes())
    }
}

/// Opens the tunnel that the client asked for and this 101 grants.
pub(super) fn open(
    response: Response<Arriving>,
    mut running: Box<Running>,
    client: ClientEnd,
) -> Response<Body> {
    let backend = running.tunnels().and_then(Link::into_wire);
    let is_stream = matches!(client.offer, Offer::Stream(_));
    let worker = Rc::clone(&running.worker);
    tokio::task::spawn_local(async move { tunnel::run(client, backend, running, &worker).await });
    let mut response = response.map(|_| if is_stream { Body::tunnel() } else { Body::empty() });
    headers::strip(&mut response.fields, &response.seen);
    if is_stream {
        response.fields.remove(&header::SEC_WEBSOCKET_ACCEPT);
        response.status = StatusCode::OK;
    } else {
        ask(&mut response.fields);
    }
    response
}
