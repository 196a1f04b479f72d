//! An HTTP/2 connection with a client: its requests, each answered by a task of its own, and how it ends.

mod exchange;

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Sleep, sleep, timeout};

use super::{Held, head_limits};
use crate::config::Limits;
use crate::proxy::Client;
use crate::server::worker::Station;
use crate::transport::Wire;
use crate::transport::http2::{Agreed, Arrival, Connection, Failure};
use crate::transport::pulse::Activity;
use crate::watch::{Call, Ticket};

/// For a client to take notice that the connection ends, and to close it.
const GOODBYE: Duration = Duration::from_secs(2);

/// Serves a connection until it ends, idles too long, or is told to.
pub(super) async fn serve(
    station: &Station,
    ticket: &Ticket<Held>,
    client: Rc<Client>,
    (wire, ahead): (Wire, Bytes),
) {
    let peer = client.line.peer;
    client.pulse.set(Activity::Head);
    let agreed = agree(&station.worker.current().snapshot.limits);
    let connection = Connection::new(wire, &ahead, agreed);
    drop(ahead);
    let mut conversation = Conversation { station, ticket, client, connection, goodbye: None, put_off: None };
    match conversation.carry().await {
        Ok(()) => {}
        Err(error @ Failure::Refused(..)) => tracing::info!(%peer, %error, "ended an HTTP/2 connection"),
        Err(error @ Failure::Broken(_)) => return tracing::debug!(%peer, %error, "connection ended"),
    }
    conversation.close().await;
}

fn agree(limits: &Limits) -> Agreed {
    Agreed { limits: head_limits(limits), streams: limits.streams }
}

/// A connection that is open.
struct Conversation<'a> {
    station: &'a Station,
    ticket: &'a Ticket<Held>,
    client: Rc<Client>,
    connection: Connection,
    /// Once it was said that it ends: when that is enforced.
    goodbye: Option<Pin<Box<Sleep>>>,
    /// Octets that had been sent when that was put off.
    put_off: Option<u64>,
}

/// What happens on a connection.
enum Event {
    Asked(Arrival),
    /// It is to end.
    Called,
    /// It was to end, and has not in time.
    Late,
    Ended,
}

impl Conversation<'_> {
    /// Answers requests, each in a task of its own.
    async fn carry(&mut self) -> Result<(), Failure> {
        if self.ticket.with(|slot| slot.data.ending.get()) {
            self.say_goodbye();
        }
        loop {
            match poll_fn(|cx| self.poll_event(cx)).await? {
                Event::Asked(arrival) => exchange::begin(&self.station.worker, &self.client, arrival),
                Event::Called => self.say_goodbye(),
                Event::Late if self.is_under_way() => self.goodbye = Some(Box::pin(sleep(GOODBYE))),
                Event::Late | Event::Ended => return Ok(()),
            }
        }
    }

    /// Whether something is still being answered, or sent and not only waiting for a client that takes nothing.
    fn is_under_way(&mut self) -> bool {
        let sent = self.connection.under_way();
        let moves = sent.is_some() && sent != std::mem::replace(&mut self.put_off, sent);
        moves || self.client.is_busy()
    }

    /// Streams that begin before the client has heard of it are still answered.
    fn say_goodbye(&mut self) {
        self.connection.say_goodbye();
        self.goodbye = Some(Box::pin(sleep(GOODBYE)));
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        match self.ticket.hear(cx) {
            // It has said nothing that is worth an answer.
            Some(call) if call != Call::Stopping && !self.connection.has_begun() => {
                return Poll::Ready(Ok(Event::Ended));
            }
            Some(_) => return Poll::Ready(Ok(Event::Called)),
            None => {}
        }
        if let Poll::Ready(request) = self.connection.poll_request(cx)? {
            return Poll::Ready(Ok(request.map_or(Event::Ended, Event::Asked)));
        }
        match &mut self.goodbye {
            Some(goodbye) => goodbye.as_mut().poll(cx).map(|()| Ok(Event::Late)),
            None => Poll::Pending,
        }
    }

    /// Ends the connection, for which the client has a moment.
    async fn close(&mut self) {
        let is_dropped = |cx: &mut Context<'_>| {
            std::iter::from_fn(|| self.ticket.hear(cx)).any(|call| call != Call::Stopping)
        };
        let closed =
            poll_fn(|cx| if is_dropped(cx) { Poll::Ready(()) } else { self.connection.poll_close(cx) });
        // Whoever does not close by then is left.
        let _ = timeout(GOODBYE, closed).await;
    }
}
