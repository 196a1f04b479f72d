//! From an accepted socket to a connection that speaks HTTP: the PROXY header, the TLS handshake, and which version of
//! HTTP it is. All of it together may take as long as a request head.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Accepted, Held, Station};
use crate::headers::is_trusted;
use crate::listener::Handshake;
use crate::proxy::{Carrier, Limit, Line, Place, Secured};
use crate::transport::http2::PREFACE;
use crate::transport::proxy_header::{self, HeaderError, Named};
use crate::transport::pulse::{Activity, Pulse};
use crate::transport::tls::{self, Acceptor};
use crate::transport::{TOO_SLOW, Wire, scratch};
use crate::watch::{Call, Ticket};

/// A connection that speaks HTTP.
pub(super) struct Opened {
    pub(super) wire: Wire,
    /// What was read of it so far.
    pub(super) ahead: Bytes,
    pub(super) line: Line,
    pub(super) place: Place,
}

/// Why a connection is closed before it has spoken HTTP.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The socket broke, or was closed.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// Only trusted proxies may connect where connections begin with a PROXY header.
    #[error("not a trusted proxy, and only those may send a PROXY header")]
    Untrusted,
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("its address has as many connections as it may have")]
    TooMany,
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[source] io::Error),
    #[error("plain HTTP where TLS is spoken")]
    NotTls,
    #[error("it did not open in time")]
    Overdue,
    #[error("a request head did not come in time")]
    SlowHead,
    /// It said nothing, and left.
    #[error("closed")]
    Left,
}

impl Refused {
    /// How a handshake ended that was refused so, or not at all.
    fn of_handshake(refused: Option<&Self>) -> Handshake {
        match refused {
            None => Handshake::Done,
            Some(Self::NotTls) => Handshake::Plain,
            Some(Self::Overdue) => Handshake::Overdue,
            Some(_) => Handshake::Failed,
        }
    }

    /// The limit that it tells of.
    pub(super) fn limit(&self) -> Option<Limit> {
        matches!(self, Self::Overdue | Self::SlowHead).then_some(Limit::HeaderTimeout)
    }

    /// Those who do something wrong are named in the log; those who just leave are not.
    pub(super) fn log(&self, peer: SocketAddr) {
        match self {
            Self::Io(error) => tracing::debug!(%peer, %error, "connection ended while it opened"),
            Self::Left | Self::Overdue => tracing::debug!(%peer, "connection: {self}"),
            Self::SlowHead => tracing::info!(%peer, status = 408, "{self}"),
            _ => tracing::info!(%peer, "connection refused: {self}"),
        }
    }
}

/// A handshake with a client that does not dawdle: two round trips around the world. Beyond, it does not count among
/// those of which there may be so many: otherwise a few hundred clients that stop within theirs would shut all others out.
const PROMPT: Duration = Duration::from_millis(500);
/// What a TLS connection begins with (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\
    content-length: 37\r\n\r\n400 Bad Request: this port speaks TLS";

pub(super) async fn open(
    station: &Rc<Station>,
    ticket: &Ticket<Held>,
    pulse: &Rc<Pulse>,
    Accepted { mut place, mut stream, peer }: Accepted,
) -> Result<Opened, Refused> {
    let current = station.worker.current();
    let snapshot = &current.snapshot;
    let mut ends = (peer, stream.local_addr()?);
    if place.listener().proxy_protocol {
        if !is_trusted(peer.ip().to_canonical(), &snapshot.trusted_proxies) {
            return Err(Refused::Untrusted);
        }
        if let Named::Client { peer, local } =
            in_time(station, ticket, proxy_header::read(&mut stream)).await??
        {
            ends = (peer, local);
        }
    }
    if !place.count_for(ends.0.ip(), snapshot.limits.connections_per_ip) {
        return Err(Refused::TooMany);
    }
    let line = |tls, carrier| Line { peer: ends.0, local: ends.1, tls, carrier };
    let listener = place.listener();
    if let Some(acceptor) = &listener.tls {
        let shaken = in_time(station, ticket, handshake(station, acceptor, stream)).await.flatten();
        listener.handshakes.count(Refused::of_handshake(shaken.as_ref().err()));
        let (wire, secured, carrier) = shaken?;
        return Ok(Opened { wire, ahead: Bytes::new(), line: line(Some(secured), carrier), place });
    }
    let mut wire = Wire::Plain(stream);
    if !listener.http2 {
        return Ok(Opened { wire, ahead: Bytes::new(), line: line(None, Carrier::Http1), place });
    }
    let told = in_time(station, ticket, tell(pulse, &mut wire)).await;
    let (carrier, ahead) = told.map_err(|overdue| match pulse.read().activity() {
        Activity::Head => {
            wire.write_at_once(TOO_SLOW);
            Refused::SlowHead
        }
        _ => overdue,
    })??;
    Ok(Opened { wire, ahead, line: line(None, carrier), place })
}

