//! One stream: from a request to the last octet of its response, or to its reset by either side.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, Method, StatusCode, header};
use http_body::Body as _;

use super::patience::Patience;
use super::request::{Asked, Opening};
use crate::headers::Response;
use crate::proxy::{Active, Answer, Body, Worker, handle};
use crate::transport::{Hints, Stream, Wire};

/// Answers one request. Whatever ends it early, the client's reset or the end of its connection, ends the exchange with
/// the backend too.
pub(super) async fn carry(
    worker: Rc<Worker>,
    (active, patience): (Active, Rc<Patience>),
    (Asked { arrived, opening, hints }, mut respond): (Asked, SendResponse<Bytes>),
) {
    let is_head = arrived.request.method == Method::HEAD;
    let mut answer = handle(&worker, active.client(), arrived);
    let answered = poll_fn(|cx| poll_answer(cx, &mut answer, &hints, &mut respond));
    let Some(response) = answered.await else { return patience.count_given_up() };
    drop(hints);
    let (head, body) = without_hop(response, is_head);
    let is_tunnel = body.is_tunnel();
    let ends = is_head || is_bodiless(head.status()) || body.is_absent() || body.is_end_stream();
    let Ok(send) = respond.send_response(head, ends && !is_tunnel) else { return };
    match opening.filter(|_| is_tunnel) {
        // Fails where the tunnel was given up meanwhile; then the stream is reset.
        Some(Opening { receive, to }) => {
            drop(to.send(Wire::Stream(Box::new(Stream::new(send, receive)))));
        }
        None if ends => {}
        None => send_body(body, send).await,
    }
}

/// The response, with interim ones passed on before it; `None` if the client has given up.
fn poll_answer(
    cx: &mut Context<'_>,
    answer: &mut Answer,
    hints: &Hints,
    respond: &mut SendResponse<Bytes>,
) -> Poll<Option<Response<Body>>> {
    if respond.poll_reset(cx).is_ready() {
        return Poll::Ready(None);
    }
    let answered = Pin::new(answer).poll(cx);
    // Asked after the answer: the last hints may have come together with it.
    for hint in hints.take(cx) {
        // Fails where the stream is over, which is heard of at the next call.
        let _ = respond.send_informational(hint);
    }
    Poll::Ready(Some(ready!(answered)))
}

/// Takes off what only HTTP/1 has, and says the length where there is one and it is known (RFC 9113 §8.2.2). What comes
/// through a tunnel has none (RFC 9110 §9.3.6), nor has a 204 (§8.6).
fn without_hop(response: Response<Body>, is_head: bool) -> (http::Response<()>, Body) {
    let Response { status, mut fields, body, .. } = response;
    if body.is_tunnel() || status == StatusCode::NO_CONTENT {
        fields.remove(&header::CONTENT_LENGTH);
    } else if let Some(length) = body.size_hint().exact()
        && !(is_head || body.is_absent() || is_bodiless(status))
        && !fields.contains(&header::CONTENT_LENGTH)
    {
        fields.append(header::CONTENT_LENGTH, length.into());
    }
    let mut head = http::Response::new(());
    *head.status_mut() = status;
    *head.headers_mut() = HeaderMap::from(&fields);
    head.headers_mut().remove(header::CONNECTION);
    (head, body)
}

/// Whether a status has no body (RFC 9110 §6.4.1).
fn is_bodiless(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Sends a body as fast as the client takes it. It is reset where the backend breaks off, and where nothing moves for
/// too long on either side.
async fn send_body(mut body: Body, mut stream: SendStream<Bytes>) {
    loop {
        let Ok(frame) = poll_fn(|cx| poll_frame(cx, &mut body, &mut stream)).await else { return };
        let Some(frame) = frame else {
            // Fails where the stream is over.
            let _ = stream.send_data(Bytes::new(), true);
            return;
        };
        let sent = match frame.into_data() {
            Ok(data) => send_data(&mut body, &mut stream, data).await,
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => return drop(stream.send_trailers(trailers)),
                Err(_) => Ok(()),
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The stream is over.
struct Over;

type Frame = http_body::Frame<Bytes>;

fn poll_frame(
    cx: &mut Context<'_>,
    body: &mut Body,
    send: &mut SendStream<Bytes>,
) -> Poll<Result<Option<Frame>, Over>> {
    match Pin::new(&mut *body).poll_frame(cx) {
        // What is there is sent, which fails on a stream that is over.
        Poll::Pending if is_over(cx, body, send) => Poll::Ready(Err(Over)),
        Poll::Pending => Poll::Pending,
        Poll::Ready(None) => Poll::Ready(Ok(None)),
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(Some(frame))),
        Poll::Ready(Some(Err(_))) => {
            send.send_reset(Reason::INTERNAL_ERROR);
            Poll::Ready(Err(Over))
        }
    }
}

async fn send_data(body: &mut Body, send: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), Over> {
    let ends = body.is_end_stream();
    if data.is_empty() {
        return if ends { send.send_data(data, true).map_err(|_| Over) } else { Ok(()) };
    }
    while !data.is_empty() {
        send.reserve_capacity(data.len());
        let room = match send.capacity() {
            0 => poll_fn(|cx| poll_room(cx, body, send)).await?,
            room => room,
        };
        let room = room.min(data.len());
        let part = data.split_to(room);
        let is_last = ends && data.is_empty();
        send.send_data(part, is_last).map_err(|_| Over)?;
    }
    if ends { Err(Over) } else { Ok(()) }
}

/// Waits until the client takes more.
fn poll_room(cx: &mut Context<'_>, body: &Body, send: &mut SendStream<Bytes>) -> Poll<Result<usize, Over>> {
    if is_over(cx, body, send) {
        return Poll::Ready(Err(Over));
    }
    send.poll_capacity(cx).map(|room| room.and_then(Result::ok).ok_or(Over))
}

/// Whether the client has reset the stream, or the exchange was called to end, in which case it is reset here.
fn is_over(cx: &mut Context<'_>, body: &Body, send: &mut SendStream<Bytes>) -> bool {
    if send.poll_reset(cx).is_ready() {
        return true;
    }
    let is_called = body.is_called(cx);
    if is_called {
        send.send_reset(Reason::CANCEL);
    }
    is_called
}
