//! One HTTP/2 connection to a backend, which many requests of one worker share.
//!
//! It is h2 without hyper's client above it: a proxy has to know what hyper's client does not tell. Whether a stream
//! ended or was reset with `CANCEL`, for a part of an answer must not pass for the whole; whether a request was refused
//! unprocessed, and so may be sent again; how many requests the backend takes now; and when the last octet of a request
//! that was given up can no longer be sent.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason};
use http::uri::Scheme;
use http::{HeaderMap, Uri, Version, header};
use http_body::Body as _;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::dial::MAX_RESPONSE_HEAD;
use super::gate::Listener;
use super::link::Unanswered;
use super::{Arriving, DialError, Outgoing, Wire, upload};
use crate::clock::Now;
use crate::headers::{Request, Response};

/// Requests at one time on one connection, if the backend takes so many.
pub(super) const MAX_STREAMS: usize = 100;
/// Octets of one response that may come before the client has taken those ahead of them.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for all of a connection: so many that clients who read slowly never hold up others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;
/// Octets of one request body that wait for the connection to write them.
const SEND_BUFFER: usize = 64 * 1024;
/// Within which a connection on which requests wait must have said something; twice that is too long.
const DOUBT: Duration = Duration::from_secs(10);
/// For an answer to a PING.
const PONG: Duration = Duration::from_secs(10);

/// A connection that requests share.
#[derive(Debug)]
pub(super) struct Shared {
    sender: SendRequest<Bytes>,
    /// Whether it has carried a request that was answered.
    used: Cell<bool>,
    /// Requests on it now.
    streams: Cell<usize>,
    /// At the first sweep that found it without any.
    idle_since: Cell<Option<Now>>,
    /// How long it may idle.
    keep_alive: Cell<Duration>,
    /// It has refused a request that it had room for, and is left alone.
    refuses: Cell<bool>,
    /// How often [`DOUBT`] has passed while a request waited and no response began.
    silence: Rc<Cell<u8>>,
}

/// A place for one request on a connection. Given up before the end of the response, the stream is reset.
#[derive(Debug)]
pub(super) struct Place {
    shared: Rc<Shared>,
    /// Sends the request body.
    upload: Option<JoinHandle<()>>,
}

/// Speaks HTTP/2, for a worker or for a single question.
pub(super) async fn handshake(
    wire: Wire,
) -> Result<(SendRequest<Bytes>, Connection<Wire, Bytes>), DialError> {
    let made = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_RESPONSE_HEAD as u32)
        .max_send_buffer_size(SEND_BUFFER)
        .enable_push(false)
        // Counted over the whole life of a connection: what still comes for requests that were given up would end it.
        .max_local_error_reset_streams(None)
        // None before the backend has said how many it takes: none is refused then.
        .initial_max_send_streams(0)
        .handshake(wire)
        .await?;
    Ok(made)
}

impl Shared {
    /// Begins a connection, and waits until the backend's first SETTINGS say that it speaks HTTP/2 and takes requests.
    /// Must be called on a worker's runtime: a local task drives it.
    pub(super) async fn begin(wire: Wire, address: SocketAddr) -> Result<Rc<Self>, DialError> {
        let (sender, mut connection) = handshake(wire).await?;
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => Poll::Ready(Err(Reason::NO_ERROR.into())),
            Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        let silence = Rc::new(Cell::new(0));
        tokio::task::spawn_local(drive(connection, silence.clone(), address));
        Ok(Rc::new(Self {
            sender,
            used: Cell::new(false),
            streams: Cell::new(0),
            idle_since: Cell::new(None),
            keep_alive: Cell::new(Duration::ZERO),
            refuses: Cell::new(false),
            silence,
        }))
    }

    /// Requests it takes at one time.
    pub(super) fn most(&self) -> usize {
        self.sender.current_max_send_streams().min(MAX_STREAMS)
    }

    /// Whether it takes no more requests: it has closed, the backend has said that it will (GOAWAY), or refuses them.
    fn is_closing(&self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        self.refuses.get() || !matches!(self.sender.clone().poll_ready(cx), Poll::Ready(Ok(())))
    }

    /// A place on it, if there is one.
    pub(super) fn enter(self: &Rc<Self>) -> Option<Place> {
        if self.streams.get() >= self.most() || self.is_closing() {
            return None;
        }
        self.streams.set(self.streams.get() + 1);
        self.idle_since.set(None);
        Some(Place { shared: self.clone(), upload: None })
    }

