//! A proxy in this process, in front of given backends, with the settings a test is about.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use homing::admin::Admin;
use homing::config::Config;
use homing::explain::{Asked, Explanation};
use homing::server::{BackendStatus, Control, Server, Stop};

use super::backend::Backend;
use super::client::{Client, Response};
use super::wait::eventually;

/// A configuration of one pool, `app`, for all paths. What is not set keeps its default, but for one worker.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    backends: Vec<(String, SocketAddr, u32)>,
    /// Further settings of backends, by name.
    extras: Vec<(String, String)>,
    top: String,
    server: String,
    log: String,
    listener: String,
    routes: String,
    pool: String,
    tables: String,
    limits: String,
    admin: String,
}

/// A running proxy; stopped when dropped.
pub struct Proxy {
    pub address: SocketAddr,
    pub server: Option<Server>,
    pub admin: Option<Admin>,
}

impl Setup {
    pub fn of(backends: &[&Backend]) -> Self {
        let backends = backends.iter().map(|backend| (backend.name.clone(), backend.address, 1)).collect();
        Self { backends, server: "workers = 1".into(), ..Self::default() }
    }

    /// In front of what listens at these addresses.
    pub fn at(backends: &[(&str, SocketAddr)]) -> Self {
        let backends = backends.iter().map(|(name, address)| ((*name).to_owned(), *address, 1)).collect();
        Self { backends, server: "workers = 1".into(), ..Self::default() }
    }

    /// Settings above all tables.
    pub fn top(mut self, settings: &str) -> Self {
        self.top += settings;
        self
    }

    /// The whole of `[server]`.
    pub fn server(mut self, settings: &str) -> Self {
        self.server = settings.into();
        self
    }

    /// With an admin listener that has these settings beside its address.
    pub fn admin(mut self, settings: &str) -> Self {
        self.admin = format!("[admin]\naddress = \"127.0.0.1:0\"\n{settings}");
        self
    }

    pub fn log(mut self, settings: &str) -> Self {
        self.log = settings.into();
        self
    }

    /// Settings of the listener beside its address.
    pub fn listener(mut self, settings: &str) -> Self {
        self.listener = settings.into();
        self
    }

    /// Instead of one route for everything.
    pub fn routes(mut self, routes: &str) -> Self {
        self.routes = routes.into();
        self
    }

    /// Settings of the pool itself.
    pub fn pool(mut self, settings: &str) -> Self {
        self.pool += settings;
        self
    }

    /// One of the pool's tables: `sticky`, `health`, `outlier`, `timeouts`.
    pub fn table(mut self, name: &str, settings: &str) -> Self {
        let _ = writeln!(self.tables, "[pool.{name}]\n{settings}");
        self
    }

    /// Sessions in the table, by these keys.
    pub fn sticky(self, key: &str) -> Self {
        self.table("sticky", &format!("mode = \"table\"\nkey = [{key}]"))
    }

    /// HTTP checks, quicker than anybody would want them.
    pub fn checks(self, rise: u32, fall: u32) -> Self {
        let settings = "path = \"/healthz\"\ninterval = \"40ms\"\ntimeout = \"2s\"";
        self.table("health", &format!("{settings}\nrise = {rise}\nfall = {fall}"))
    }

    pub fn limits(mut self, settings: &str) -> Self {
        self.limits += settings;
        self.limits += "\n";
        self
    }

    pub fn weight(mut self, backend: &str, weight: u32) -> Self {
        self.backends.iter_mut().filter(|known| known.0 == backend).for_each(|known| known.2 = weight);
        self
    }

    /// A backend of that name is found elsewhere.
    pub fn replace_address(&mut self, backend: &str, address: SocketAddr) {
        self.backends.iter_mut().filter(|known| known.0 == backend).for_each(|known| known.1 = address);
    }

    /// Further settings of one backend.
    pub fn backend(mut self, backend: &str, settings: &str) -> Self {
        self.extras.push((backend.into(), settings.into()));
        self
    }

    pub fn toml(&self) -> String {
        let Self { top, server, log, pool, tables, limits, admin, listener, .. } = self;
        let routes = if self.routes.is_empty() { "[[route]]\npool = \"app\"" } else { &self.routes };
        let mut backends = String::new();
        for (name, address, weight) in &self.backends {
            let _ = write!(backends, "[[pool.backend]]\nname = \"{name}\"\naddress = \"{address}\"\n");
            let _ = writeln!(backends, "weight = {weight}");
            for (_, settings) in self.extras.iter().filter(|(of, _)| of == name) {
                let _ = writeln!(backends, "{settings}");
            }
        }
        format!(
            "{top}\n[server]\n{server}\n{admin}\n[log]\n{log}\n[limits]\n{limits}\n[[listener]]\n\
             address = \"127.0.0.1:0\"\n{listener}\n{routes}\n[[pool]]\nname = \"app\"\n{pool}\n{backends}\n{tables}"
        )
    }

    #[track_caller]
    pub fn start(&self) -> Proxy {
        Self::start_toml(&self.toml())
    }

    /// A proxy with a configuration that is not like the others.
    #[track_caller]
    pub fn start_toml(toml: &str) -> Proxy {
        let config = Config::parse(toml, "test").unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
        Proxy::running(&config, Server::start(&config).unwrap())
    }
}

impl Proxy {
    fn running(config: &Config, server: Server) -> Self {
        let admin = config.admin.as_ref().map(|admin| Admin::start(admin, server.control()).unwrap());
        Self { address: server.addresses()[0], server: Some(server), admin }
    }

    /// With the configuration in a file, which it can read again.
    #[track_caller]
    pub fn of_file(path: &Path) -> Self {
        let config = Config::load(path).unwrap_or_else(|errors| panic!("{errors}"));
        Self::running(&config, Server::start_from(path, &config).unwrap())
    }

    /// In front of one backend, with every default.
    #[track_caller]
    pub fn to(backend: &Backend) -> Self {
        Setup::of(&[backend]).start()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str, fields: &[&str]) -> Response {
        self.connect().get(target, fields)
    }

    /// The same for any request, as octets.
    #[track_caller]
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        self.connect().send(request).response()
    }

    /// A connection to the admin listener.
    pub fn connect_admin(&self) -> Client {
        Client::connect(self.admin.as_ref().expect("the proxy has an admin listener").address())
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Puts another configuration in force.
    #[track_caller]
    pub fn apply(&self, setup: &Setup) {
        self.control().apply(&Config::parse(&setup.toml(), "test").unwrap()).unwrap();
    }

    pub fn control(&self) -> Control {
        self.server().control()
    }

    /// What would become of a GET from this machine.
    #[track_caller]
    pub fn explain(&self, target: &str, headers: &http::HeaderMap) -> Explanation {
        let (method, uri) = (&http::Method::GET, &target.parse().unwrap());
        let client_ip = [127, 0, 0, 1].into();
        self.control().explain(&Asked { method, uri, headers, client_ip })
    }

    /// What the proxy knows of a backend.
    pub fn status(&self, backend: &str) -> BackendStatus {
        let status = self.control().status();
        let mut backends = status.pools.into_iter().flat_map(|pool| pool.backends);
        backends.find(|status| status.name == backend).unwrap()
    }

    /// Waits until a backend has this health.
    #[track_caller]
    pub fn until(&self, backend: &str, health: &str) {
        let what = format!("{backend} is {health}");
        eventually(&what, || self.status(backend).health.as_str() == health);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Stop::Now);
            server.wait();
        }
    }
}
