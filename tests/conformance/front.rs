//! What stands between client and backend: the proxy, or a relay that knows nothing of HTTP, to show that it matters.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;

use crate::support::{DEADLINE, Proxy, Setup};

/// What is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    Proxy,
    /// Passes octets both ways, connection by connection; given so long for each answer.
    Relay(Duration),
}

/// A running [`Front`]; stopped when dropped, with all its connections.
pub(crate) enum Running {
    Proxy(Proxy),
    Relay(Relay),
}

impl Front {
    /// Starts it in front of the backend at `backend`; the settings are for the proxy alone.
    pub(crate) fn start(self, setup: &Setup, backend: SocketAddr) -> Running {
        match self {
            Self::Proxy => Running::Proxy(setup.start()),
            Self::Relay(_) => Running::Relay(Relay::to(backend)),
        }
    }

    /// How long an answer may take.
    pub(crate) fn patience(self) -> Duration {
        match self {
            Self::Proxy => DEADLINE,
            Self::Relay(patience) => patience,
        }
    }
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Proxy(proxy) => proxy.address,
            Self::Relay(relay) => relay.address,
        }
    }
}

/// A plain TCP relay.
pub(crate) struct Relay {
    address: SocketAddr,
    listener: TcpListener,
    accepting: Option<JoinHandle<()>>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    fn to(backend: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sockets = Arc::new(Mutex::new(Vec::new()));
        let (own, all) = (listener.try_clone().unwrap(), sockets.clone());
        let accepting = std::thread::spawn(move || {
            while let Ok((client, _)) = own.accept() {
                let Ok(backend) = TcpStream::connect(backend) else { continue };
                for (from, to) in [(&client, &backend), (&backend, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || carry(&from, &to));
                }
                all.lock().unwrap().extend([client, backend]);
            }
        });
        Self { address: listener.local_addr().unwrap(), listener, accepting: Some(accepting), sockets }
    }
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Wakes the accept, which then fails.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
        for socket in self.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
