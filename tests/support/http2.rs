//! A backend that speaks HTTP/2 without TLS, by prior knowledge; each request is answered by an asynchronous script.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Method, Request, Response, Uri};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use super::wait::eventually;

/// What becomes of one request.
pub type Answering = Pin<Box<dyn Future<Output = ()>>>;

type Script = dyn Fn(Exchange) -> Answering + Send + Sync;

/// A server process that speaks HTTP/2.
pub struct Http2Backend {
    pub name: String,
    pub address: SocketAddr,
    /// Scripts may wait for permits; a test gives them.
    pub next: Arc<Semaphore>,
    seen: Arc<Mutex<Seen>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One request, for its script.
pub struct Exchange {
    pub head: Asked,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
    pub next: Arc<Semaphore>,
    seen: Arc<Mutex<Seen>>,
}

/// The head of a request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The number of its connection.
    pub connection: usize,
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<Asked>,
    connections: usize,
    open: usize,
    /// What scripts noted.
    notes: Vec<String>,
}

impl Asked {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Http2Backend {
    /// Answers each request by `script`, and takes `streams` at one time.
    pub fn limited(
        name: &str,
        streams: u32,
        script: impl Fn(Exchange) -> Answering + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel();
        let (seen, next): (Arc<Mutex<Seen>>, _) = (Arc::default(), Arc::new(Semaphore::new(0)));
        let service =
            Arc::new(Service { script: Arc::new(script), seen: seen.clone(), next: next.clone(), streams });
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = tokio::task::LocalSet::new();
            runtime.block_on(local.run_until(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, service) => {}
                    _ = stopped => {}
                }
            }));
        });
        Self { name: name.to_owned(), address, next, seen, stop: Some(stop), thread: Some(thread) }
    }

    pub fn start(name: &str, script: impl Fn(Exchange) -> Answering + Send + Sync + 'static) -> Self {
        Self::limited(name, 1000, script)
    }

    /// Answers every request with its name.
    pub fn named(name: &str) -> Self {
        let own = name.to_owned();
        Self::start(name, move |exchange| {
            let body = own.clone();
            Box::pin(async move { exchange.answer(200, &body) })
        })
    }

    /// Everything that came, in order, health checks left out.
    pub fn requests(&self) -> Vec<Asked> {
        let seen = self.seen.lock().unwrap();
        seen.requests.iter().filter(|asked| asked.uri.path() != "/healthz").cloned().collect()
    }

    /// The one request that came.
    #[track_caller]
    pub fn request(&self) -> Asked {
        eventually("a request arrives at the backend", || !self.requests().is_empty());
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.seen.lock().unwrap().open
    }

    pub fn notes(&self) -> Vec<String> {
        self.seen.lock().unwrap().notes.clone()
    }
}

impl Drop for Http2Backend {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        let _ = self.thread.take().unwrap().join();
    }
}

impl Exchange {
    /// A whole answer.
    pub fn answer(mut self, status: u16, body: &str) {
        let head = Response::builder().status(status).body(()).unwrap();
        let mut stream = self.respond.send_response(head, body.is_empty()).unwrap();
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
        }
    }

    /// The whole body; `Err` if it breaks off.
    pub async fn whole(&mut self) -> Result<Vec<u8>, h2::Error> {
        let mut whole = Vec::new();
        while let Some(data) = self.body.data().await {
            let data = data?;
            self.body.flow_control().release_capacity(data.len())?;
            whole.extend_from_slice(&data);
        }
        Ok(whole)
    }

    pub async fn wait(&self) {
        self.next.acquire().await.unwrap().forget();
    }

    pub fn note(&self, what: impl Into<String>) {
        self.seen.lock().unwrap().notes.push(what.into());
    }
}

struct Service {
    script: Arc<Script>,
    seen: Arc<Mutex<Seen>>,
    next: Arc<Semaphore>,
    streams: u32,
}

async fn accept(listener: TcpListener, service: Arc<Service>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        tokio::task::spawn_local(serve(stream, service.clone()));
    }
}

async fn serve(stream: TcpStream, service: Arc<Service>) {
    let connection = {
        let mut seen = service.seen.lock().unwrap();
        (seen.connections, seen.open) = (seen.connections + 1, seen.open + 1);
        seen.connections - 1
    };
    let made = h2::server::Builder::new().max_concurrent_streams(service.streams).handshake(stream).await;
    if let Ok(mut made) = made {
        while let Some(Ok((request, respond))) = made.accept().await {
            let (parts, body) = Request::into_parts(request);
            let head = Asked { connection, method: parts.method, uri: parts.uri, headers: parts.headers };
            service.seen.lock().unwrap().requests.push(head.clone());
            let (seen, next) = (service.seen.clone(), service.next.clone());
            tokio::task::spawn_local((service.script)(Exchange { head, body, respond, next, seen }));
        }
    }
    service.seen.lock().unwrap().open -= 1;
}
