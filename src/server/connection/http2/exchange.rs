//! One stream: from a request to the last octet of its response, or to its reset by either side.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use http::{Method, StatusCode, header};
use http_body::Body as _;
use tokio::sync::oneshot;

use crate::headers::{Fields, Response};
use crate::proxy::{Active, Answer, Arrived, Body, Client, Worker, as_upgrade, handle, refuse};
use crate::transport::http2::{Arrival, Asked, Incoming, Over, Refusal, Respond};
use crate::transport::{Hints, Interim, Received, Stream, Wire};

/// Answers a request in a task of its own.
pub(super) fn begin(worker: &Rc<Worker>, client: &Rc<Client>, Arrival { request, respond }: Arrival) {
    let active = client.begin();
    // Boxed, since the runtime moves a task as a whole when it ends.
    match request {
        Ok(asked) => {
            let (arrived, rest) = arrive(worker, &active, asked);
            tokio::task::spawn_local(Box::pin(carry(worker.clone(), active, (arrived, rest, respond))));
        }
        Err(Refusal { error, request }) => {
            let response = refuse(worker, &error, Some(&request));
            let (peer, status) = (client.line.peer, response.status.as_u16());
            tracing::info!(%peer, status, %error, "refused an HTTP/2 request");
            let is_head = request.method == Method::HEAD;
            tokio::task::spawn_local(Box::pin(async move {
                deliver(response, is_head, respond).await;
                drop(active);
            }));
        }
    }
}

/// What a stream needs to know of its request.
struct Rest {
    is_head: bool,
    opening: Option<Opening>,
    /// What the backend says before its response.
    hints: Hints,
}

/// A stream that becomes a tunnel if the backend agrees: what comes on it, and where the whole goes then.
struct Opening {
    body: Option<Incoming>,
    to: oneshot::Sender<Wire>,
}

/// Brings a request into the form in which any other arrives. `active` keeps its connection open as long as it is answered.
fn arrive(worker: &Worker, active: &Active, asked: Asked) -> (Arrived, Rest) {
    let Asked { mut request, body, is_websocket } = asked;
    let is_head = request.method == Method::HEAD;
    let (interim, hints) = Interim::new();
    if is_websocket {
        let (to, wire) = oneshot::channel();
        let offer = Some(as_upgrade(&mut request, wire, worker, active.clone()));
        let arrived = Arrived { request, body: Received::Nothing, offer, interim: None };
        return (arrived, Rest { is_head, opening: Some(Opening { body, to }), hints });
    }
    let body = body.map_or(Received::Nothing, |body| {
        Received::Http2(body.expected(request.seen.expect.then(|| interim.clone())))
    });
    let arrived = Arrived { request, body, offer: None, interim: Some(interim) };
    (arrived, Rest { is_head, opening: None, hints })
}

/// Answers one request. Whatever ends it early, the client's reset or the end of its connection, ends the exchange with
/// the backend too.
async fn carry(
    worker: Rc<Worker>,
    active: Active,
    (arrived, Rest { is_head, opening, hints }, mut respond): (Arrived, Rest, Respond),
) {
    let mut answer = handle(&worker, active.client(), arrived);
    let answered = poll_fn(|cx| poll_answer(cx, &mut answer, &hints, &mut respond));
    let Some(response) = answered.await else { return };
    drop(hints);
    match opening {
        Some(Opening { body, to }) if response.body.is_tunnel() => {
            let (status, fields, _) = without_hop(response, is_head);
            respond.send_head(status, &fields, false);
            // Fails where the tunnel was given up meanwhile; then the stream is reset.
            drop(to.send(Wire::Stream(Box::new(Stream::new(respond, body)))));
        }
        _ => deliver(response, is_head, respond).await,
    }
}

/// Sends a response.
async fn deliver(response: Response<Body>, is_head: bool, mut respond: Respond) {
    let (status, fields, body) = without_hop(response, is_head);
    let ends = is_head || is_bodiless(status) || body.is_absent() || body.is_end_stream();
    respond.send_head(status, &fields, ends);
    drop(fields);
    if !ends {
        send_body(body, respond).await;
    }
}

/// The response, with interim ones passed on before it; `None` if the client has given up.
fn poll_answer(
    cx: &mut Context<'_>,
    answer: &mut Answer,
    hints: &Hints,
    respond: &mut Respond,
) -> Poll<Option<Response<Body>>> {
    if respond.poll_over(cx).is_ready() {
        return Poll::Ready(None);
    }
    let answered = Pin::new(answer).poll(cx);
    // Asked after the answer: the last hints may have come together with it.
    for hint in hints.take(cx) {
        respond.send_interim(&hint);
    }
    Poll::Ready(Some(ready!(answered)))
}

/// Takes off what only HTTP/1 has, and says the length where there is one and it is known (RFC 9113 §8.2.2). What comes
/// through a tunnel has none (RFC 9110 §9.3.6), nor has a 204 (§8.6).
fn without_hop(response: Response<Body>, is_head: bool) -> (StatusCode, Fields, Body) {
    let Response { status, mut fields, body, .. } = response;
    if body.is_tunnel() || status == StatusCode::NO_CONTENT {
        fields.remove(&header::CONTENT_LENGTH);
    } else if let Some(length) = body.size_hint().exact()
        && !(is_head || body.is_absent() || is_bodiless(status))
        && !fields.contains(&header::CONTENT_LENGTH)
    {
        fields.append(header::CONTENT_LENGTH, length.into());
    }
    (status, fields, body)
}

/// Whether a status has no body (RFC 9110 §6.4.1).
fn is_bodiless(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Sends a body as fast as the client takes it. It is reset where the backend breaks off, and where nothing moves for
/// too long on either side.
async fn send_body(mut body: Body, mut respond: Respond) {
    loop {
        match poll_fn(|cx| poll_frame(cx, &mut body, &mut respond)).await {
            Ok(Some(frame)) => match frame.into_data() {
                Ok(data) if body.is_end_stream() => return respond.send_data(data, true),
                Ok(data) if data.is_empty() => {}
                Ok(data) => respond.send_data(data, false),
                Err(frame) => return respond.send_trailers(frame.into_trailers().unwrap_or_default()),
            },
            Ok(None) => return respond.send_end(),
            Err(Over) => return,
        }
    }
}

/// The next of a body, once all before it is on its way.
fn poll_frame(
    cx: &mut Context<'_>,
    body: &mut Body,
    respond: &mut Respond,
) -> Poll<Result<Option<http_body::Frame<Bytes>>, Over>> {
    let polled = match respond.poll_ready(cx)? {
        Poll::Ready(()) => Pin::new(&mut *body).poll_frame(cx),
        Poll::Pending => Poll::Pending,
    };
    match polled {
        // The exchange may be called to end while the client takes nothing, or the backend sends nothing.
        Poll::Pending if body.is_called(cx) => {
            respond.reset(Reason::CANCEL);
            Poll::Ready(Err(Over))
        }
        Poll::Pending => respond.poll_over(cx).map(|_| Err(Over)),
        Poll::Ready(None) => Poll::Ready(Ok(None)),
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(Some(frame))),
        Poll::Ready(Some(Err(_))) => {
            respond.reset(Reason::INTERNAL_ERROR);
            Poll::Ready(Err(Over))
        }
    }
}
