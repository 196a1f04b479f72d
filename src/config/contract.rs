//! Which tables and keys `proxy.toml` has.
//! What their values may be is for the checks to say.

use super::suggest;

/// One table of the file and its keys.
#[derive(Debug)]
pub(super) struct Table {
    /// As written in a file: `[pool.sticky]`, `[[pool]]`; empty for the top level.
    pub(super) header: &'static str,
    /// Its keys.
    pub(super) keys: &'static [&'static str],
}

pub(super) const TOP: Table = Table {
    header: "",
    keys: &["trusted_proxies", "server", "admin", "log", "listener", "route", "pool", "limits"],
};
pub(super) const SERVER: Table = Table {
    header: "[server]",
    keys: &[
        "workers",
        "shutdown_timeout",
        "reload_on_change",
        "reload_on_signal",
        "state_dir",
        "state_interval",
    ],
};
pub(super) const ADMIN: Table = Table { header: "[admin]", keys: &["address", "token_file", "reload"] };
pub(super) const LOG: Table = Table { header: "[log]", keys: &["level", "format", "access"] };
pub(super) const LISTENER: Table = Table {
    header: "[[listener]]",
    keys: &["address", "tls", "client_ca", "proxy_protocol", "http2", "max_connections"],
};
pub(super) const LISTENER_TLS: Table = Table { header: "tls", keys: &["cert", "key"] };
pub(super) const ROUTE: Table = Table { header: "[[route]]", keys: &["host", "path", "pool", "key"] };
pub(super) const POOL: Table = Table {
    header: "[[pool]]",
    keys: &[
        "name",
        "balance",
        "hash_balance_factor",
        "panic_threshold",
        "backend",
        "sticky",
        "health",
        "outlier",
        "timeouts",
        "drain",
        "slow_start",
        "protocol",
        "proxy_protocol",
        "tls",
        "retry",
    ],
};
pub(super) const POOL_TLS: Table =
    Table { header: "[pool.tls]", keys: &["ca", "server_name", "cert", "key", "verify"] };
pub(super) const RETRY: Table = Table { header: "[pool.retry]", keys: &["attempts", "budget_percent"] };
pub(super) const BACKEND: Table = Table {
    header: "[[pool.backend]]",
    keys: &["name", "address", "weight", "state", "max_connections", "max_sessions"],
};
pub(super) const STICKY: Table = Table {
    header: "[pool.sticky]",
    keys: &[
        "preset",
        "key",
        "mode",
        "learn",
        "idle_timeout",
        "max_lifetime",
        "capacity",
        "on_backend_down",
        "wait_timeout",
        "cookie",
    ],
};
pub(super) const COOKIE: Table = Table {
    header: "[pool.sticky.cookie]",
    keys: &[
        "name",
        "secret_file",
        "secret_env",
        "same_site",
        "secure",
        "http_only",
        "path",
        "domain",
        "max_age",
        "partitioned",
    ],
};
pub(super) const HEALTH: Table = Table {
    header: "[pool.health]",
    keys: &[
        "path",
        "host",
        "interval",
        "timeout",
        "rise",
        "fall",
        "status",
        "instance_header",
        "instance_json",
        "drain_header",
        "drain_json",
        "grpc",
        "grpc_service",
    ],
};
pub(super) const OUTLIER: Table =
    Table { header: "[pool.outlier]", keys: &["consecutive_failures", "eject", "max_ejected_percent"] };
pub(super) const TIMEOUTS: Table = Table {
    header: "[pool.timeouts]",
    keys: &["connect", "response", "idle", "tunnel_idle", "keep_alive", "queue"],
};
pub(super) const DRAIN: Table = Table { header: "[pool.drain]", keys: &["timeout", "spread"] };
pub(super) const SLOW_START: Table = Table { header: "[pool.slow_start]", keys: &["duration"] };
pub(super) const LIMITS: Table = Table {
    header: "[limits]",
    keys: &[
        "connections",
        "connections_per_ip",
        "streams",
        "header_timeout",
        "body_timeout",
        "header_bytes",
        "headers",
        "uri_bytes",
        "body_bytes",
        "keep_alive",
        "queue",
    ],
};

pub(super) const ALL: &[Table] = &[
    TOP,
    SERVER,
    ADMIN,
    LOG,
    LISTENER,
    LISTENER_TLS,
    ROUTE,
    POOL,
    POOL_TLS,
    BACKEND,
    STICKY,
    COOKIE,
    HEALTH,
    OUTLIER,
    TIMEOUTS,
    RETRY,
    DRAIN,
    SLOW_START,
    LIMITS,
];

/// What to tell someone who wrote `key` in `table`, which has no such key.
pub(super) fn advice(table: &Table, key: &str) -> Option<String> {
    let owners = ALL.iter().filter(|table| table.keys.contains(&key));
    let places: Vec<_> = owners
        .map(|owner| if owner.header.is_empty() { "the top of the file" } else { owner.header })
        .collect();
    if places.is_empty() {
        return suggest::did_you_mean(key, table.keys.iter().copied());
    }
    Some(format!("`{key}` belongs to {}", places.join(" or ")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const REFERENCE: &str = include_str!("../../docs/configuration.md");

    /// The text of the section about a table: from its heading to the next of the same level.
    fn section(table: &Table) -> &'static str {
        let heading = match table.header {
            "" => "## Top level\n".to_owned(),
            header => format!("## `{header}` "),
        };
        let (_, rest) = REFERENCE.split_once(&heading).unwrap_or_else(|| panic!("no section {heading:?}"));
        rest.split("\n## ").next().unwrap_or_default()
    }

    /// What is named in code style.
    fn named(text: &str) -> impl Iterator<Item = &str> {
        text.split('`').skip(1).step_by(2)
    }

    /// The keys that a section has rows for: the first cells of its tables whose first column is called `key`.
    fn rows(section: &str) -> BTreeSet<&str> {
        let mut lines = section.lines();
        let mut keys = BTreeSet::new();
        while lines.any(|line| line.starts_with("| key |")) {
            for row in lines.by_ref().take_while(|line| line.starts_with('|')) {
                keys.extend(row.split('|').nth(1).into_iter().flat_map(named));
            }
        }
        keys
    }

    #[test]
    fn the_reference_has_a_row_for_every_key_and_for_nothing_else() {
        // The two keys of a certificate are told in the section about TLS.
        for table in ALL.iter().filter(|table| table.header != LISTENER_TLS.header) {
            let supported: BTreeSet<_> = table.keys.iter().copied().collect();
            assert_eq!(
                rows(section(table)),
                supported,
                "docs/configuration.md, the section of {:?}",
                table.header
            );
        }
        for key in LISTENER_TLS.keys {
            assert!(
                named(section(&LISTENER)).any(|name| name == *key),
                "nothing about {key} of a certificate"
            );
        }
    }
}
