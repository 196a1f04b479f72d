//! The admin listener's connections: one request each, with a bound on everything that a caller could keep waiting.
//! How a request is answered is [`super::routes`]' matter.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;

/// Connections at one time; more wait in the kernel.
const CONNECTIONS: usize = 64;
/// For a request head to arrive.
const HEAD: Duration = Duration::from_secs(10);
/// For an answer to be taken.
const TAKE: Duration = Duration::from_secs(30);
/// Octets of a request head, and of what is read ahead.
const HEAD_BYTES: usize = 16 << 10;
/// Fields of a request head.
const HEADERS: usize = 100;
/// After an accept failed.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Accepts for ever.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed, so the loop ends only when the task is dropped.
    while let Ok(permit) = free.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    answer(stream, router).await;
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
async fn answer(stream: TcpStream, router: Router) {
    let (router, answered) = (TowerToHyperService::new(router), Notify::new());
    let service = service_fn(|request| {
        let answer = router.call(request);
        let answered = &answered;
        async move { answer.await.inspect(|_| answered.notify_one()) }
    });
    let mut builder = http1::Builder::new();
    builder
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    let too_slow = async {
        answered.notified().await;
        sleep(TAKE).await;
    };
    tokio::select! {
        ended = builder.serve_connection(TokioIo::new(stream), service) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a caller's connection ended");
            }
        }
        () = too_slow => tracing::debug!("a caller did not take its answer"),
    }
}
