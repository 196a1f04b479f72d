//! A tunnel between a client and a backend: bytes both ways, until a side ends, nothing moves for too long, or the
//! proxy must close it. An idle tunnel holds two sockets and no buffer.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::time::timeout;

use super::Worker;
use super::frames::{Frames, close_to_backend, close_to_client};
use super::running::Running;
use super::upgrade::{ClientEnd, Offer};
use crate::pool::Closing;
use crate::transport::exchange::Phase;
use crate::transport::{Wire, scratch};
use crate::watch::{Call, SWEEP};

/// For the client's connection to be handed over after a 101.
const OPENING: Duration = Duration::from_secs(10);
/// After one side has ended, for the other.
const LINGER: Duration = Duration::from_secs(10);
/// For a frame under way to end before a Close is sent.
const FRAME: Duration = Duration::from_millis(500);
/// For the client to answer a Close, and to end.
const ECHO: Duration = Duration::from_secs(1);

/// Two connections that are one.
#[derive(Debug)]
struct Tunnel {
    client: Wire,
    backend: Wire,
    up: Flow,
    down: Flow,
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    /// What was read and could not be written at once; empty and without memory most of the time.
    pending: Vec<u8>,
    written: usize,
    frames: Frames,
    /// What was read beyond the frame at which the direction stopped, and is not passed on.
    beyond: Frames,
    passed: u64,
    /// Something was written that may lie in a buffer of the wire's.
    unflushed: bool,
    end: Ending,
    /// Read only up to the end of the frame under way.
    stopping: bool,
}

/// Whether the side that sends has ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It sends.
    #[default]
    No,
    /// It has, and the other side has not been told.
    Heard,
    /// It has, and that was passed on.
    PassedOn,
}

/// How a tunnel ended.
#[derive(Debug)]
enum End {
    Closed,
    Idle,
    Broken(io::Error),
    Called(Call),
}

/// Waits for the client's connection, then carries bytes. The exchange ends with the tunnel.
pub(super) async fn run(
    client: ClientEnd,
    backend: Option<Side>,
    mut running: Box<Running>,
    worker: &Worker,
) {
    running.membership.wait_for(Phase::Tunnel, worker.clock.now().after(OPENING));
    // The connection counts as the client's as long as the tunnel is open.
    let ClientEnd { offer: mut client, client: _connection } = client;
    let Some(backend) = backend else { return unopened(&mut running, "the backend has gone".into()) };
    let mut tunnel = match running.membership.unless_called(pin!(client_side(&mut client))).await {
        Ok(Ok(client)) => Tunnel::open(client, backend),
        Ok(Err(why)) => return unopened(&mut running, format!("the tunnel did not open: {why}")),
        Err(_) => return unopened(&mut running, "the tunnel did not open in time".into()),
    };
    running.counters().tunnels.up();
    let end = tunnel.carry(&running, worker).await;
    let (closing, said) = match end {
        End::Closed => (Closing::Ended, None),
        End::Idle => (Closing::Idle, Some("the tunnel idled too long".to_owned())),
        End::Broken(error) => (Closing::Broken, Some(format!("the tunnel broke: {error}"))),
        // Boxed: its timers would count in the size of every idle tunnel.
        End::Called(call) => {
            let closed = Box::pin(close(&mut tunnel, call, &mut running, worker)).await;
            let counters = running.counters();
            if closed.gracefully { &counters.closed } else { &counters.dropped }.up();
            (closed.counts_as(call), Some(closed.said.to_owned()))
        }
    };
    running.tally().closed(closing);
    running.counters().tunnels.down();
    if let Some(record) = &mut running.record {
        (record.received, record.sent, record.error) = (tunnel.up.passed, tunnel.down.passed, said);
    }
}

/// Notes that a tunnel that was granted did not come to be.
fn unopened(running: &mut Running, why: String) {
    running.tally().closed(Closing::Unopened);
    running.note(|| why);
}

/// A wire, and what was read ahead of it.
pub(super) type Side = (Wire, Bytes);