    /// Sets how long it may idle.
    pub(super) fn set_keep_alive(&self, keep_alive: Duration) {
        self.keep_alive.set(keep_alive);
    }

    /// Whether it is of no more use: closing, or idle for too long. What it carries goes on all the same.
    pub(super) fn is_over(&self, now: Now) -> bool {
        if self.is_closing() {
            return true;
        }
        if self.streams.get() > 0 {
            return false;
        }
        let since = self.idle_since.get().unwrap_or(now);
        self.idle_since.set(Some(since));
        since.after(self.keep_alive.get()) <= now
    }
}

impl Place {
    /// Sends a request and waits for the head of the response.
    pub(super) async fn send(
        &mut self,
        (request, scheme): (&Request, Scheme),
        listener: Option<&Listener>,
        body: Outgoing,
    ) -> Result<Response<Arriving>, Unanswered> {
        let mut sender = self.shared.sender.clone();
        if let Err(error) = poll_fn(|cx| sender.poll_ready(cx)).await {
            return Err(Unanswered::untouched(body, error));
        }
        let is_empty = body.is_end_stream();
        let (answer, stream) = match sender.send_request(head(request, scheme), is_empty) {
            Ok(sent) => sent,
            Err(error) => return Err(Unanswered::lost(error)),
        };
        drop(sender);
        self.shared.silence.set(self.shared.silence.get().max(1));
        if !is_empty {
            self.upload = Some(tokio::task::spawn_local(upload::run(stream, body)));
        }
        match answered(answer, listener).await {
            Ok(response) => {
                self.shared.silence.set(0);
                self.shared.used.set(true);
                Ok(Response::from(response.map(Arriving::from)))
            }
            Err(error) => {
                let is_unprocessed = is_unprocessed(&error);
                self.shared.refuses.set(self.shared.refuses.get() || is_unprocessed);
                Err(if is_empty && is_unprocessed {
                    Unanswered::untouched(Outgoing::empty(), error)
                } else {
                    Unanswered::lost(error)
                })
            }
        }
    }

    /// Whether a request has been answered on the connection.
    pub(super) fn is_used(&self) -> bool {
        self.shared.used.get()
    }

    /// Sets how long the connection may idle after this request.
    pub(super) fn set_keep_alive(&self, keep_alive: Duration) {
        self.shared.set_keep_alive(keep_alive);
    }

    /// Completes when nothing more of the request is sent: its body was dropped, and the stream is reset if it was not
    /// over. What was written before is on its way, as it is for a connection that closes.
    pub(super) async fn closed(mut self) {
        if let Some(upload) = self.upload.take() {
            upload.abort();
            // Fails when it was aborted, which is what is waited for.
            let _ = upload.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.streams.set(self.shared.streams.get() - 1);
        if let Some(upload) = self.upload.take() {
            upload.abort();
        }
    }
}

/// The response; `listener` hears of interim ones before it.
async fn answered(
    mut answer: ResponseFuture,
    listener: Option<&Listener>,
) -> Result<http::Response<h2::RecvStream>, h2::Error> {
    poll_fn(|cx| {
        while let Poll::Ready(Some(Ok(interim))) = answer.poll_informational(cx) {
            if let Some(listener) = listener {
                listener.hear(interim.status(), interim.into_parts().0.headers.into());
            }
        }
        Pin::new(&mut answer).poll(cx)
    })
    .await
}

/// Whether the backend says that it has done nothing with a request (RFC 9113 §8.7). One with a body does not come back
/// all the same: nobody has kept it.
fn is_unprocessed(error: &h2::Error) -> bool {
    let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    error.is_remote() && (is_refused || error.is_go_away())
}

/// The head of a request as HTTP/2 has it (RFC 9113 §8.3.1): the host is in the target, and there are no fields of one
/// hop but `TE: trailers`. Without a host there is no `:authority` either.
pub(super) fn head(request: &Request, scheme: Scheme) -> http::Request<()> {
    let mut head = http::Request::new(());
    *head.method_mut() = request.method.clone();
    *head.headers_mut() = HeaderMap::from(&request.fields);
    for hop in [header::HOST, header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING] {
        head.headers_mut().remove(hop);
    }
    let host = request.fields.get(&header::HOST).unwrap_or_default();
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    let absolute = Uri::builder().scheme(scheme).authority(host).path_and_query(target).build();
    match absolute {
        Ok(uri) => {
            *head.uri_mut() = uri;
            *head.version_mut() = Version::HTTP_2;
        }
        // h2 leaves `:authority` out for a message of HTTP/1 only.
        Err(_) => *head.uri_mut() = request.uri.clone(),
    }
    head
}

/// Drives a connection until it has ended, or does not answer any more.
async fn drive(mut connection: Connection<Wire, Bytes>, silence: Rc<Cell<u8>>, address: SocketAddr) {
    let pings = connection.ping_pong();
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%address, %error, "connection to a backend ended");
        },
        () = falls_silent(pings, silence, (DOUBT, PONG)) => {
            tracing::debug!(%address, "connection to a backend closed: no answer to a PING");
        }
    }
}

