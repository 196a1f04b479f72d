//! A proxy without sockets: route, session key, decide, commit, release. What is done with it is its user's.

use std::fmt::Write as _;
use std::hint::black_box;

use homing::affinity::{Facts, Opened, Sealer, Ticket, session_key};
use homing::clock::Now;
use homing::config::Config;
use homing::headers::Fields;
use homing::pool::{Choice, Commit, Home, Key, Pool, View};
use homing::snapshot::Snapshot;
use http::{HeaderValue, Uri, header};

const NOW: Now = Now(1_800_000_000_000_000);
const HOST: &str = "game.example";

pub(crate) struct Proxy {
    snapshot: Snapshot,
    views: Vec<View>,
}

impl Proxy {
    pub(crate) fn new(sticky: &str, backends: usize) -> Self {
        let mut source = String::from("listener = [{ address = \"127.0.0.1:0\" }]\n");
        for path in ["/", "/api", "/chat", "/game", "/assets"] {
            writeln!(source, "[[route]]\npath = \"{path}\"\npool = \"app\"").unwrap();
        }
        writeln!(source, "[[pool]]\nname = \"app\"\n{sticky}").unwrap();
        for i in 0..backends {
            writeln!(source, "[[pool.backend]]\nname = \"b{i}\"\naddress = \"127.0.0.1:1\"").unwrap();
        }
        let snapshot = Snapshot::build(&Config::parse(&source, "bench.toml").unwrap(), None, 1, Now(0));
        let views = snapshot.pools.iter().map(|pool| View::new(pool, 1)).collect();
        Self { snapshot, views }
    }

    pub(crate) fn decide(&self, uri: &Uri, headers: &Fields) {
        let route = self.snapshot.router.find(HOST, uri.path()).unwrap().unwrap();
        let (pool, view) = (&self.snapshot.pools[route.pool], &self.views[route.pool]);
        let facts = Facts { host: HOST, uri, headers, client_ip: [192, 0, 2, 1].into(), sni: None };
        let sources = route.key.as_deref().unwrap_or(pool.key_sources());
        let key = match pool.sealer() {
            Some(sealer) => Some(carried(pool, sealer, headers)),
            None => session_key(sources, &facts).map(|key| pool.key(&key)),
        };
        let load = |backend: u32| pool.backends[backend as usize].state.counters(0).in_flight.get();
        let choice = Choice { skip: &[], load: &load, now: black_box(NOW) };
        let decision = pool.decide(view, key.as_ref(), &choice).unwrap();
        if let Commit::Go(Some(lease)) = pool.commit(view, key.as_ref(), &decision, NOW, false) {
            pool.release(lease, NOW);
        }
    }

    /// The fields of a request, with cookies of which one is the session.
    pub(crate) fn fields(&self, session: u64) -> Fields {
        let mut headers = Fields::new();
        headers.insert(header::HOST, HeaderValue::from_static(HOST));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
        );
        let mut cookies = format!("theme=dark; sid={session:016x}");
        if let Some(sealer) = self.snapshot.pools[0].sealer() {
            let line = sealer.seal(&self.ticket(session), NOW, false);
            write!(cookies, "; {}", line.to_str().unwrap().split(';').next().unwrap()).unwrap();
        }
        headers.insert(header::COOKIE, HeaderValue::try_from(cookies).unwrap());
        headers
    }

    /// As another proxy may have issued it, for any of the backends.
    fn ticket(&self, session: u64) -> Ticket {
        let backend = session % self.snapshot.pools[0].backends.len() as u64;
        let Home { backend, address, incarnation } = self.views[0].home(backend as u32).unwrap();
        let (epoch, issued, sealed) = (NOW.micros(), NOW.secs(), NOW.secs());
        Ticket { backend, address, incarnation, session, epoch, issued, sealed }
    }
}

/// Opened anew each time: which cookies a worker remembers hangs on a random hash, and counts are to repeat.
fn carried(pool: &Pool, sealer: &Sealer, headers: &Fields) -> Key {
    let Opened::Valid(ticket) = sealer.open(headers, black_box(NOW)) else { panic!("the ticket is good") };
    Key { told: ticket.epoch, ..pool.carried_key(ticket.session, Some(Home::from(&ticket)), None) }
}
