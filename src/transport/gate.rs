//! What a backend says before its response: who waits for it, whichever version of HTTP brings it.

use std::cell::{Cell, RefCell};
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Sleep, sleep};

use super::Interim;
use crate::headers::{self, Fields};

/// Holds a request body back until the backend says `100 Continue`, or has not said anything for a second
/// (RFC 9110 §10.1.1 lets a client go on then).
#[derive(Debug)]
pub struct Gate {
    opened: Rc<Opened>,
    patience: Pin<Box<Sleep>>,
}

/// Who hears interim responses to a request; goes with it.
#[derive(Debug)]
pub struct Listener {
    opened: Option<Rc<Opened>>,
    interim: Option<Interim>,
}

#[derive(Debug, Default)]
struct Opened {
    open: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

const PATIENCE: Duration = Duration::from_secs(1);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self { opened: Rc::default(), patience: Box::pin(sleep(PATIENCE)) }
    }

    /// Has the gate, and the way back to the client, hear of what a backend says before its response.
    pub fn listen(gate: Option<&Self>, interim: Option<Interim>) -> Option<Listener> {
        let opened = gate.map(|gate| gate.opened.clone());
        (opened.is_some() || interim.is_some()).then_some(Listener { opened, interim })
    }

    /// Another backend is asked, and has its own time to answer. It opens the gate by what [`Self::listen`] has made.
    pub(super) fn wait_anew(&mut self) {
        self.patience = Box::pin(sleep(PATIENCE));
    }

    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.opened.waker.replace(Some(cx.waker().clone()));
        if self.opened.open.get() { Poll::Ready(()) } else { self.patience.as_mut().poll(cx) }
    }
}

impl Listener {
    /// The backend has said something before its response.
    pub(super) fn hear(&self, status: StatusCode, fields: Fields) {
        match (status, &self.opened, &self.interim) {
            (StatusCode::CONTINUE, Some(opened), _) => opened.open(),
            (StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS, ..) | (_, _, None) => {}
            // One that does not fit is lost: it is only a hint.
            (_, _, Some(interim)) => interim.send(headers::interim(status, fields)),
        }
    }
}

impl Opened {
    fn open(&self) {
        self.open.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
