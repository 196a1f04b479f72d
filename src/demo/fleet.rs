//! The demo's backends as processes are seen from outside: each on its own thread and port, to be killed and
//! restarted. Killing one closes all its sockets at once and loses its memory.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::backend::{Backend, RoomInfo};
use super::http;
use crate::server::ServerThread;

/// Backends by name, running or killed.
pub struct Fleet {
    members: Mutex<Vec<Member>>,
}

struct Member {
    name: String,
    address: SocketAddr,
    life: Option<Life>,
    /// How often it was started.
    starts: u32,
    stay: Stay,
}

/// Whether a backend may leave the fleet, and does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stay {
    /// One of the first, which stay.
    Always,
    /// Added later.
    Added,
    /// On its way out.
    Leaving,
}

/// A backend from its start to its end.
struct Life {
    backend: Arc<Backend>,
    /// Dropped to end it.
    _thread: ServerThread,
}

/// A backend as an outsider sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackendInfo {
    /// Unique in the fleet.
    pub name: String,
    /// Where it listens, or did.
    pub address: SocketAddr,
    /// Not killed.
    pub running: bool,
    /// How often it was started.
    pub starts: u32,
    /// Whether it may leave the fleet, and does.
    pub stay: Stay,
    /// Sessions opened by `POST /login`.
    pub logins: usize,
    /// Its rooms, games first.
    pub rooms: Vec<RoomInfo>,
}

/// The fleet could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// No backend has this name.
    #[error("there is no backend {0:?}")]
    Unknown(String),
    /// A backend of this name is there already.
    #[error("there is a backend {0:?} already")]
    Taken(String),
    /// The backend is one of the first.
    #[error("{0} was here from the start, and stays")]
    Stays(String),
    /// The backend's address or thread could not be had.
    #[error("cannot start {name} on {address}: {source}")]
    Start {
        /// The backend.
        name: String,
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl Fleet {
    /// Starts a backend for each name on 127.0.0.1, the first on `first_port`, the others on the ports behind it.
    /// Where a port is taken, and everywhere with 0, a free one is used: see [`Fleet::address`].
    ///
    /// # Errors
    /// A name is there twice, or no socket or thread is to be had.
    pub fn start(names: &[&str], first_port: u16) -> Result<Self, FleetError> {
        let fleet = Self { members: Mutex::default() };
        let mut port = first_port;
        for name in names {
            fleet.launch(name, port, Stay::Always)?;
            port = if port == 0 { 0 } else { port.saturating_add(1) };
        }
        Ok(fleet)
    }

    /// Starts one more backend on a free port.
    ///
    /// # Errors
    /// The name is there already, or no socket or thread is to be had.
    pub fn add(&self, name: &str) -> Result<SocketAddr, FleetError> {
        self.launch(name, 0, Stay::Added)
    }

    /// Notes that an added backend is on its way out. It runs until it is forgotten.
    ///
    /// # Errors
    /// There is no such backend, or it was not added.
    pub fn retire(&self, name: &str) -> Result<(), FleetError> {
        let mut members = self.members();
        let member = find(&mut members, name)?;
        if member.stay == Stay::Always {
            return Err(FleetError::Stays(name.to_owned()));
        }
        member.stay = Stay::Leaving;
        Ok(())
    }

    /// Ends a backend and takes it out of the fleet. What is not there need not be.
    pub fn forget(&self, name: &str) {
        let mut members = self.members();
        let gone = members.iter().position(|member| member.name == name).map(|at| members.remove(at));
        // Dropped, and so joined, without the lock.
        drop(members);
        drop(gone);
    }

    /// Ends a backend at once: its sockets are closed, its memory is gone. `false` when it was not running.
    ///
    /// # Errors
    /// There is no such backend.
    pub fn kill(&self, name: &str) -> Result<bool, FleetError> {
        let life = find(&mut self.members(), name)?.life.take();
        // Dropped, and so joined, without the lock.
        Ok(life.is_some())
    }

    /// Starts a killed backend again on its port, with empty memory; one that runs is killed first.
    ///
    /// # Errors
    /// There is no such backend, or its port was taken by somebody else meanwhile.
    pub fn restart(&self, name: &str) -> Result<(), FleetError> {
        self.kill(name)?;
        let mut members = self.members();
        let member = find(&mut members, name)?;
        let failed = |source| FleetError::Start { name: name.to_owned(), address: member.address, source };
        let life = TcpListener::bind(member.address).and_then(|listener| Life::begin(name, listener));
        member.life = Some(life.map_err(failed)?);
        member.starts += 1;
        Ok(())
    }

    /// Where a backend listens, or did before it was killed.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.members().iter().find(|member| member.name == name).map(|member| member.address)
    }

    /// All backends in the order of their start.
    pub fn backends(&self) -> Vec<BackendInfo> {
        self.members().iter().map(Member::info).collect()
    }

    /// Names and addresses of those that are not on their way out.
    pub(super) fn staying(&self) -> Vec<(String, SocketAddr)> {
        let members = self.members();
        let staying = members.iter().filter(|member| member.stay != Stay::Leaving);
        staying.map(|member| (member.name.clone(), member.address)).collect()
    }

    /// All rooms of the backends that run, each with its backend's name.
    pub fn rooms(&self) -> Vec<(String, RoomInfo)> {
        let backends = self.backends().into_iter();
        backends
            .flat_map(|backend| backend.rooms.into_iter().map(move |room| (backend.name.clone(), room)))
            .collect()
    }

    fn launch(&self, name: &str, port: u16, stay: Stay) -> Result<SocketAddr, FleetError> {
        let mut members = self.members();
        if members.iter().any(|member| member.name == name) {
            return Err(FleetError::Taken(name.to_owned()));
        }
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let failed = |source| FleetError::Start { name: name.to_owned(), address: wanted, source };
        let listener = bind_or_any(wanted).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let life = Some(Life::begin(name, listener).map_err(failed)?);
        members.push(Member { name: name.to_owned(), address, life, starts: 1, stay });
        Ok(address)
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn info(&self) -> BackendInfo {
        let backend = self.life.as_ref().map(|life| &life.backend);
        BackendInfo {
            name: self.name.clone(),
            address: self.address,
            running: backend.is_some(),
            starts: self.starts,
            stay: self.stay,
            logins: backend.map_or(0, |backend| backend.logins()),
            rooms: backend.map_or_else(Vec::new, |backend| backend.rooms()),
        }
    }
}

impl Life {
    fn begin(name: &str, listener: TcpListener) -> io::Result<Self> {
        let backend = Arc::new(Backend::new(name));
        let served = Arc::clone(&backend);
        let thread = ServerThread::start(&format!("demo-{name}"), listener, move |listener| {
            http::serve(listener, move |request| Arc::clone(&served).handle(request))
        })?;
        Ok(Self { backend, _thread: thread })
    }
}

/// A listener on `address`, or on any free port there when it is taken.
pub(super) fn bind_or_any(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => TcpListener::bind((address.ip(), 0)),
        bound => bound,
    }
}

fn find<'a>(members: &'a mut [Member], name: &str) -> Result<&'a mut Member, FleetError> {
    members.iter_mut().find(|member| member.name == name).ok_or_else(|| FleetError::Unknown(name.to_owned()))
}

#[cfg(test)]
mod tests;
