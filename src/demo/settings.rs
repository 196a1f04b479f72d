//! The demo's `proxy.toml`, with stickiness and without. Written as text, because a file is what people will write.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// What the file names.
pub(super) struct Settings<'a> {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) backends: &'a [(String, SocketAddr)],
    pub(super) console: SocketAddr,
}

/// Whether rooms and logins stay where their state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stickiness {
    On,
    Off,
}

/// Close to nothing is in flight in a demo, and its tabs keep their sockets open for ever.
const HEAD: &str = r#"
[server]
shutdown_timeout = "1s"

[log]
level = "warn"
access = false
"#;

const ROUTES: &str = r#"
[[route]]
pool = "console"
[[route]]
path = "/api"
pool = "api"
"#;

const APP_PATHS: [&str; 5] = ["/game", "/chat", "/cache", "/login", "/profile"];

const STICKY: &str = r#"
[pool.sticky]
key = ["path:/game/{room}", "path:/chat/{room}", "path:/cache/{key}", "cookie:sessionId"]
mode = "table"
"#;

/// Short enough to watch.
const DRAIN: &str = r#"
[pool.drain]
timeout = "20s"
spread = "5s"
"#;

const HEALTH: &str = r#"
[pool.health]
path = "/healthz"
interval = "1s"
"#;

impl Settings<'_> {
    /// The whole file.
    pub(super) fn toml(&self, stickiness: Stickiness) -> String {
        let mut text = HEAD.to_owned();
        // Writing to a string cannot fail.
        let _ = write!(text, "\n[admin]\naddress = \"{}\"\n", self.admin);
        let _ = write!(text, "\n[[listener]]\naddress = \"{}\"\n{ROUTES}", self.listen);
        for path in APP_PATHS {
            let _ = write!(text, "[[route]]\npath = \"{path}\"\npool = \"app\"\n");
        }
        let (balance, sticky) = match stickiness {
            Stickiness::On => ("rendezvous", STICKY),
            Stickiness::Off => ("round_robin", ""),
        };
        text += &self.fleet_pool("app", balance, sticky);
        text += &self.fleet_pool("api", "round_robin", "");
        let _ = write!(
            text,
            "\n[[pool]]\nname = \"console\"\n[[pool.backend]]\nname = \"console\"\naddress = \"{}\"\n",
            self.console
        );
        text
    }

    fn fleet_pool(&self, name: &str, balance: &str, sticky: &str) -> String {
        let mut text = format!("\n[[pool]]\nname = \"{name}\"\nbalance = \"{balance}\"\n");
        for (backend, address) in self.backends {
            let _ = write!(text, "[[pool.backend]]\nname = \"{backend}\"\naddress = \"{address}\"\n");
        }
        text + sticky + DRAIN + HEALTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Balance, Config};

    fn config(stickiness: Stickiness) -> Config {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let backends = [("ada".to_owned(), at(9001)), ("bob".to_owned(), at(9002))];
        let settings = Settings { listen: at(8080), admin: at(9902), backends: &backends, console: at(9000) };
        Config::parse(&settings.toml(stickiness), "demo").unwrap()
    }

    #[test]
    fn the_switch_changes_the_stateful_pool_only() {
        let (on, off) = (config(Stickiness::On), config(Stickiness::Off));
        assert_eq!(on.pools[0].sticky.as_ref().map(|sticky| sticky.key.len()), Some(4));
        assert!(off.pools.iter().all(|pool| pool.sticky.is_none()));
        assert_eq!(off.pools[0].balance, Balance::RoundRobin);
        assert_eq!(on.routes.len(), off.routes.len());
    }

    #[test]
    fn the_example_file_fits_the_demo() {
        let example = Config::parse(include_str!("../../proxy.toml"), "proxy.toml").unwrap();
        let names: Vec<_> = example.pools[0].backends.iter().map(|backend| backend.name.as_str()).collect();
        assert_eq!(names, crate::demo::BACKENDS);
    }
}
