//! A proxy without sockets: a snapshot, a clock that stands still, and requests that begin and end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use homing::backend::Health;
use homing::clock::Now;
use homing::config::Config;
use homing::headers::Fields;
use homing::pool::{Choice, Commit, Decision, Key, Lease, Lessons, Pool, Reason, View};
use homing::snapshot::Snapshot;
use http::{HeaderValue, header};

pub(crate) type Fleet<'a> = &'a [(&'a str, u32)];

pub(crate) const THREE: Fleet<'_> = &[("a", 1), ("b", 1), ("c", 1)];
pub(crate) const TABLE: &str = "[pool.sticky]\nkey = [\"cookie:sid\"]\nmode = \"table\"";
pub(crate) const HASH: &str = "[pool.sticky]\nkey = [\"cookie:sid\"]\nmode = \"hash\"";

pub(crate) struct Proxy {
    pub(crate) settings: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) now: Now,
}

/// A request that has its backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) backend: String,
    pub(crate) reason: Reason,
    pub(crate) lease: Option<Lease>,
}

impl Proxy {
    pub(crate) fn new(settings: &str, fleet: Fleet<'_>) -> Self {
        let snapshot = Snapshot::build(&config(settings, fleet), None, 1, Now(0));
        Self { settings: settings.into(), snapshot, now: Now(1_800_000_000_000_000) }
    }

    pub(crate) fn reload(&mut self, fleet: Fleet<'_>) {
        self.snapshot = Snapshot::build(&config(&self.settings, fleet), Some(&self.snapshot), 1, self.now);
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.snapshot.pools[0]
    }

    pub(crate) fn view(&self) -> View {
        View::new(self.pool(), 0)
    }

    pub(crate) fn key(&self, key: &str) -> Key {
        self.pool().hash_key(key.as_bytes())
    }

    pub(crate) fn position(&self, backend: &str) -> u32 {
        self.pool().backends.iter().position(|known| &*known.name == backend).unwrap() as u32
    }

    pub(crate) fn set(&self, backend: &str, health: Health) {
        self.pool().backends[self.position(backend) as usize].state.set_health(health, self.now);
    }

    pub(crate) fn name(&self, backend: u32) -> String {
        self.pool().backends[backend as usize].name.to_string()
    }

    pub(crate) fn decide_among(&self, key: Option<&str>, tried: &[&str]) -> Option<Decision> {
        let key = key.map(|key| self.key(key));
        let tried: Vec<u32> = tried.iter().map(|backend| self.position(backend)).collect();
        let choice = Choice { skip: &tried, load: &|_| 0, now: self.now };
        self.pool().decide(&self.view(), key.as_ref(), &choice).ok()
    }

    pub(crate) fn decide(&self, key: &str) -> Option<Decision> {
        self.decide_among(Some(key), &[])
    }

    pub(crate) fn commit(&self, key: &str, decision: &Decision, force: bool) -> Commit {
        self.pool().commit(&self.view(), Some(&self.key(key)), decision, self.now, force)
    }

    /// A request that reaches its backend and is still running.
    #[track_caller]
    pub(crate) fn begin(&self, key: &str) -> Visit {
        let decision = self.decide(key).expect("a backend");
        match self.commit(key, &decision, false) {
            Commit::Go(lease) => {
                Visit { backend: self.name(decision.backend), reason: decision.reason, lease }
            }
            other => panic!("not committed: {other:?}"),
        }
    }

    pub(crate) fn end(&self, visit: &Visit) {
        if let Some(lease) = visit.lease {
            self.pool().release(lease, self.now);
        }
    }

    /// A request from its beginning to its end.
    #[track_caller]
    pub(crate) fn visit(&self, key: &str) -> (String, Reason) {
        let visit = self.begin(key);
        self.end(&visit);
        (visit.backend, visit.reason)
    }

    /// Where each of the keys 0 to 99 is taken.
    pub(crate) fn visit_all(&self) -> BTreeMap<String, String> {
        (0..100).map(|i| format!("room-{i}")).map(|key| (key.clone(), self.visit(&key).0)).collect()
    }

    /// A response of `backend` to a request with `key` issues cookies.
    pub(crate) fn respond(&self, backend: &str, key: Option<&str>, issued: &[&str]) -> Lessons {
        let mut response = Fields::new();
        for id in issued {
            let line = HeaderValue::from_str(&format!("sid={id}; Path=/; HttpOnly")).unwrap();
            response.append(header::SET_COOKIE, line);
        }
        let key = key.map(|key| self.key(key));
        self.pool().learn(&self.view(), self.position(backend), key.as_ref(), &response, self.now)
    }
}

pub(crate) fn config(settings: &str, fleet: Fleet<'_>) -> Config {
    let mut source = String::from(
        "listener = [{ address = \"127.0.0.1:0\" }]\nroute = [{ pool = \"app\" }]\n[[pool]]\nname = \"app\"\n",
    );
    source.push_str(settings);
    for (name, weight) in fleet {
        // The address of a backend must not change with its place in the file.
        let port = 9000 + name.bytes().fold(0_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 1000);
        write!(
            source,
            "\n[[pool.backend]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\nweight = {weight}"
        )
        .unwrap();
    }
    Config::parse(&source, "test.toml").unwrap()
}

pub(crate) fn others(backend: &str) -> [&'static str; 2] {
    match backend {
        "a" => ["b", "c"],
        "b" => ["a", "c"],
        _ => ["a", "b"],
    }
}