/// Takes the client's wire out of the hands of whoever carried its request.
async fn client_side(offer: &mut Offer) -> Result<Side, String> {
    let gone = |_| "the client has gone".to_owned();
    match offer {
        Offer::Connection(side) => side.await.map_err(gone),
        Offer::Stream(tunnelling) => {
            (&mut tunnelling.wire).await.map(|wire| (wire, Bytes::new())).map_err(gone)
        }
    }
}

impl Tunnel {
    fn open((client, from_client): Side, (backend, from_backend): Side) -> Self {
        let (up, down) = (Flow::starting_with(&from_client), Flow::starting_with(&from_backend));
        Self { client, backend, up, down }
    }

    /// Carries bytes until something ends it.
    async fn carry(&mut self, running: &Running, worker: &Worker) -> End {
        let idle = running.pool().timeouts.tunnel_idle;
        let membership = &running.membership;
        membership.wait_for(Phase::Tunnel, worker.clock.now().after(idle));
        poll_fn(|cx| {
            let before = (self.up.passed, self.down.passed, self.has_ended());
            let moved = self.poll_move(cx);
            if before != (self.up.passed, self.down.passed, self.has_ended()) {
                let patience = if self.has_ended() { LINGER } else { idle };
                // Never less than that, and the clock is not read for each message.
                membership.wait_for(Phase::Tunnel, worker.recent().after(SWEEP + patience));
            }
            match moved {
                Poll::Ready(Ok(())) => return Poll::Ready(End::Closed),
                Poll::Ready(Err(error)) => return Poll::Ready(End::Broken(error)),
                Poll::Pending => {}
            }
            match membership.hear(cx) {
                None => Poll::Pending,
                Some(Call::Overdue) if self.has_ended() => Poll::Ready(End::Closed),
                Some(Call::Overdue) => Poll::Ready(End::Idle),
                Some(call) => Poll::Ready(End::Called(call)),
            }
        })
        .await
    }

    fn has_ended(&self) -> bool {
        self.up.has_ended() || self.down.has_ended()
    }

    /// Moves what can be moved now; ready when both directions have ended.
    fn poll_move(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { client, backend, up, down } = self;
        let (down, up) = scratch::with(|scratch| {
            (down.poll_move((backend, client), cx, scratch), up.poll_move((client, backend), cx, scratch))
        });
        let (down, up) = (down?, up?);
        if down.is_ready() && up.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Flow {
    fn starting_with(bytes: &[u8]) -> Self {
        let mut frames = Frames::default();
        frames.pass(bytes);
        Self { pending: bytes.to_vec(), passed: bytes.len() as u64, frames, ..Self::default() }
    }

    fn has_ended(&self) -> bool {
        self.end != Ending::No
    }

    /// Moves bytes until one of the wires would block; ready when the end was passed on.
    fn poll_move(
        &mut self,
        (from, to): (&mut Wire, &mut Wire),
        cx: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_flush(to, cx))?;
            if self.end == Ending::Heard {
                // Fails where the other side is gone already.
                let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                self.end = Ending::PassedOn;
            }
            if self.has_ended() || self.stopping && self.frames.at_boundary() {
                return Poll::Ready(Ok(()));
            }
            match ready!(from.poll_octets(cx, scratch))? {
                0 => self.end = Ending::Heard,
                count => self.pass(&scratch[..count], to, cx)?,
            }
        }
    }

