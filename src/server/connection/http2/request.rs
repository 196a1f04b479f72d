//! An HTTP/2 request in the form in which any other arrives.

use bytes::Bytes;
use h2::RecvStream;
use h2::ext::Protocol;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use tokio::sync::oneshot;

use crate::headers;
use crate::proxy::{Active, Arrived, Worker, as_upgrade};
use crate::transport::{Hints, Interim, Received, Wire};

/// A stream that becomes a tunnel if the backend agrees: its receiving half, and where the whole goes then.
pub(super) struct Opening {
    pub(super) receive: RecvStream,
    pub(super) to: oneshot::Sender<Wire>,
}

/// A request, and what its stream needs to know of it.
pub(super) struct Asked {
    pub(super) arrived: Arrived,
    pub(super) opening: Option<Opening>,
    /// What the backend says before its response.
    pub(super) hints: Hints,
}

/// Takes a request as `h2` hands it over. `active` keeps its connection open as long as it is answered.
pub(super) fn arrive(worker: &Worker, active: &Active, mut request: Request<RecvStream>) -> Asked {
    join_cookies(request.headers_mut());
    let (interim, hints) = Interim::new();
    let is_websocket = is_websocket(&request);
    let (head, receive) = request.into_parts();
    let mut request = Box::new(headers::Request::from(head));
    if is_websocket {
        let (to, wire) = oneshot::channel();
        let offer = Some(as_upgrade(&mut request, wire, worker, active.clone()));
        let arrived = Arrived { request, body: Received::Nothing, offer, interim: None };
        return Asked { arrived, opening: Some(Opening { receive, to }), hints };
    }
    let length = if request.seen.content_length { headers::length(&request.fields) } else { None };
    let body = Received::http2(receive, length, request.seen.expect.then(|| interim.clone()));
    let arrived = Arrived { request, body, offer: None, interim: Some(interim) };
    Asked { arrived, opening: None, hints }
}

/// Whether a stream asks to become a WebSocket (RFC 8441 §5). Other protocols over CONNECT are refused as CONNECT is.
fn is_websocket(request: &Request<RecvStream>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    request.method() == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// Cookies may come in several fields, to be compressed better; to others than HTTP/2 they are one (RFC 9113 §8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    if fields.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = fields.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Made of values that were good, and two characters that are.
    if let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(crumbs.join(&b"; "[..]))) {
        fields.insert(header::COOKIE, joined);
    }
}
