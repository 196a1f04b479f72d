//! Listening sockets: one for each worker and address, told apart by the kernel through `SO_REUSEPORT`.

use std::io;
use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::transport::keep_alive;

/// Connections the kernel may keep waiting per socket.
const BACKLOG: i32 = 1024;

/// The sockets of one listener, one for each worker.
#[derive(Debug)]
pub(super) struct Bound {
    /// With the port that was taken for 0.
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<std::net::TcpListener>,
    pub(super) origin: Origin,
}

/// Where a socket comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This process has bound it, and who waits there when it is closed is lost.
    Bound,
    /// It was there before, and others hold it too: who waits there is served by whoever accepts next.
    Inherited,
}

/// The first socket is bound alone: were another process on the port, even one that shares it, that fails. Two proxies
/// on one port would each know half of the sessions.
pub(super) fn bind(wanted: SocketAddr, workers: usize) -> io::Result<Bound> {
    let first = new_socket(wanted)?;
    first.bind(&wanted.into())?;
    let address = first.local_addr()?.as_socket().unwrap_or(wanted);
    first.set_reuse_port(true)?;
    first.listen(BACKLOG)?;
    let mut sockets = vec![first.into()];
    for _ in 1..workers {
        let socket = new_socket(wanted)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        sockets.push(socket.into());
    }
    Ok(Bound { address, sockets, origin: Origin::Bound })
}

/// One socket that was there before, for all workers: each accepts what it gets hold of first.
pub(super) fn share(socket: &std::net::TcpListener, workers: usize) -> io::Result<Bound> {
    let options = SockRef::from(socket);
    options.set_tcp_nodelay(true)?;
    options.set_tcp_keepalive(&keep_alive())?;
    socket.set_nonblocking(true)?;
    let sockets = (0..workers).map(|_| socket.try_clone()).collect::<Result<_, _>>()?;
    Ok(Bound { address: socket.local_addr()?, sockets, origin: Origin::Inherited })
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
