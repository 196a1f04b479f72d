//! TLS in front of a plain backend, so that what scripts can do without it they can do with it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::authority::{Authority, Issued};

/// Decrypts what comes, and passes it on; stops when dropped.
pub struct Terminator {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Handshake>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How a connection began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handshake {
    /// Why it failed, if it has.
    pub failed: Option<String>,
    /// The name that was asked for.
    pub server_name: Option<String>,
    /// The protocol agreed on.
    pub alpn: Option<String>,
    /// Certificates that the client showed.
    pub shown: usize,
}

/// What it is like.
pub struct Terms<'a> {
    pub identity: &'a Issued,
    /// Clients must have a certificate by this one.
    pub clients: Option<&'a Authority>,
    pub alpn: &'a [&'a str],
    pub farewell: Farewell,
}

/// How it ends a connection whose backend has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// With a `close_notify` (RFC 8446 §6.1), which nobody else can say.
    Said,
    /// As one who cuts the wire could.
    Missing,
}

impl<'a> Terms<'a> {
    /// No client certificates, no protocols.
    pub fn of(identity: &'a Issued) -> Self {
        Self { identity, clients: None, alpn: &[], farewell: Farewell::Said }
    }
}

impl Terminator {
    pub fn start(terms: &Terms<'_>, to: SocketAddr) -> Self {
        let (acceptor, farewell) = (TlsAcceptor::from(Arc::new(config(terms))), terms.farewell);
        let seen: Arc<Mutex<Vec<Handshake>>> = Arc::default();
        let (stop, stopped) = oneshot::channel();
        let (own, listener) = (seen.clone(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, (acceptor, farewell), to, own) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, seen, stop: Some(stop), thread: Some(thread) }
    }

    /// How connections began, in the order in which they were shaken hands with.
    pub fn handshakes(&self) -> Vec<Handshake> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        let _ = self.thread.take().unwrap().join();
    }
}

fn config(terms: &Terms<'_>) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match terms.clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(authority.roots(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let Terms { identity, alpn, .. } = terms;
    let mut config = builder.with_single_cert(identity.chain(), identity.private_key()).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

async fn accept(
    listener: TcpListener,
    front: (TlsAcceptor, Farewell),
    to: SocketAddr,
    seen: Arc<Mutex<Vec<Handshake>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(pass(front.clone(), stream, to, seen.clone()));
    }
}

async fn pass(
    (acceptor, farewell): (TlsAcceptor, Farewell),
    stream: TcpStream,
    to: SocketAddr,
    seen: Arc<Mutex<Vec<Handshake>>>,
) {
    let mut stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            let failed = Some(error.to_string());
            seen.lock().unwrap().push(Handshake { failed, ..Handshake::default() });
            return;
        }
    };
    let session = stream.get_ref().1;
    seen.lock().unwrap().push(Handshake {
        failed: None,
        server_name: session.server_name().map(str::to_owned),
        alpn: session.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap()),
        shown: session.peer_certificates().map_or(0, <[_]>::len),
    });
    let Ok(mut plain) = TcpStream::connect(to).await else { return };
    if farewell == Farewell::Said {
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
        return;
    }
    let (mut from_client, mut to_client) = tokio::io::split(stream);
    let (mut from_backend, mut to_backend) = plain.split();
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_backend) => {}
        _ = tokio::io::copy(&mut from_backend, &mut to_client) => {}
    }
}
