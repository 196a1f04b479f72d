//! The body of a client's request: read by whoever wants it, or else by nobody, so that the next request can follow.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Inner, MOST_READ, Reading};
use crate::transport::ReceiveError;
use crate::transport::http1::chunked::Step;
use crate::transport::http1::filling::poll_fill;

/// A request body on its way in. Until it has ended, what its connection receives is the rest of it.
#[derive(Debug)]
pub struct Incoming(Rc<RefCell<Inner>>);

/// Octets of a body that are read although nobody wants them.
const SHORT: u64 = 64 * 1024;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

type Polled = Poll<Option<Result<Frame<Bytes>, ReceiveError>>>;

impl Incoming {
    pub(super) fn new(inner: Rc<RefCell<Inner>>) -> Self {
        Self(inner)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = ReceiveError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let mut inner = self.0.borrow_mut();
        let polled = inner.poll_body(cx);
        if let Poll::Ready(Some(Err(_))) = polled {
            inner.body_is_over(Reading::Lost);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0.borrow().reading, Reading::Head)
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.borrow().reading {
            Reading::Head => SizeHint::with_exact(0),
            Reading::Length(left) => SizeHint::with_exact(left),
            Reading::Chunked(_) | Reading::Lost => SizeHint::default(),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.0.borrow_mut().give_up_body();
    }
}

impl Inner {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Polled {
        if std::mem::take(&mut self.expects) {
            self.unsent = Bytes::from_static(CONTINUE);
        }
        if let Err(error) = ready!(self.poll_unsent(cx)) {
            return Poll::Ready(Some(Err(error.into())));
        }
        loop {
            match &mut self.reading {
                Reading::Head => return Poll::Ready(None),
                Reading::Lost => return Poll::Ready(Some(Err(ReceiveError::Closed))),
                Reading::Length(left) if !self.input.is_empty() => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                    *left -= count as u64;
                    let is_last = *left == 0;
                    let data = self.take(count);
                    if is_last {
                        self.body_is_over(Reading::Head);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Reading::Chunked(chunked) => match chunked.read(&mut self.input)? {
                    Step::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Step::Trailers(fields) => {
                        self.body_is_over(Reading::Head);
                        return Poll::Ready(Some(Ok(Frame::trailers(fields))));
                    }
                    Step::End => {
                        self.body_is_over(Reading::Head);
                        return Poll::Ready(None);
                    }
                    Step::More => {}
                },
                Reading::Length(_) => {}
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Some(Err(ReceiveError::Closed)));
            }
        }
    }

    fn take(&mut self, count: usize) -> Bytes {
        if count == self.input.len() {
            return std::mem::take(&mut self.input).freeze();
        }
        self.input.split_to(count).freeze()
    }

    /// The rest of a body that nobody wants is read all the same, if it is short and has come: another request may follow.
    fn give_up_body(&mut self) {
        let is_short = match self.reading {
            Reading::Head | Reading::Lost => return,
            Reading::Length(left) => left <= SHORT,
            Reading::Chunked(_) => true,
        };
        // A client that was not told to send it may or may not do so.
        if !is_short || self.expects {
            return self.body_is_over(Reading::Lost);
        }
        self.is_unwanted = true;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// Reads what is there of a body that nobody wants. Where that is not all of it, no request follows.
    pub(super) fn read_unwanted(&mut self, cx: &mut Context<'_>) {
        let mut left = if std::mem::take(&mut self.is_unwanted) { SHORT } else { return };
        while !matches!(self.reading, Reading::Head) {
            let Poll::Ready(Some(Ok(frame))) = self.poll_body(cx) else { break };
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len) as u64) else { break };
            left = rest;
        }
        if !matches!(self.reading, Reading::Head) {
            self.body_is_over(Reading::Lost);
        }
    }

    /// Reads more; 0 at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, ReceiveError>> {
        let room = self.room();
        let Some(wire) = &mut self.wire else { return Poll::Ready(Ok(0)) };
        let Poll::Ready(filled) = poll_fill(wire, &mut self.input, room, cx) else {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let filled = filled?;
        self.pulse.received();
        if filled.is_full {
            self.appetite = (self.appetite * 2).min(MOST_READ);
        }
        self.ended |= filled.count == 0;
        Poll::Ready(Ok(filled.count))
    }

    /// Octets to make room for.
    fn room(&self) -> usize {
        match self.reading {
            Reading::Length(left) => usize::try_from(left).unwrap_or(MOST_READ).min(MOST_READ),
            _ => self.appetite,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Connection, HeadLimits};
    use super::*;

    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use tokio::net::{TcpListener, TcpStream};

    use crate::transport::Wire;

    #[tokio::test]
    async fn who_reads_a_body_hears_that_its_connection_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (_client, (wire, _)) = (client.expect("a connection"), accepted.expect("a connection"));
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
        let mut connection = Connection::new(Wire::Plain(wire), head, Rc::default());
        let limits = HeadLimits { octets: 4096, fields: 20 };
        let arrival = poll_fn(|cx| connection.poll_request(cx, &limits)).await.expect("a request");
        let mut body = arrival.expect("a request").body;
        let woken = Arc::new(Woken::default());
        let waker = woken.clone().into();
        let mut read = || Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker));
        assert!(read().is_pending());
        drop(connection);
        assert!(woken.0.load(Ordering::Relaxed), "the reader is woken");
        assert!(matches!(read(), Poll::Ready(Some(Err(ReceiveError::Closed)))));
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
