//! The way back to a client for interim responses (RFC 9110 §15.2).

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Waker};

/// Interim responses that wait to be sent.
const MOST: usize = 8;

type Response = http::Response<()>;

/// Where interim responses to one request go.
#[derive(Debug, Clone)]
pub struct Interim(Rc<RefCell<Waiting>>);

/// Where they arrive.
#[derive(Debug)]
pub struct Hints(Rc<RefCell<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    responses: Vec<Response>,
    /// Sends them.
    sender: Option<Waker>,
}

impl Interim {
    /// A way, and its other end.
    pub fn new() -> (Self, Hints) {
        let waiting = Rc::default();
        (Self(Rc::clone(&waiting)), Hints(waiting))
    }

    /// Hands one over. What does not fit is dropped, for it is only a hint.
    pub(super) fn send(&self, response: Response) {
        let mut waiting = self.0.borrow_mut();
        if waiting.responses.len() < MOST {
            waiting.responses.push(response);
            if let Some(sender) = waiting.sender.take() {
                sender.wake();
            }
        }
    }
}

impl Hints {
    /// What has come since the last call, in order. The task of `cx` will be woken when there is more.
    pub fn take(&self, cx: &Context<'_>) -> Vec<Response> {
        let mut waiting = self.0.borrow_mut();
        if !waiting.sender.as_ref().is_some_and(|sender| sender.will_wake(cx.waker())) {
            waiting.sender = Some(cx.waker().clone());
        }
        std::mem::take(&mut waiting.responses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped() {
        let (interim, hints) = Interim::new();
        let cx = Context::from_waker(Waker::noop());
        assert!(hints.take(&cx).is_empty());
        (0..=MOST).for_each(|_| interim.send(Response::new(())));
        assert_eq!(hints.take(&cx).len(), MOST);
        interim.send(Response::new(()));
        assert_eq!(hints.take(&cx).len(), 1);
    }
}