/// Completes when the backend does not answer a PING. It is sent only where requests wait and nothing at all has come for
/// a while: some servers close the connections of those who send more.
async fn falls_silent(pings: Option<PingPong>, silence: Rc<Cell<u8>>, (doubt, pong): (Duration, Duration)) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        sleep(doubt).await;
        match silence.get() {
            0 => {}
            1 => silence.set(2),
            _ => match timeout(pong, pings.ping(Ping::opaque())).await {
                Ok(Ok(_)) => silence.set(0),
                Ok(Err(_)) | Err(_) => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::net::{TcpListener, TcpStream};

    fn sent(request: http::request::Builder) -> http::Request<()> {
        let (request, ()) = request.body(()).expect("a request").into_parts();
        head(&request.into(), Scheme::HTTPS)
    }

    #[test]
    fn the_host_is_in_the_target() {
        let head = sent(
            http::Request::post("/a?b=%20")
                .header("host", "h.example:8443")
                .header("te", "trailers")
                .header("transfer-encoding", "chunked")
                .header("connection", "upgrade")
                .header("x-own", "1"),
        );
        assert_eq!(head.uri(), "https://h.example:8443/a?b=%20");
        assert_eq!((head.method().as_str(), head.version()), ("POST", Version::HTTP_2));
        let mut names: Vec<_> = head.headers().keys().map(header::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["te", "x-own"]);
    }

    #[test]
    fn without_a_host_there_is_none() {
        let head = sent(http::Request::get("/a").header("host", ""));
        assert_eq!((head.uri().to_string().as_str(), head.version()), ("/a", Version::HTTP_11));
    }

    /// A connection, and the backend's end of it.
    async fn connected() -> (Connection<Wire, Bytes>, SendRequest<Bytes>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let wire = Wire::Plain(TcpStream::connect(address).await.expect("a connection"));
        let (sender, connection) = handshake(wire).await.expect("an open socket");
        (connection, sender, listener.accept().await.expect("a connection").0)
    }

    const AT_ONCE: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_backend_that_answers_no_ping_is_left() {
        let (mut connection, _sender, _mute) = connected().await;
        let (pings, silence) = (connection.ping_pong(), Rc::new(Cell::new(1)));
        tokio::select! {
            ended = connection => panic!("{ended:?}"),
            () = falls_silent(pings, silence, (AT_ONCE, AT_ONCE)) => {}
        }
    }

    #[tokio::test]
    async fn a_backend_that_answers_a_ping_is_not_in_doubt_any_more() {
        let (mut connection, _sender, backend) = connected().await;
        let (pings, silence) = (connection.ping_pong(), Rc::new(Cell::new(1)));
        let backend = async {
            let mut backend = h2::server::handshake(backend).await.expect("HTTP/2");
            while backend.accept().await.is_some() {}
        };
        let is_heard = async {
            while silence.get() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = connection => panic!("{ended:?}"),
            () = backend => panic!("the backend has left"),
            () = falls_silent(pings, silence.clone(), (AT_ONCE, PONG)) => panic!("it was heard"),
            () = is_heard => {}
        }
    }

    #[test]
    fn a_request_for_the_server_itself() {
        let head = sent(http::Request::options("*").header("host", "h"));
        let uri = head.uri();
        assert_eq!((uri.authority().map(http::uri::Authority::as_str), uri.path()), (Some("h"), "*"));
    }
}