    /// Writes `bytes`, and keeps what is not taken at once. What lies beyond the frame under way is dropped when
    /// stopping: whoever sent it is told that the connection closes.
    fn pass(&mut self, bytes: &[u8], to: &mut Wire, cx: &mut Context<'_>) -> io::Result<()> {
        let bytes = if self.stopping {
            let (under_way, beyond) = bytes.split_at(self.frames.pass_to_boundary(bytes));
            self.beyond.pass(beyond);
            under_way
        } else {
            self.frames.pass(bytes);
            bytes
        };
        self.passed += bytes.len() as u64;
        if bytes.is_empty() {
            return Ok(());
        }
        let taken = match Pin::new(to).poll_write(cx, bytes) {
            Poll::Ready(taken) => taken?,
            Poll::Pending => 0,
        };
        self.unflushed = true;
        self.pending.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    fn poll_flush(&mut self, to: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.pending[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        if self.written > 0 {
            (self.pending, self.written) = (Vec::new(), 0);
        }
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// How a tunnel was closed by the proxy.
struct Closed {
    /// With a closing handshake that the client took part in.
    gracefully: bool,
    /// For the access log.
    said: &'static str,
}

impl Closed {
    const fn by_force(said: &'static str) -> Self {
        Self { gracefully: false, said }
    }

    /// What it was that `call` has ended.
    fn counts_as(&self, call: Call) -> Closing {
        match call {
            Call::Moved if self.gracefully => Closing::Moved,
            Call::Stopping if self.gracefully => Closing::Stopping,
            _ => Closing::Dropped,
        }
    }
}

/// Closes both sides between two frames; the backend's socket first, and with it the hold on the session key.
async fn close(tunnel: &mut Tunnel, call: Call, running: &mut Running, worker: &Worker) -> Closed {
    let (code, reason, said) = match call {
        Call::Moved => (1012, "the session moves to another backend", "closed with 1012"),
        Call::Stopping => (1001, "the proxy stops", "closed with 1001"),
        Call::Overdue | Call::Drop => return Closed::by_force("dropped"),
    };
    tunnel.up.stopping = true;
    tunnel.down.stopping = true;
    let quiet = poll_fn(|cx| tunnel.poll_move(cx));
    let quiet = timeout(FRAME, quiet).await;
    if tunnel.up.frames.at_boundary() && !tunnel.up.frames.is_closed() && tunnel.up.pending.is_empty() {
        let mask = (worker.draw.next() as u32).to_be_bytes();
        // It is being left; what it hears of that is a courtesy.
        tunnel.backend.write_at_once(&close_to_backend(code, reason, mask));
    }
    tunnel.backend.end_at_once();
    running.release();
    if !matches!(quiet, Ok(Ok(()))) || tunnel.down.has_ended() {
        return Closed::by_force("dropped within a frame");
    }
    if !tunnel.down.frames.is_closed() && !tunnel.client.write_at_once(&close_to_client(code, reason)) {
        return Closed::by_force("dropped with data unsent");
    }
    let Tunnel { client, backend, up, .. } = tunnel;
    let part = async {
        let answered = timeout(ECHO, handshake(client, up)).await.unwrap_or(false);
        client.end_at_once();
        answered
    };
    let (answered, _) = tokio::join!(part, timeout(ECHO, hear_out(backend)));
    if !answered {
        return Closed::by_force("dropped: the client did not answer the Close");
    }
    Closed { gracefully: true, said }
}

/// Waits for the client's Close, after which the side that serves ends the connection (RFC 6455 §7.1.1). A client that
/// ends it itself has heard enough.
async fn handshake(client: &mut Wire, up: &mut Flow) -> bool {
    let has_closed = |up: &Flow| up.frames.is_closed() || up.beyond.is_closed() && up.beyond.at_boundary();
    while !has_closed(up) {
        let mut hear = |cx: &mut Context<'_>, scratch: &mut [u8]| {
            client.poll_octets(cx, scratch).map_ok(|count| {
                up.beyond.pass(&scratch[..count]);
                count
            })
        };
        match poll_fn(|cx| scratch::with(|scratch| hear(cx, scratch))).await {
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Reads what the backend still says, of which nobody hears, until it ends the connection: a socket that is closed with
/// data unread resets it, and the backend could lose the Close.
async fn hear_out(backend: &mut Wire) {
    while poll_fn(|cx| scratch::with(|scratch| backend.poll_octets(cx, scratch))).await.is_ok_and(|n| n > 0) {
    }
}
