//! A request body on its way out by a stream of an HTTP/2 connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body, Frame};

use super::Outgoing;

/// The sending half of a stream. Dropped before its end, the stream is reset, and what h2 still holds of it is dropped.
#[derive(Debug)]
struct Sending {
    stream: SendStream<Bytes>,
    ended: bool,
}

/// Sends `body` until it ends, breaks off, or the backend does not want it.
pub(super) async fn run(stream: SendStream<Bytes>, mut body: Outgoing) {
    let mut sending = Sending { stream, ended: false };
    while !sending.ended {
        let Some(frame) = sending.next(&mut body).await else { return };
        let is_last = body.is_end_stream();
        let passed = match frame {
            Some(frame) => sending.pass(frame, is_last).await,
            None => sending.pass(Frame::data(Bytes::new()), true).await,
        };
        if passed.is_none() {
            return;
        }
    }
}

impl Sending {
    /// The next frame of `body`, and then that there is none. `None`: it broke off, or the stream was reset.
    async fn next(&mut self, body: &mut Outgoing) -> Option<Option<Frame<Bytes>>> {
        poll_fn(|cx| {
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            Pin::new(&mut *body).poll_frame(cx).map(|frame| frame.transpose().ok())
        })
        .await
    }

    /// `None`: the stream is over.
    async fn pass(&mut self, frame: Frame<Bytes>, is_last: bool) -> Option<()> {
        let frame = match frame.into_data() {
            Ok(data) => {
                // Room is asked for only with something to put there, and no more than that: what a stream holds
                // without use, others of the connection lack (hyper issue 4003).
                if !data.is_empty() {
                    self.room().await?;
                }
                self.stream.send_data(data, is_last).ok()?;
                self.ended = is_last;
                return Some(());
            }
            Err(frame) => frame,
        };
        self.stream.reserve_capacity(0);
        self.stream.send_trailers(frame.into_trailers().ok()?).ok()?;
        self.ended = true;
        Some(())
    }

    /// Waits until there is room for something.
    async fn room(&mut self) -> Option<()> {
        self.stream.reserve_capacity(1);
        while self.stream.capacity() == 0 {
            poll_fn(|cx| self.stream.poll_capacity(cx)).await?.ok()?;
        }
        Some(())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.ended {
            self.stream.send_reset(Reason::CANCEL);
        }
    }
}
