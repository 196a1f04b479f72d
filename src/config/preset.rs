//! Presets: what `sticky.preset` stands for. Each is a piece of `proxy.toml`, so that it can be shown as it is, and a key
//! that the file sets itself wins over the preset's.

use std::sync::LazyLock;

use toml::de::{DeTable, DeValue};

/// A well-known application whose sessions need no explaining.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// socket.io and engine.io, with or without long-polling.
    SocketIo,
    /// express-session with its `connect.sid`.
    Express,
    /// MCP servers over Streamable HTTP.
    Mcp,
}

impl Preset {
    /// All of them, by the names they have in a file.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("socketio", Self::SocketIo), ("express", Self::Express), ("mcp", Self::Mcp)];

    /// The preset of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, preset)| preset)
    }

    /// The settings it stands for, as they would be written in a file.
    pub const fn toml(self) -> &'static str {
        match self {
            Self::SocketIo => SOCKETIO,
            Self::Express => EXPRESS,
            Self::Mcp => MCP,
        }
    }

    /// The settings within `[pool.sticky]`, for programs.
    pub fn json(self) -> serde_json::Value {
        let settings = self.settings().iter();
        settings.map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
    }

    /// The settings within `[pool.sticky]`.
    pub(super) fn settings(self) -> &'static DeTable<'static> {
        &PARSED[self as usize]
    }
}

const SOCKETIO: &str = r#"[pool.sticky]
mode = "table"
key = ["query:sid"]        # every request of a session but the first names it
learn = ["body:/sid"]      # the answer to the first one issues it: 0{"sid":"..."}
idle_timeout = "2m"        # a client that has not polled for so long has been given up by the server
"#;

const EXPRESS: &str = r#"[pool.sticky]
mode = "table"
key = ["cookie:connect.sid"]
learn = ["cookie:connect.sid"]    # also the new one after `session.regenerate()`
idle_timeout = "24h"              # MemoryStore keeps a session until its cookie's end
"#;

const MCP: &str = r#"[pool.sticky]
mode = "table"
key = ["header:mcp-session-id"]
learn = ["header:mcp-session-id"]    # issued with the answer to `initialize`; a DELETE ends it
idle_timeout = "1h"
on_backend_down = "rebind"           # the new backend answers 404, and the client begins a new session
"#;

static PARSED: LazyLock<Vec<DeTable<'static>>> = LazyLock::new(|| {
    let parse = |&(_, preset): &(&str, Preset)| {
        let mut document = DeTable::parse_recoverable(preset.toml()).0.into_inner();
        let pool = document.remove("pool").and_then(|pool| table(pool.into_inner()));
        let sticky =
            pool.and_then(|mut pool| pool.remove("sticky")).and_then(|sticky| table(sticky.into_inner()));
        sticky.unwrap_or_default()
    };
    Preset::NAMES.iter().map(parse).collect()
});

fn table(value: DeValue<'static>) -> Option<DeTable<'static>> {
    match value {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// A value as presets have them: text, flags and lists.
fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
        }
        DeValue::Integer(number) => {
            number.as_str().parse().map_or(serde_json::Value::Null, |n: i64| n.into())
        }
        DeValue::Float(_) | DeValue::Datetime(_) => serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_a_key() {
        for (name, preset) in Preset::NAMES {
            assert!(preset.settings().get("key").is_some(), "{name}");
            assert_eq!(Preset::named(name), Some(*preset));
        }
    }
}
