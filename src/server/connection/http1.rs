//! An HTTP/1.1 connection with a client: one request after the other, each answered before the next is read.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::oneshot;

use super::{Held, head_limits};
use crate::headers::Response;
use crate::proxy::{Answer, Arrived, Body, Client, Limit, Offer, handle, refuse};
use crate::server::worker::Station;
use crate::transport::http1::client::{Arrival, Connection, Delivery, HeadError, NoRequest, Said};
use crate::transport::pulse::Activity;
use crate::transport::{TOO_SLOW, Wire};
use crate::watch::{Call, Ticket};

/// Serves a connection until it ends, takes too long, or is told to.
pub(super) async fn serve(
    station: &Station,
    ticket: &Ticket<Held>,
    client: Rc<Client>,
    (wire, ahead): (Wire, Bytes),
) {
    let peer = client.line.peer;
    let connection = Connection::new(wire, &ahead, client.pulse.clone());
    drop(ahead);
    let is_to_finish = ticket.with(|slot| slot.data.ending.get());
    let mut talk = Talk { station, ticket, client, connection, is_to_finish };
    let end = match talk.go_on().await {
        Ok(Next::Close) => {
            talk.close().await;
            return;
        }
        Ok(Next::HandOver(to)) => {
            // Fails where the tunnel was given up meanwhile: then the connection ends.
            if let Some(side) = talk.connection.into_wire() {
                let _ = to.send(side);
            }
            return;
        }
        Err(end) => end,
    };
    match end {
        End::Quiet => {}
        End::Overdue if talk.client.pulse.read().activity() == Activity::Head => {
            station.worker.tally().reached(Limit::HeaderTimeout);
            tracing::info!(%peer, status = 408, "a request head did not come in time");
            // Said once, to whoever still listens.
            talk.connection.say(TOO_SLOW);
        }
        End::Overdue => tracing::debug!(%peer, "connection idled too long"),
        End::Stalled => tracing::debug!(%peer, "connection dropped within a response"),
        End::Broken(error) => tracing::debug!(%peer, error, "connection ended"),
    }
}

/// A connection that is being served.
struct Talk<'a> {
    station: &'a Station,
    ticket: &'a Ticket<Held>,
    client: Rc<Client>,
    connection: Connection,
    /// The request under way is the last.
    is_to_finish: bool,
}

/// Where a protocol that was changed to takes the connection from.
type Handover = oneshot::Sender<(Wire, Bytes)>;

/// What becomes of a connection when it carries no more requests.
enum Next {
    Close,
    HandOver(Handover),
}

/// How a connection ended.
enum End {
    /// As any may.
    Quiet,
    Overdue,
    Stalled,
    Broken(String),
}

impl Talk<'_> {
    /// Answers requests until the connection carries no more.
    async fn go_on(&mut self) -> Result<Next, End> {
        loop {
            let Arrival { request, body, said } = match self.request().await? {
                Ok(Some(arrival)) => arrival,
                Ok(None) => return Ok(Next::Close),
                Err(error) => return self.refuse(error).await,
            };
            self.client.pulse.set(Activity::Busy);
            let (to, offer) = request.seen.upgrade.then(oneshot::channel).unzip();
            let arrived = Arrived { request, body, offer: offer.map(Offer::Connection), interim: None };
            let answer = handle(&self.station.worker, &self.client, arrived);
            let response = self.answered(answer).await?;
            let is_tunnel = response.status == StatusCode::SWITCHING_PROTOCOLS;
            let may_follow = self.deliver(response, said).await?;
            match to {
                Some(to) if is_tunnel => return Ok(Next::HandOver(to)),
                _ if !may_follow => return Ok(Next::Close),
                _ => {}
            }
        }
    }

    /// The next request; none once there will be no more.
    async fn request(&mut self) -> Result<Result<Option<Arrival>, HeadError>, End> {
        let came = poll_fn(|cx| {
            self.hear(cx)?;
            let worker = &self.station.worker;
            let limits = head_limits(&worker.current().snapshot.limits);
            let polled = self.connection.poll_request(cx, &limits);
            // What has come was read first.
            if polled.is_pending() && self.is_to_finish && self.is_between_requests() {
                return Poll::Ready(Ok(Ok(None)));
            }
            polled.map(Ok)
        });
        match came.await? {
            Ok(arrival) => Ok(Ok(arrival)),
            Err(NoRequest::Refused(error)) => Ok(Err(error)),
            Err(error @ (NoRequest::Partial | NoRequest::Broken(_))) => Err(End::Broken(error.to_string())),
        }
    }

    /// Whether it waits for a request that is not its first: one that has said nothing has a moment to do so.
    fn is_between_requests(&self) -> bool {
        let beat = self.client.pulse.read();
        beat.activity() == Activity::Idle && beat.has_served()
    }

    /// Waits for the answer. A client that leaves meanwhile gets none, and its exchange ends here.
    async fn answered(&mut self, mut answer: Answer) -> Result<Response<Body>, End> {
        poll_fn(|cx| {
            self.hear(cx)?;
            if let Poll::Ready(response) = Pin::new(&mut answer).poll(cx) {
                return Poll::Ready(Ok(response));
            }
            self.poll_gone(cx).map(Err)
        })
        .await
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.connection.poll_gone(cx).map(|()| End::Quiet)
    }

    /// Sends a response; returns whether another request may follow.
    async fn deliver(&mut self, response: Response<Body>, said: Said) -> Result<bool, End> {
        let said = Said { persists: said.persists && !self.is_to_finish, ..said };
        let mut delivery = Delivery::new(response, said);
        let delivered = poll_fn(|cx| {
            self.hear(cx)?;
            // While the client does not read, the body is not asked, and so does not find that it is overdue.
            if delivery.body().is_some_and(|body| body.is_called(cx)) {
                return Poll::Ready(Err(End::Stalled));
            }
            if let Poll::Ready(delivered) = self.connection.poll_deliver(cx, &mut delivery) {
                return Poll::Ready(Ok(delivered));
            }
            self.poll_gone(cx).map(Err)
        });
        delivered.await?.map_err(|error| End::Broken(error.to_string()))?;
        self.client.pulse.set(Activity::Idle);
        if !delivery.persists() {
            return Ok(false);
        }
        poll_fn(|cx| {
            self.hear(cx)?;
            self.connection.poll_next(cx).map(Ok)
        })
        .await
    }

    /// Says why what came is no request; nothing that follows can be one.
    async fn refuse(&mut self, error: HeadError) -> Result<Next, End> {
        self.client.pulse.set(Activity::Busy);
        let response = refuse(&self.station.worker, &error, None);
        let (peer, status) = (self.client.line.peer, response.status.as_u16());
        tracing::info!(%peer, status, %error, "refused what is not HTTP/1.1, or too large a head");
        self.deliver(response, Said::NOTHING).await?;
        Ok(Next::Close)
    }

    /// Ends the connection as one does whose other end may still be sending.
    async fn close(&mut self) {
        self.ticket.with(|slot| slot.data.ending.set(true));
        let _ = poll_fn(|cx| {
            self.hear(cx)?;
            self.connection.poll_close(cx).map(Ok::<(), End>)
        })
        .await;
    }

    /// Hears what the connection is told.
    fn hear(&mut self, cx: &Context<'_>) -> Result<(), End> {
        while let Some(call) = self.ticket.hear(cx) {
            match call {
                Call::Stopping => {
                    self.station.finish_soon(self.ticket);
                    self.is_to_finish = true;
                }
                Call::Overdue | Call::Moved | Call::Drop => return Err(End::Overdue),
            }
        }
        Ok(())
    }
}
