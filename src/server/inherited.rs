//! Listening sockets that whoever started the process has opened for it (`LISTEN_FDS`): connections wait there while
//! nobody accepts, so that none is refused over a restart.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use crate::config::Config;

/// Sockets by their addresses.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// Takes the sockets that were passed to this process, if any were. What is no TCP socket is left alone, with a
    /// warning. Meant to be called once, at the start: the variables that tell of them are taken out of the environment.
    pub fn from_env() -> Self {
        let mut passed = ListenFd::from_env();
        let mut take = |index| take(&mut passed, index);
        let found = (0..).map_while(|index| take(index).transpose());
        let usable = |socket: io::Result<_>| {
            socket.inspect_err(|error| tracing::warn!(%error, "an inherited socket cannot be used")).ok()
        };
        Self(found.filter_map(usable).collect())
    }

    /// Takes the socket of exactly this address out.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.0.iter().position(|(known, _)| *known == address)?;
        Some(self.0.swap_remove(at).1)
    }

    /// The socket of exactly this address.
    pub(super) fn find(&self, address: SocketAddr) -> Option<&TcpListener> {
        self.0.iter().find(|(known, _)| *known == address).map(|(_, socket)| socket)
    }

    /// Closes those that no listener of `config` wants, and says so: connections would wait there for nobody.
    pub(super) fn keep_wanted(mut self, config: &Config) -> Self {
        self.0.retain(|(address, _)| {
            let wanted = config.listeners.iter().any(|listener| listener.address == *address);
            if !wanted {
                tracing::warn!(%address, "an inherited socket is closed: no listener has its address");
            }
            wanted
        });
        self
    }
}

/// The socket at a place; `Ok(None)` behind the last one.
fn take(passed: &mut ListenFd, index: usize) -> io::Result<Option<(SocketAddr, TcpListener)>> {
    let Some(socket) = passed.take_tcp_listener(index)? else { return Ok(None) };
    Ok(Some((socket.local_addr()?, socket)))
}
