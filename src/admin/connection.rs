//! The admin listener's connections: one request each, with a bound on everything that a caller could keep waiting.
//! How a request is answered is [`super::routes`]' matter.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep};

use super::Patience;

/// Connections at one time; more wait in the kernel.
const CONNECTIONS: usize = 64;
/// Octets of a request head, and of what is read ahead.
const HEAD_BYTES: usize = 16 << 10;
/// Fields of a request head.
const HEADERS: usize = 100;
/// After an accept failed.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Marks an answer that goes on as long as its reader reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live;

/// Accepts for ever.
pub(super) async fn serve(listener: TcpListener, router: Router, patience: Patience) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed, so the loop ends only when the task is dropped.
    while let Ok(permit) = free.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    answer(stream, router, patience).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accept failed on the admin listener");
                sleep(BACK_OFF).await;
            }
        }
    }
}

/// Answers one request. A caller that leaves meanwhile ends the work on it.
async fn answer(stream: TcpStream, router: Router, patience: Patience) {
    let router = TowerToHyperService::new(router);
    let (tell, told) = oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let service = service_fn(|request| {
        let (answer, tell) = (router.call(request), &tell);
        async move {
            answer.await.inspect(|response| {
                let is_live = response.extensions().get::<Live>().is_some();
                if let Some(tell) = tell.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    // Nobody listens any more where the connection has ended.
                    let _ = tell.send(is_live);
                }
            })
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    let stuck = Stuck::default();
    let stream = Watched { stream, stuck: stuck.clone() };
    tokio::select! {
        ended = builder.serve_connection(TokioIo::new(stream), service) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a caller's connection ended");
            }
        }
        () = too_slow(told, &stuck, patience.take) => tracing::debug!("a caller did not take its answer"),
    }
}

/// Ends when an answer was not taken in time; of one that goes on, when nothing of it was for so long.
async fn too_slow(told: oneshot::Receiver<bool>, stuck: &Stuck, take: Duration) {
    match told.await {
        Ok(true) => {
            while stuck.since().is_none_or(|since| since.elapsed() < take) {
                sleep(take / 4).await;
            }
        }
        Ok(false) => sleep(take).await,
        // The connection ends by itself.
        Err(_) => std::future::pending().await,
    }
}

/// Since when a connection takes nothing of what there is to write.
#[derive(Debug, Clone, Default)]
struct Stuck(Arc<Mutex<Option<Instant>>>);

impl Stuck {
    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, written: &Poll<T>) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Poll::Ready(_) => *since = None,
            Poll::Pending => _ = since.get_or_insert_with(Instant::now),
        }
    }
}

/// A connection that tells when it is stuck.
#[derive(Debug)]
struct Watched {
    stream: TcpStream,
    stuck: Stuck,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.stuck.note(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.stuck.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
