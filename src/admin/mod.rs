//! The admin listener: a small JSON API on an address of its own, by which operators and their scripts look at the proxy
//! and change it. What they can see and do is [`Control`]'s; who may is `guard`'s.
//!
//! `GET /healthz` · `GET /readyz` · `GET /api/status` · `GET /api/pools`, `/api/pools/{pool}`,
//! `/api/pools/{pool}/backends/{backend}` · `PUT …/backends/{backend}/state` · `GET …/backends/{backend}/drained?wait=30s` ·
//! `GET` and `DELETE /api/pools/{pool}/sessions?key=…` · `POST /api/explain` · `POST /api/reload` · `GET /api/events` ·
//! `GET /api/openapi.json` · `/` the dashboard.
//!
//! It has a thread of its own, so that neither the workers nor the health checks ever wait for a caller.

mod answer;
mod ask;
mod connection;
mod dashboard;
mod events;
mod explain;
mod guard;
mod routes;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::config;
use crate::server::{Control, ServerThread, StartError};

/// How long callers are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a request head to arrive. Default 10 s.
    pub head: Duration,
    /// For a request body to arrive. Default 10 s.
    pub body: Duration,
    /// For an answer to be taken, or of one that goes on, for the next part of it. Default 30 s.
    pub take: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), body: Duration::from_secs(10), take: Duration::from_secs(30) }
    }
}

/// A running admin listener. It ends when dropped, and what callers wait for ends with it.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    _thread: ServerThread,
}

impl Admin {
    /// Binds the address and starts the thread; callers are answered from `control`.
    ///
    /// # Errors
    /// The address cannot be bound, or the thread not be started.
    pub fn start(config: &config::Admin, control: Control) -> Result<Self, StartError> {
        Self::start_with(config, control, Patience::default())
    }

    /// The same, waiting for callers as `patience` says.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        config: &config::Admin,
        control: Control,
        patience: Patience,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Bind { address: config.address, source };
        let listener = TcpListener::bind(config.address).map_err(failed)?;
        Self::start_on(listener, config, control, patience)
    }

    /// The same on a socket that is bound already.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(
        listener: TcpListener,
        config: &config::Admin,
        control: Control,
        patience: Patience,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Bind { address: config.address, source };
        let address = listener.local_addr().map_err(failed)?;
        let router = routes::router(control, config.token.clone(), patience);
        let thread = ServerThread::start("admin", listener, move |listener| {
            connection::serve(listener, router, patience)
        });
        Ok(Self { address, _thread: thread.map_err(StartError::Thread)? })
    }

    /// The address listened on, with the port that was taken for 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
