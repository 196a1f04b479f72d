//! What may happen, and which of it happens next.

use std::time::Duration;

use homing::backend::health::Observation;
use homing::config::{Balance, Wanted};

use crate::draw::Draw;
use crate::fleet::{Change, Kind};
use crate::traffic::{Stage, Temper};
use crate::world::World;

/// One thing that happens. Requests, exchanges, clients and backends are named by numbers, in order of appearance.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A request comes to a worker, and is decided.
    Ask { worker: usize, client: Option<usize>, tunnel: bool, temper: Temper },
    /// The connection that a request tries comes to be, or fails.
    Connect { request: u32, fails: bool },
    /// A request that waits looks again.
    Look { request: u32 },
    /// A client gives up while its request waits or connects.
    GiveUp { request: u32 },
    /// A worker carries out its orders, and those who were told end.
    Attend { worker: usize },
    /// An exchange ends, or was frozen and goes on.
    End { exchange: u32, answered: bool },
    /// The connection of a closed exchange is gone: its key is let go.
    Settle { exchange: u32 },
    /// A response issues the keys of clients, or takes back the one it was asked with.
    Respond { exchange: u32, issues: Vec<usize>, by_header: bool, takes_back: bool },
    /// An operator ends a session.
    Delete { client: usize },
    /// A check of a backend.
    Check { backend: usize, saw: Observation },
    /// The process of a backend is started anew.
    Restart { backend: usize },
    /// An operator wants something of a backend.
    Operator { backend: usize, wanted: Wanted, secs: u64 },
    /// A backend wants to leave, or no more; its next answer says so.
    Wish { backend: usize, leave: bool },
    /// Another configuration.
    Reload(Change),
    /// Time passes.
    Pass(Duration),
    /// A worker looks for what is due.
    Sweep { worker: usize },
    /// The control thread's second.
    Tidy,
    /// A worker sees nothing new for so many events.
    Lag { worker: usize, events: u32 },
}

/// Most requests under way, and most exchanges.
const REQUESTS: usize = 30;
const EXCHANGES: usize = 90;

impl Event {
    /// What happens next.
    pub(crate) fn draw(world: &World, draw: &mut Draw) -> Self {
        let roll = draw.below(1000);
        let event = match roll {
            0..640 => Self::traffic(world, draw, roll),
            640..660 => Self::respond(world, draw),
            660..668 => Some(Self::Delete { client: draw.below(world.clients.len()) }),
            668..880 => Self::fleet(world, draw),
            880..900 => {
                Some(Self::Lag { worker: draw.below(world.workers.len()), events: 1 + draw.below(20) as u32 })
            }
            900..930 => Some(Self::Tidy),
            930..960 => Some(Self::Sweep { worker: draw.below(world.workers.len()) }),
            _ => Some(Self::Pass(passes(draw))),
        };
        event.unwrap_or_else(|| Self::ask(world, draw))
    }

    fn traffic(world: &World, draw: &mut Draw, roll: usize) -> Option<Self> {
        if world.requests.len() >= REQUESTS {
            let request = nth(&world.requests, draw)?;
            return Some(Self::GiveUp { request });
        }
        if world.exchanges.len() >= EXCHANGES {
            return Self::end(world, draw);
        }
        match roll {
            0..210 => Some(Self::ask(world, draw)),
            210..440 => Self::go_on(world, draw),
            440..540 => Some(Self::Attend { worker: draw.below(world.workers.len()) }),
            _ => Self::end(world, draw),
        }
    }

    fn ask(world: &World, draw: &mut Draw) -> Self {
        let temper = match draw.below(100) {
            0..80 => Temper::Prompt,
            80..94 => Temper::Slow,
            _ => Temper::Frozen,
        };
        // A few rooms are busy.
        let among = draw.pick(&[5, world.clients.len(), world.clients.len()]).min(world.clients.len());
        let client = (!draw.chance(4)).then(|| draw.below(among));
        Self::Ask { worker: draw.below(world.workers.len()), client, tunnel: draw.chance(40), temper }
    }

    fn go_on(world: &World, draw: &mut Draw) -> Option<Self> {
        let request = nth(&world.requests, draw)?;
        Some(match world.requests[&request].stage {
            _ if draw.chance(1) => Self::GiveUp { request },
            Stage::Connects(_) => Self::Connect { request, fails: draw.chance(5) },
            Stage::Waits | Stage::Moves { .. } => Self::Look { request },
        })
    }

    fn end(world: &World, draw: &mut Draw) -> Option<Self> {
        let exchange = nth(&world.exchanges, draw)?;
        let closed = world.exchanges[&exchange].membership.is_none();
        Some(if closed {
            Self::Settle { exchange }
        } else {
            Self::End { exchange, answered: draw.chance(85) }
        })
    }

    fn respond(world: &World, draw: &mut Draw) -> Option<Self> {
        let exchange = nth(&world.exchanges, draw)?;
        let issues = (0..draw.below(4)).map(|_| draw.below(world.clients.len())).collect();
        let teaches = world.kind == Kind::Table && world.exchanges[&exchange].membership.is_some();
        let (by_header, takes_back) = (draw.chance(30), draw.chance(10));
        teaches.then_some(Self::Respond { exchange, issues, by_header, takes_back })
    }

    fn fleet(world: &World, draw: &mut Draw) -> Option<Self> {
        let pool = world.pool();
        let backend = world.number_of(draw.pick(&pool.backends).state.id);
        Some(match draw.below(212) {
            0..170 => Self::Check { backend, saw: saw(world, backend, draw) },
            170..174 => Self::Restart { backend },
            174..186 => {
                let wanted = draw.pick(&[Wanted::Ready, Wanted::Ready, Wanted::Drain, Wanted::Maint]);
                Self::Operator { backend, wanted, secs: draw.below(40) as u64 }
            }
            186..194 => Self::Wish { backend, leave: draw.chance(40) },
            // A large table is slow to build, and the order of the file must not count in it.
            _ if pool.balance == Balance::Maglev && draw.chance(95) => return None,
            _ if pool.balance == Balance::Maglev && draw.chance(50) => Self::Reload(Change::Rotate(1)),
            _ => Self::Reload(Change::draw(&world.config, world.kind, draw)),
        })
    }
}

/// Backends have good and bad times, so that they flap, stay up and stay down.
fn saw(world: &World, backend: usize, draw: &mut Draw) -> Observation {
    let hours = world.now.secs() / 20;
    let mood = homing::stable_hash::mix(u64::from(hours) << 8 | backend as u64) % 10;
    let good = match mood {
        0 => 5,
        1 => 50,
        _ => 97,
    };
    if draw.chance(good) {
        return Observation::Good;
    }
    draw.pick(&[Observation::Refused, Observation::Bad, Observation::Silent, Observation::Silent])
}

fn passes(draw: &mut Draw) -> Duration {
    Duration::from_micros(match draw.below(100) {
        0..60 => draw.below(400_000),
        60..93 => draw.below(4_000_000),
        93..99 => draw.below(120_000_000),
        _ => draw.below(10_000_000_000),
    } as u64)
}

fn nth<T>(all: &std::collections::BTreeMap<u32, T>, draw: &mut Draw) -> Option<u32> {
    (!all.is_empty()).then(|| all.keys().nth(draw.below(all.len())).copied()).flatten()
}
