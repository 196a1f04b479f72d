//! 200 games of chess through the proxy, in parallel and to mate: two players and a spectator each, one of whom drops
//! the socket and comes back. Rooms stay where their state is, whatever happens to the other backends; without
//! stickiness the same games break, and the same checks say so.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod director;
mod house;
mod ledger;
mod lines;
mod operator;
mod player;
mod table;

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use self::house::House;
use self::ledger::{Ledger, Violation};
use self::table::Table;

/// Games.
const ROOMS: usize = 200;

/// Games that begin while a fleet is being replaced, beside those that are being played.
const NEWCOMERS: usize = 40;

/// Games of the longest evening.
const MOST_ROOMS: usize = ROOMS + NEWCOMERS;

/// Every fifth game begins when the fleet has changed already.
const LATE: usize = 5;

/// Whether rooms stay where their state is.
#[derive(Debug, Clone, Copy)]
enum Stickiness {
    On,
    Off,
}

/// What happens to the fleet meanwhile.
#[derive(Debug, Clone, Copy)]
enum Evening {
    Calm,
    Eventful,
    /// Each backend is replaced by another process, one after the other.
    Rolling(Care),
}

/// How backends are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Drained, and waited for.
    Patient,
    /// Drained, with a deadline that comes before the games are over.
    Hasty,
    /// Not drained.
    None,
}

impl Evening {
    fn rooms(self) -> usize {
        if let Self::Rolling(_) = self { MOST_ROOMS } else { ROOMS }
    }

    /// The gate at which the game of a room begins.
    fn begins(self, room: usize) -> Gate {
        match self {
            // All backends are full when the first is replaced; others come when one is back, and when the second is.
            Self::Rolling(_) if room < ROOMS => Gate::Start,
            Self::Rolling(_) if room.is_multiple_of(2) => Gate::Latecomers,
            Self::Rolling(_) => Gate::ThreeQuarters,
            Self::Calm | Self::Eventful if room.is_multiple_of(LATE) => Gate::Latecomers,
            Self::Calm | Self::Eventful => Gate::Start,
        }
    }
}

/// Points in a game at which it may have to wait for the others, in the order in which they open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gate {
    #[default]
    Start,
    Quarter,
    Half,
    /// Games that come late start here.
    Latecomers,
    ThreeQuarters,
    /// Before the last move.
    Mate,
}

/// Each evening has some 2,400 sockets, and both cores, for itself.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn games_come_to_mate_where_they_began() {
    let report = spend(Evening::Calm, Stickiness::On).await;
    all_went_well(&report);
    assert_eq!(report.orphans_and_moved(), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn games_outlive_a_change_of_the_fleet() {
    let report = spend(Evening::Eventful, Stickiness::On).await;
    all_went_well(&report);
    let (orphans, moved) = report.orphans_and_moved();
    assert_eq!(orphans, moved, "each room of a killed backend moves once, and no other does");
    for killed in ["bob", "cleo"] {
        assert!(orphans.iter().any(|(_, backend)| backend == killed), "no room was lost with {killed}");
    }
    let homes = ["ada", "bob", "cleo", "dora"].map(|backend| (backend, report.at_home(backend)));
    for (backend, rooms) in homes {
        assert_eq!(rooms > 0, backend != "cleo", "who came, or came back, is used: {homes:?}");
    }
}

#[tokio::test]
async fn without_stickiness_the_games_break() {
    broke(&spend(Evening::Calm, Stickiness::Off).await);
    broke(&spend(Evening::Eventful, Stickiness::Off).await);
}

#[tokio::test]
async fn a_fleet_is_replaced_without_losing_a_game() {
    let report = spend(Evening::Rolling(Care::Patient), Stickiness::On).await;
    all_went_well(&report);
    assert_eq!(report.orphans_and_moved(), (Vec::new(), Vec::new()), "nothing was left of what was ended");
    let (names, games): (Vec<_>, Vec<_>) = report.replaced().iter().cloned().unzip();
    assert_eq!(names, ["ada", "bob", "cleo"]);
    assert!(games.iter().all(|&live| live >= ROOMS / 6), "games were being played: {games:?}");
}

#[tokio::test]
async fn without_a_drain_or_with_too_short_a_one_the_same_loses_games() {
    let report = spend(Evening::Rolling(Care::None), Stickiness::On).await;
    let (orphans, _) = report.orphans_and_moved();
    assert!(orphans.len() > ROOMS / 6, "games were lost: {orphans:?}");
    let report = spend(Evening::Rolling(Care::Hasty), Stickiness::On).await;
    let disturbed = report.violations_like(|violation| matches!(violation, Violation::Disturbed { .. }));
    assert!(disturbed > ROOMS / 6 && report.mated() < MOST_ROOMS, "{:#?}", report.violations);
}

/// Plays all games, and returns what was seen.
async fn spend(evening: Evening, stickiness: Stickiness) -> Ledger {
    let _alone = ONE_AT_A_TIME.lock().await;
    let house = Arc::new(House::open(&["ada", "bob", "cleo"], evening, stickiness));
    let games: JoinSet<()> =
        (0..evening.rooms()).map(|room| Table::new(house.clone(), room).play()).collect();
    let happens = async {
        match evening {
            Evening::Calm => house.open_gate(Gate::Mate),
            Evening::Eventful => director::stir(&house).await,
            Evening::Rolling(care) => director::roll(&house, care).await,
        }
    };
    tokio::select! {
        _ = async { tokio::join!(games.join_all(), happens) } => {}
        () = house.keep_watch() => {}
    }
    house.read(Ledger::clone)
}

#[track_caller]
fn all_went_well(report: &Ledger) {
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
    assert_eq!((report.mated(), report.reconnected()), (report.rooms(), report.rooms()));
    assert!(report.looks() > 0);
}

#[track_caller]
fn broke(report: &Ledger) {
    let two = report.violations_like(|violation| matches!(violation, Violation::OnTwoBackends { .. }));
    let strayed = report.violations_like(|violation| matches!(violation, Violation::Strayed { .. }));
    let lost = report.violations_like(|violation| matches!(violation, Violation::BoardLost { .. }));
    assert!(two > 0 && strayed > 0 && lost > 0, "{:#?}", report.violations);
    assert!(report.mated() < ROOMS);
}
