//! Sockets and threads: binding, workers that accept, the control thread, stopping.
//! Nothing here knows how a request is answered.

mod certificates;
mod connection;
mod control;
mod counted;
mod doors;
mod gates;
mod inherited;
mod metrics;
mod socket;
mod spread;
mod status;
mod stop;
mod thread;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::config::{Config, Pool, Verify};
use crate::health;
use crate::proxy::Core;
use crate::snapshot::Snapshot;
use crate::state::OpenError;
use crate::telemetry::Journal;

use doors::{Doors, NotOpened};

pub use control::{
    ApplyError, BackendChange, Change, Control, Drained, Effective, LastReload, Moves, NewKeys, Plan,
    ReloadError, Reloaded, Saves, Session, Sessions, StateStatus, Unknown, Wish,
};
pub use counted::{Answers, Load, PoolCounts, WorkerLoad};
pub use inherited::Inherited;
pub(crate) use metrics::CONTENT_TYPE;
pub use status::{BackendStatus, CertificateStatus, DrainStatus, ListenerStatus, PoolStatus, Status};
pub use stop::{Stop, Stopper};
pub(crate) use thread::ServerThread;

/// A running proxy. It owns its threads; [`Server::wait`] joins them.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    control: Control,
    stopper: Stopper,
    threads: Vec<JoinHandle<()>>,
}

/// Why a proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address as configured.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A thread or its runtime cannot be made.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// What is to be kept over a restart cannot be.
    #[error(transparent)]
    State(#[from] OpenError),
}

impl From<NotOpened> for StartError {
    fn from(why: NotOpened) -> Self {
        match why {
            // Nobody has been told anything yet at a start.
            NotOpened::Busy => Self::Thread(io::ErrorKind::ResourceBusy.into()),
            NotOpened::Bind { address, source } => Self::Bind { address, source },
        }
    }
}

impl StartError {
    /// The address that another process or listener uses, if that is the reason.
    pub fn address_in_use(&self) -> Option<SocketAddr> {
        match self {
            Self::Bind { address, source } if source.kind() == io::ErrorKind::AddrInUse => Some(*address),
            Self::Bind { .. } | Self::Thread(_) | Self::State(_) => None,
        }
    }
}

/// Says, at each start and reload, which backends could be anybody.
fn warn_of_unverified(config: &Config) {
    let is_unverified = |pool: &&Pool| pool.tls.as_ref().is_some_and(|tls| tls.verify == Verify::Nothing);
    for pool in config.pools.iter().filter(is_unverified) {
        tracing::warn!(pool = pool.name, "tls.verify is off: anybody could be a backend of this pool");
    }
}

/// Orders a worker may have waiting; who gives one waits when there are more.
const ORDERS: usize = 1024;

impl Server {
    /// The same as [`Self::start`], able to read the configuration again from the file that it came from.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_from(path: &Path, config: &Config) -> Result<Self, StartError> {
        Self::start_with(Some(path), config, Inherited::default())
    }

    /// Binds the listeners and starts the threads. Returns at once; connections are accepted as soon as every backend
    /// was checked once, which takes one check's time-out at most, and the look-up of its name where it has one.
    ///
    /// # Errors
    /// An address cannot be bound, `server.state_dir` not be used, or a thread not be started; then nothing keeps running.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_with(None, config, Inherited::default())
    }

    /// The same with sockets that are there already, for listeners of exactly their addresses.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        file: Option<&Path>,
        config: &Config,
        inherited: Inherited,
    ) -> Result<Self, StartError> {
        warn_of_unverified(config);
        let workers = config.server.workers.get();
        let connections = socket::raise_file_limit(config.limits.connections);
        let (doors, turns) = Doors::new(workers, inherited.keep_wanted(config));
        let prepared = doors.prepare(config, None)?;
        let (orders, heard): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(ORDERS)).unzip();
        let (clock, journal) = (Clock::start(), Arc::new(Journal::new()));
        let (monitor, reporter, settled) = health::monitor(clock, journal.clone());
        let snapshot = Arc::new(Snapshot::build(config, None, workers, clock.now()));
        let saver = control::Saver::begin(&config.server, &snapshot, clock.now())?;
        prepared.carry_out(None, &snapshot);
        let addresses = snapshot.listeners.iter().map(|listener| listener.bound()).collect();
        let core =
            Arc::new(Core::new(snapshot, clock, (reporter, journal), orders.into()).bounded(connections));
        let (stopper, stopping) = stop::channel();
        let (applied, to_apply) = mpsc::channel(control::COMMANDS);
        let control = Control::new(core.clone(), (applied, doors), config, file);
        let control = control.telling(saver.as_ref().map(control::Saver::report));
        let mut this = Self { addresses, control: control.clone(), stopper, threads: Vec::new() };
        let (alive, ended) = mpsc::channel(1);
        let stopping_too = stopping.clone();
        let task =
            control::Task { core: core.clone(), control, to_apply, stopping: stopping_too, ended, saver };
        this.spawn("control", move |runtime| runtime.block_on(control::run(task, monitor)))?;
        let (spread, passed) = spread::Spread::new(workers);
        for (index, ((turns, orders), passed)) in turns.into_iter().zip(heard).zip(passed).enumerate() {
            let duty = worker::Duty {
                core: core.clone(),
                index,
                turns,
                orders,
                spread: spread.clone(),
                passed,
                settled: settled.clone(),
                stopping: stopping.clone(),
                _alive: alive.clone(),
            };
            this.spawn(&format!("worker-{index}"), move |runtime| runtime.block_on(worker::run(duty)))?;
        }
        Ok(this)
    }

    /// Runs `work` on a thread with a runtime of its own.
    fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce(tokio::runtime::LocalRuntime) + Send + 'static,
    ) -> Result<(), StartError> {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let run = move || match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
        {
            Ok(runtime) => {
                // Fails only if the starter has given up.
                let _ = ready.send(Ok(()));
                work(runtime);
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run).map_err(StartError::Thread)?;
        self.threads.push(thread);
        match is_ready.recv() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(StartError::Thread(error)),
            Err(_) => Err(StartError::Thread(io::Error::other("a thread ended at its start"))),
        }
    }

    /// The addresses listened on at the start, in the order of the configuration, with the ports that were taken for 0.
    /// What reloads made of them is in [`Control::status`].
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The way to look at and change a running proxy.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Begins to stop. Stopping can be made faster, not undone.
    pub fn stop(&self, stop: Stop) {
        self.stopper.stop(stop);
    }

    /// A handle that stops the proxy while another thread waits for it.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits until all threads have ended, which they do after [`Self::stop`].
    pub fn wait(mut self) {
        for thread in self.threads.drain(..) {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Stop::Now);
    }
}
