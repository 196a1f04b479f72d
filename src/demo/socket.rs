//! `WebSocket`s of the demo's servers: the upgrade, and one conversation between a socket and a room.
//! It does not know what is said.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::http::{Answer, problem};

/// Lines that may wait for one client. A client that falls further behind is disconnected.
pub(crate) const QUEUE: usize = 64;

/// The longest message taken from a client.
const MAX_MESSAGE: usize = 16 * 1_024;

/// How long one message may take to leave.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// A text message, shared by all who get it.
pub(crate) type Line = Utf8Bytes;

/// Answers the handshake; `talk` then runs with the open socket.
pub(crate) fn upgrade<F>(
    mut request: Request<Incoming>,
    talk: impl FnOnce(Socket) -> F + Send + 'static,
) -> Answer
where
    F: Future<Output = ()> + Send + 'static,
{
    if let Some(refusal) = refusal(&request) {
        return refusal;
    }
    let Some(accept) = request.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()))
    else {
        return problem(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing");
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Some(socket) = open(upgraded).await {
            talk(socket).await;
        }
    });
    switching(&accept)
}

/// Carries lines both ways until either side ends: `outbox` to the client, what the client says to `hear`.
/// When the sender of `outbox` is dropped, the client was too slow and is told so.
pub(crate) async fn converse(
    mut socket: Socket,
    mut outbox: mpsc::Receiver<Line>,
    mut hear: impl FnMut(&str),
) {
    loop {
        tokio::select! {
            line = outbox.recv() => {
                let message = match line {
                    Some(line) => Message::Text(line),
                    None => Message::Close(Some(CloseFrame { code: CloseCode::Again, reason: "too slow".into() })),
                };
                let closing = message.is_close();
                let sent = tokio::time::timeout(SEND_TIMEOUT, socket.send(message)).await;
                if closing || !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => hear(&text),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    }
}

/// `value` as one line.
pub(crate) fn line(value: &impl serde::Serialize) -> Line {
    serde_json::to_string(value).unwrap_or_default().into()
}

/// What is said to a request that is no proper handshake.
fn refusal(request: &Request<Incoming>) -> Option<Answer> {
    let headers = request.headers();
    if request.method() != Method::GET || !has_token(headers, "websocket") {
        return Some(problem(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket: connect with ws://"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut refusal = problem(StatusCode::UPGRADE_REQUIRED, "only WebSocket version 13 is spoken here");
        refusal.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Some(refusal);
    }
    None
}

fn has_token(headers: &HeaderMap, protocol: &str) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(protocol.as_bytes()))
}

fn switching(accept: &str) -> Answer {
    let mut answer = Response::new(Full::<Bytes>::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    answer
}

async fn open(upgraded: hyper::upgrade::OnUpgrade) -> Option<Socket> {
    let parts = upgraded.await.ok()?.downcast::<TokioIo<TcpStream>>().ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1_024)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let early = parts.read_buf.to_vec();
    Some(WebSocketStream::from_partially_read(parts.io.into_inner(), early, Role::Server, Some(config)).await)
}
