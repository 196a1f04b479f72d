//! The listening sockets of one worker: accepting on them, and how that ends.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use super::connection::{self, Accepted};
use super::doors::{Opening, Turn};
use super::socket::Origin;
use super::spread::Passed;
use super::worker::Station;
use crate::listener::{Door, Listener};
use crate::proxy::{Limit, Passage, Place};

/// What a worker accepts on.
#[derive(Debug, Default)]
pub(super) struct Gates(RefCell<Vec<Gate>>);

/// One socket, and the task that accepts there.
#[derive(Debug)]
struct Gate {
    door: Arc<Door>,
    closing: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A socket as its task has it.
struct Open {
    station: Rc<Station>,
    door: Arc<Door>,
    origin: Origin,
    socket: TcpListener,
    /// As it was last seen.
    listener: Arc<Listener>,
}

/// A place for a connection, and with which worker.
enum Admitted {
    Here(Place),
    With(usize, Passage),
}

/// After an accept failed, or found no place.
pub(super) const BACK_OFF: Duration = Duration::from_millis(50);

impl Gates {
    /// Opens and closes what it is told.
    pub(super) fn turn(&self, station: &Rc<Station>, turn: Turn) {
        for door in &turn.close {
            // Its task hears that its other end is gone, and takes a last look.
            self.0.borrow_mut().retain(|gate| !Arc::ptr_eq(&gate.door, door));
            station.connections.finish_at(door);
        }
        self.0.borrow_mut().extend(turn.open.into_iter().filter_map(|opening| open(station, opening)));
    }

    /// Closes all, once those are in who wait there already.
    pub(super) async fn close(self) {
        for Gate { closing, task, .. } in self.0.into_inner() {
            drop(closing);
            // A panic was reported when it happened.
            let _ = task.await;
        }
    }

    /// Closes all at once.
    pub(super) fn abort(self) {
        self.0.into_inner().iter().for_each(|gate| gate.task.abort());
    }
}

fn open(station: &Rc<Station>, opening: Opening) -> Option<Gate> {
    let Opening { door, socket, origin } = opening;
    // It may have been closed again before it was opened.
    let Some(listener) = station.listener(&door) else {
        door.lose_socket();
        return None;
    };
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, "a listening socket cannot be used");
            door.lose_socket();
            return None;
        }
    };
    let (closing, closed) = oneshot::channel();
    let open = Open { station: station.clone(), door: door.clone(), origin, socket, listener };
    Some(Gate { door, closing, task: spawn_local(open.accept(closed)) })
}

impl Open {
    /// Accepts until it is told to close. An error is no reason to spin, nor to stop.
    async fn accept(mut self, mut closed: oneshot::Receiver<()>) {
        loop {
            let accepted = tokio::select! {
                biased;
                _ = &mut closed => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let place = tokio::select! {
                        biased;
                        // Nobody gets a place any more who has waited for one until now.
                        _ = &mut closed => break,
                        place = self.place() => place,
                    };
                    self.admit(place, (stream, peer));
                }
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    sleep(BACK_OFF).await;
                }
            }
        }
        self.take_last_look();
    }

    /// A place for one more connection, as soon as there is one. At the limit connections wait in the kernel's queue,
    /// but for the one that each socket has accepted: only when a place is taken no other worker takes it.
    async fn place(&mut self) -> Admitted {
        let mut told = None;
        loop {
            match self.place_at_once() {
                Ok(place) => return place,
                // Each connection that waits counts once.
                Err(limit) if told != Some(limit) => {
                    told = Some(limit);
                    self.station.worker.tally().reached(limit);
                }
                Err(_) => {}
            }
            tokio::select! {
                () = self.station.worker.freed.notified() => {}
                () = sleep(BACK_OFF) => {}
            }
        }
    }

    fn place_at_once(&mut self) -> Result<Admitted, Limit> {
        self.look_at_listener();
        let Station { worker, spread, .. } = &*self.station;
        match spread.elsewhere(worker) {
            None => Place::take(worker, &self.listener).map(Admitted::Here),
            Some(other) => {
                Passage::take(&worker.core, &self.listener).map(|place| Admitted::With(other, place))
            }
        }
    }

    /// Takes the listener as it is described now. All workers have the same one: its count of references is written only
    /// where there is another.
    fn look_at_listener(&mut self) {
        let current = self.station.worker.current();
        let listener =
            current.snapshot.listeners.iter().find(|listener| Arc::ptr_eq(&listener.door, &self.door));
        if let Some(listener) = listener
            && !Arc::ptr_eq(listener, &self.listener)
        {
            self.listener = listener.clone();
        }
    }

    fn admit(&self, place: Admitted, (stream, peer): (TcpStream, SocketAddr)) {
        match place {
            Admitted::Here(place) => self.keep(place, (stream, peer)),
            Admitted::With(other, place) => match stream.into_std() {
                Ok(stream) => self.station.hand_over(other, Passed { place, stream, peer }),
                // Nobody can serve a socket that the runtime does not let go of.
                Err(error) => tracing::warn!(%peer, %error, "a connection cannot be handed over"),
            },
        }
    }

    fn keep(&self, place: Place, (stream, peer): (TcpStream, SocketAddr)) {
        connection::begin(&self.station, Accepted { place, stream, peer });
    }

    /// Closing a socket resets the connections that wait there: those of one that nobody else has are accepted before.
    fn take_last_look(mut self) {
        self.look_at_listener();
        while self.origin == Origin::Bound
            && let Some(Ok(accepted)) = self.socket.accept().now_or_never()
            && let Ok(place) = Place::take(&self.station.worker, &self.listener)
        {
            self.keep(place, accepted);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.door.lose_socket();
    }
}

/// Whether an accept failed because of the connection, which is gone, and not because of us.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
