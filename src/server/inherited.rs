//! Listening sockets that whoever started the process has opened for it (`LISTEN_FDS`): connections wait there while
//! nobody accepts, so that none is refused over a restart.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use crate::config::Config;

/// Sockets by their addresses.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(SocketAddr, TcpListener)>,
    /// What is wrong with the others.
    unusable: Vec<io::Error>,
}

impl Inherited {
    /// Takes the sockets that were passed to this process, if any were. To be called first of all, and once: the
    /// variables that tell of them are taken out of the environment.
    pub fn from_env() -> Self {
        let (mut passed, mut this) = (ListenFd::from_env(), Self::default());
        for index in 0..passed.len() {
            match take(&mut passed, index) {
                Ok(socket) => this.sockets.extend(socket),
                Err(error) => this.unusable.push(error),
            }
        }
        this
    }

    /// Takes the socket of exactly this address out.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.sockets.iter().position(|(known, _)| *known == address)?;
        Some(self.sockets.swap_remove(at).1)
    }

    /// The socket of exactly this address.
    pub(super) fn find(&self, address: SocketAddr) -> Option<&TcpListener> {
        self.sockets.iter().find(|(known, _)| *known == address).map(|(_, socket)| socket)
    }

    /// Closes those that no listener of `config` wants, and says so: connections would wait there for nobody.
    pub(super) fn keep_wanted(mut self, config: &Config) -> Self {
        for error in self.unusable.drain(..) {
            tracing::warn!(%error, "an inherited socket cannot be used");
        }
        self.sockets.retain(|(address, _)| {
            let wanted = config.listeners.iter().any(|listener| listener.address == *address);
            if !wanted {
                tracing::warn!(%address, "an inherited socket is closed: no listener has its address");
            }
            wanted
        });
        self
    }
}

/// The socket at a place.
fn take(passed: &mut ListenFd, index: usize) -> io::Result<Option<(SocketAddr, TcpListener)>> {
    let Some(socket) = passed.take_tcp_listener(index)? else { return Ok(None) };
    Ok(Some((socket.local_addr()?, socket)))
}