/// Completes with `step`, unless the sweep finds that the connection takes too long. One that is to finish has a moment
/// for what may be on its way already.
async fn in_time<F: Future>(station: &Station, ticket: &Ticket<Held>, step: F) -> Result<F::Output, Refused> {
    let mut step = pin!(step);
    poll_fn(|cx| {
        while let Some(call) = ticket.hear(cx) {
            if call != Call::Stopping {
                return Poll::Ready(Err(Refused::Overdue));
            }
            station.finish_soon(ticket);
        }
        step.as_mut().poll(cx).map(Ok)
    })
    .await
}

async fn handshake(
    station: &Station,
    acceptor: &Acceptor,
    stream: TcpStream,
) -> Result<(Wire, Secured, Carrier), Refused> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(Refused::Left);
    }
    if first != [HANDSHAKE] {
        say_not_tls(&stream);
        return Err(Refused::NotTls);
    }
    let stream = accept(station, acceptor, stream).await.map_err(Refused::Handshake)?;
    let (_, session) = stream.get_ref();
    let carrier = if tls::is_http2(session.alpn_protocol()) { Carrier::Http2 } else { Carrier::Http1 };
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let secured = Secured {
        server_name: session.server_name().map(Into::into),
        subject: certificate.and_then(tls::subject),
    };
    Ok((Wire::Accepted(Box::new(stream)), secured, carrier))
}

/// Takes part in a handshake when there is room for one more; who takes long gives the room back, and has the rest of
/// its time without.
async fn accept(
    station: &Station,
    acceptor: &Acceptor,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    // Never closed, and whoever waits too long for it is called.
    if station.handshakes.available_permits() == 0 {
        station.worker.tally().reached(Limit::Handshakes);
    }
    let permit = station.handshakes.acquire().await;
    let mut accepting = pin!(TlsAcceptor::from(acceptor.config()).accept(stream));
    if let Ok(accepted) = timeout(PROMPT, &mut accepting).await {
        return accepted;
    }
    drop(permit);
    accepting.await
}

/// Who speaks plain HTTP to a port for TLS is told so, in words that they understand.
fn say_not_tls(stream: &TcpStream) {
    // What was not read would make the close a reset, and the answer could be lost.
    let _ = scratch::with(|scratch| stream.try_read(scratch));
    let _ = stream.try_write(NOT_TLS);
}

/// Which version of HTTP a connection without TLS speaks: HTTP/2 begins with its preface (RFC 9113 §3.3), which no
/// other request begins with. The first octets decide, however they are cut.
async fn tell(pulse: &Pulse, wire: &mut Wire) -> Result<(Carrier, Bytes), Refused> {
    let mut ahead: Vec<u8> = Vec::new();
    loop {
        let mut read = |cx: &mut Context<'_>, scratch: &mut [u8]| {
            wire.poll_octets(cx, scratch).map_ok(|count| {
                ahead.extend_from_slice(&scratch[..count]);
                count
            })
        };
        if poll_fn(|cx| scratch::with(|scratch| read(cx, scratch))).await? == 0 {
            return Err(Refused::Left);
        }
        let common = ahead.len().min(PREFACE.len());
        if ahead[..common] != PREFACE[..common] {
            pulse.set(Activity::Head);
            return Ok((Carrier::Http1, ahead.into()));
        }
        if common == PREFACE.len() {
            return Ok((Carrier::Http2, ahead.into()));
        }
        if pulse.read().activity() == Activity::Idle {
            pulse.set(Activity::Head);
        }
    }
}
