//! An HTTP/2 request in the form in which any other arrives.

use bytes::Bytes;
use h2::RecvStream;
use h2::ext::Protocol;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use tokio::sync::oneshot;

use crate::headers;
use crate::proxy::{Active, Arrived, Worker, as_upgrade};
use crate::transport::{Interim, Received, Wire};

/// A stream that becomes a tunnel if the backend agrees: its receiving half, and where the whole goes then.
pub(super) struct Opening {
    pub(super) receive: RecvStream,
    pub(super) to: oneshot::Sender<Wire>,
}

/// Takes a request as `h2` hands it over. `active` keeps its connection open as long as it is answered.
pub(super) fn arrive(
    worker: &Worker,
    active: &Active,
    mut request: Request<RecvStream>,
    interim: Interim,
) -> (Arrived, Option<Opening>) {
    join_cookies(request.headers_mut());
    if is_websocket(&request) {
        let (to, wire) = oneshot::channel();
        let (mut head, receive) = headers::Request::from(request).split();
        let offer = as_upgrade(&mut head, wire, worker, active.clone());
        let request = head.map(|()| Received::Nothing);
        let arrived = Arrived { request, offer: Some(offer), interim: None };
        return (arrived, Some(Opening { receive, to }));
    }
    let (parts, receive) = request.into_parts();
    let expects = parts.headers.contains_key(header::EXPECT).then(|| interim.clone());
    let body = Received::http2(receive, length(&parts.headers), expects);
    let request = Request::from_parts(parts, body).into();
    (Arrived { request, offer: None, interim: Some(interim) }, None)
}

/// Whether a stream asks to become a WebSocket (RFC 8441 §5). Other protocols over CONNECT are refused as CONNECT is.
fn is_websocket(request: &Request<RecvStream>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    request.method() == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

fn length(fields: &HeaderMap) -> Option<u64> {
    fields.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Cookies may come in several fields, to be compressed better; to others than HTTP/2 they are one (RFC 9113 §8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = fields.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return;
    }
    // Made of values that were good, and two characters that are.
    if let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(crumbs.join(&b"; "[..]))) {
        fields.insert(header::COOKIE, joined);
    }
}
