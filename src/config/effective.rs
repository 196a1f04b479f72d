//! The configuration as it is in force, in the shape of the file: every key with its value, set or not. Secrets are not
//! among the values it is made of; of files with secrets it has the names.
//!
//! Every struct is taken apart by name, so that a new field cannot be forgotten here.

mod pool;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Admin, Config, HostPattern, Identity, KeySource, Limits, Listener, Log, LogFormat, Pool, Route, Server,
    units,
};

impl Config {
    /// All of it as JSON, in the names of the file. What is not set and has no default is `null`.
    pub fn effective(&self) -> Value {
        let Self { trusted_proxies, server, admin, log, listeners, routes, pools, limits } = self;
        json!({
            "trusted_proxies": texts(trusted_proxies),
            "server": of_server(server),
            "admin": admin.as_ref().map(of_admin),
            "log": of_log(log),
            "listener": listeners.iter().map(of_listener).collect::<Value>(),
            "route": routes.iter().map(|route| of_route(route, pools)).collect::<Value>(),
            "pool": pools.iter().map(pool::shown).collect::<Value>(),
            "limits": of_limits(limits),
        })
    }
}

fn of_server(server: &Server) -> Value {
    let Server { workers, shutdown_timeout, reload_on_change, reload_on_signal, state_dir, state_interval } =
        server;
    json!({
        "workers": workers,
        "shutdown_timeout": time(*shutdown_timeout),
        "reload_on_change": reload_on_change,
        "reload_on_signal": reload_on_signal,
        "state_dir": state_dir.as_deref().map(file),
        "state_interval": time(*state_interval),
    })
}

fn of_admin(admin: &Admin) -> Value {
    let Admin { address, token, reload } = admin;
    let token_file = token.as_ref().and_then(|token| token.file()).map(file);
    json!({ "address": address, "token_file": token_file, "reload": reload })
}

fn of_log(log: &Log) -> Value {
    let Log { level, format, access } = log;
    let format = match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    json!({ "level": level, "format": format, "access": access })
}

fn of_listener(listener: &Listener) -> Value {
    let Listener { address, tls, proxy_protocol, http2, max_connections } = listener;
    let identities = tls.as_ref().map(|tls| tls.identities.iter().map(of_identity).collect::<Value>());
    let authorities = tls.as_ref().and_then(|tls| tls.client_ca.as_ref());
    json!({
        "address": address,
        "tls": identities,
        "client_ca": authorities.and_then(|roots| roots.file.as_deref()).map(file),
        "proxy_protocol": proxy_protocol,
        "http2": http2,
        "max_connections": max_connections,
    })
}

fn of_identity(identity: &Identity) -> Value {
    json!({ "cert": file(&identity.cert), "key": file(&identity.key) })
}

fn of_route(route: &Route, pools: &[Pool]) -> Value {
    let Route { host, path, pool, key } = route;
    let host = match host {
        HostPattern::Any => None,
        HostPattern::Exact(_) | HostPattern::Wildcard(_) => Some(host.to_string()),
    };
    let pool = pools.get(*pool).map(|pool| pool.name.as_str());
    json!({ "host": host, "path": path, "pool": pool, "key": key.as_ref().map(|key| texts(key)) })
}

fn of_limits(limits: &Limits) -> Value {
    let Limits {
        connections,
        connections_per_ip,
        streams,
        header_timeout,
        body_timeout,
        header_bytes,
        headers,
        uri_bytes,
        body_bytes,
        keep_alive,
        queue,
    } = limits;
    json!({
        "connections": connections,
        "connections_per_ip": connections_per_ip,
        "streams": streams,
        "header_timeout": time(*header_timeout),
        "body_timeout": time(*body_timeout),
        "header_bytes": units::shown_size(*header_bytes as u64),
        "headers": headers,
        "uri_bytes": units::shown_size(*uri_bytes as u64),
        "body_bytes": units::shown_size(*body_bytes),
        "keep_alive": time(*keep_alive),
        "queue": queue,
    })
}

fn time(duration: Duration) -> String {
    units::shown_duration(duration)
}

fn file(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn texts<T: ToString>(all: &[T]) -> Value {
    all.iter().map(T::to_string).collect()
}

/// Key sources as the file has them.
fn sources(all: &[KeySource]) -> Value {
    texts(all)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::super::contract::{ALL, Table};
    use super::*;

    /// Two configurations that between them have every table.
    fn samples() -> [Config; 2] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/full.toml");
        let full = Config::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
        let rest = "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\npool = \"app\"\n[[pool]]\nname = \"app\"\n\
            protocol = \"http2\"\ntls = { verify = false, server_name = \"app.internal\" }\n\
            backend = [{ address = \"127.0.0.1:1\" }]\nhealth = { grpc = true, grpc_service = \"games\" }";
        let rest = Config::parse(rest, "rest").unwrap_or_else(|errors| panic!("{errors}"));
        [full, rest]
    }

    /// The names of all keys at any depth.
    fn names(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                found.insert(name.clone());
                names(value, found);
            }),
            Value::Array(items) => items.iter().for_each(|item| names(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_supported_key_is_shown_in_its_table() {
        let mut shown = BTreeSet::new();
        for config in samples() {
            names(&config.effective(), &mut shown);
        }
        let of = |table: &'static Table| table.keys.iter().map(|key| (table.header, *key));
        // What a preset stands for is shown instead of its name.
        let missing: Vec<_> =
            ALL.iter().flat_map(of).filter(|(_, key)| *key != "preset" && !shown.contains(*key)).collect();
        assert!(missing.is_empty(), "describe these keys in src/config/effective.rs: {missing:?}");
    }

    #[test]
    fn what_is_shown_is_a_configuration_that_says_the_same() {
        for config in samples() {
            let shown = config.effective();
            let toml = toml(&shown);
            let again = Config::parse(&toml, "effective").unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
            assert_eq!(again.effective(), shown);
        }
    }

    /// The top level of a file, with each value in one line.
    fn toml(shown: &Value) -> String {
        let fields = shown.as_object().expect("an object");
        let set = fields.iter().filter(|(_, value)| !value.is_null());
        set.map(|(key, value)| format!("{key} = {}", inline(value))).collect::<Vec<_>>().join("\n")
    }

    fn inline(value: &Value) -> String {
        match value {
            Value::Object(fields) => {
                let set = fields.iter().filter(|(_, value)| !value.is_null());
                let set: Vec<_> = set.map(|(key, value)| format!("{key} = {}", inline(value))).collect();
                format!("{{ {} }}", set.join(", "))
            }
            Value::Array(items) => {
                format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
            }
            other => other.to_string(),
        }
    }

    #[test]
    fn files_are_shown_as_they_were_found() {
        let shown = samples()[0].effective();
        let shop =
            shown["pool"].as_array().and_then(|pools| pools.iter().find(|pool| pool["name"] == "shop"));
        let files = &shop.expect("a pool with a cookie")["sticky"]["cookie"]["secret_file"];
        let first = files[0].as_str().map(PathBuf::from).expect("a file");
        assert!(first.ends_with("tests/config/keys/first.key"), "{first:?}");
    }
}
