//! `homing demo`: three stateful backends, a console with a page, and the proxy in front of them, in one process.
//! It uses the proxy as anybody would, through a configuration and [`Server`].

mod backend;
mod console;
mod events;
mod fleet;
mod http;
mod operator;
mod page;
mod settings;
mod socket;
mod welcome;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use self::console::Console;
use self::settings::{Settings, Stickiness};
use crate::admin::Admin;
use crate::config::{self, Config};
use crate::server::{Control, Server, ServerThread, StartError, Stop};

pub use self::backend::{RoomInfo, RoomKind};
pub use self::fleet::{BackendInfo, Fleet, FleetError, Stay};
pub use self::welcome::Style;

/// The backends' names, as the page shows them.
pub const BACKENDS: [&str; 3] = ["ada", "bob", "cleo"];

/// Where the demo listens.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The proxy. Taken: an error.
    pub listen: SocketAddr,
    /// The console. Taken: a free port.
    pub console: SocketAddr,
    /// The proxy's admin listener. Taken: a free port.
    pub admin: SocketAddr,
    /// The first backend, on 127.0.0.1; the others on the ports behind it. Taken: a free port. 0: free ports.
    pub first_backend_port: u16,
}

/// The running demo. It ends when dropped; [`Demo::stop`] ends it with the proxy's good manners.
pub struct Demo {
    // Dropped in this order: the proxy before what it proxies to.
    server: Option<Server>,
    admin: Admin,
    _console: ServerThread,
    console_address: SocketAddr,
    fleet: Arc<Fleet>,
    options: Options,
}

/// The demo could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else listens where the proxy should.
    #[error("{0} is in use: choose another with --listen {next}", next = next(*.0))]
    AddressInUse(SocketAddr),
    /// A backend did not start.
    #[error("the demo's fleet: {0}")]
    Fleet(#[from] FleetError),
    /// The console did not start.
    #[error("the demo's console on {0}: {1}")]
    Console(SocketAddr, #[source] std::io::Error),
    /// The demo's own configuration is refused, which is a bug.
    #[error("the demo's configuration: {0}")]
    Settings(String),
    /// The proxy did not start.
    #[error("{0}")]
    Proxy(#[source] StartError),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            console: SocketAddr::from((Ipv4Addr::LOCALHOST, 9000)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9902)),
            first_backend_port: 9001,
        }
    }
}

impl Options {
    /// Free ports everywhere, for tests.
    pub fn any_port() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { listen: any, console: any, admin: any, first_backend_port: 0 }
    }
}

/// Starts the fleet, the console, the proxy and its admin listener, and returns at once.
///
/// # Errors
/// An address or a thread is not to be had.
pub fn start(options: Options) -> Result<Demo, Error> {
    let fleet = Arc::new(Fleet::start(&BACKENDS, options.first_backend_port)?);
    let failed = |error| Error::Console(options.console, error);
    let listener = fleet::bind_or_any(options.console).map_err(failed)?;
    let console_address = listener.local_addr().map_err(failed)?;

    let backends = fleet.staying();
    let (listen, admin) = (options.listen, options.admin);
    let settings = Settings { listen, admin, backends: &backends, console: console_address };
    let config = Config::parse(&settings.toml(Stickiness::On), "demo");
    let config = config.map_err(|errors| Error::Settings(errors.to_string()))?;
    let server = Server::start(&config).map_err(Error::from)?;
    let admin = start_admin(admin, &server.control()).map_err(Error::Proxy)?;

    let console = Console {
        fleet: Arc::clone(&fleet),
        control: server.control(),
        proxy: server.addresses().first().copied().unwrap_or(listen),
        admin: admin.address(),
        own: console_address,
        options,
        stickiness: Mutex::new(Stickiness::On),
    };
    let console = console.start(listener).map_err(failed)?;
    Ok(Demo { server: Some(server), admin, _console: console, console_address, fleet, options })
}

/// Starts the admin listener, on a free port if `address` is taken.
fn start_admin(address: SocketAddr, control: &Control) -> Result<Admin, StartError> {
    let on = |address| Admin::start(&config::Admin { address, token: None, reload: true }, control.clone());
    match on(address) {
        Err(error) if error.address_in_use().is_some() => on(SocketAddr::new(address.ip(), 0)),
        started => started,
    }
}

impl Demo {
    /// Where the proxy listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.as_ref().map_or(&[], Server::addresses)
    }

    /// The proxy; `None` once stopped.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// The backends, to be killed and restarted.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Where the proxy's admin API is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// What to print on start: the addresses and what to try.
    pub fn welcome(&self, style: Style) -> String {
        welcome::text(self, style)
    }

    /// Stops the proxy as `stop` says, waits for it, and ends the rest.
    pub fn stop(mut self, stop: Stop) {
        if let Some(server) = self.server.take() {
            server.stop(stop);
            server.wait();
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Stop::Now);
            server.wait();
        }
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        match error.address_in_use() {
            Some(address) => Self::AddressInUse(address),
            None => Self::Proxy(error),
        }
    }
}

/// An address that may be free.
fn next(mut address: SocketAddr) -> SocketAddr {
    address.set_port(address.port().checked_add(1).unwrap_or(8080));
    address
}
