//! Listening sockets: one for each worker and address, told apart by the kernel through `SO_REUSEPORT`.

use std::io;
use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use super::StartError;
use crate::config::Listener;
use crate::transport::keep_alive;

/// Connections the kernel may keep waiting per socket.
const BACKLOG: i32 = 1024;

/// Binds all listeners for all workers: the sockets by worker, and the addresses by listener.
pub(super) fn bind_all(
    listeners: &[Listener],
    workers: usize,
) -> Result<(Vec<Vec<std::net::TcpListener>>, Vec<SocketAddr>), StartError> {
    let mut by_worker: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for listener in listeners {
        let address = listener.address;
        let (sockets, bound) =
            bind(address, workers).map_err(|source| StartError::Bind { address, source })?;
        addresses.push(bound);
        by_worker.iter_mut().zip(sockets).for_each(|(own, socket)| own.push(socket));
    }
    Ok((by_worker, addresses))
}

/// The first socket is bound alone: were another process on the port, even one that shares it, that fails. Two proxies
/// on one port would each know half of the sessions.
fn bind(address: SocketAddr, workers: usize) -> io::Result<(Vec<std::net::TcpListener>, SocketAddr)> {
    let first = new_socket(address)?;
    first.bind(&address.into())?;
    let bound = first.local_addr()?.as_socket().unwrap_or(address);
    first.set_reuse_port(true)?;
    first.listen(BACKLOG)?;
    let mut sockets = vec![first.into()];
    for _ in 1..workers {
        let socket = new_socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&bound.into())?;
        socket.listen(BACKLOG)?;
        sockets.push(socket.into());
    }
    Ok((sockets, bound))
}

/// Accepted connections inherit what is set here.
fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keep_alive())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Descriptors kept back for listeners, logs and idle connections to backends.
const RESERVE: u64 = 256;

/// Raises the limit of open files as far as it goes. Returns how many client connections fit, each with one to a
/// backend; warns if that is fewer than `wanted`.
pub(super) fn raise_file_limit(wanted: usize) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return wanted };
    let fit = usize::try_from(files.saturating_sub(RESERVE) / 2).unwrap_or(usize::MAX).max(1);
    if fit < wanted {
        tracing::warn!(
            files,
            wanted,
            fit,
            "limits.connections is lowered to what the limit of open files allows"
        );
    }
    fit.min(wanted)
}
