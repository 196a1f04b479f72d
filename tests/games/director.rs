//! What happens to the fleet while the games are played, each at a point that the games have reached.
//!
//! Games wait at a gate until enough others have come there. It opens as the event begins, so that moves are made
//! while it happens; none can end before the last event is over.

use std::time::Duration;

use tokio::time::timeout;

use super::house::{Closing, House};
use super::ledger::{Removal, Violation};
use super::{Care, Gate};

/// For all events together.
const PATIENCE: Duration = Duration::from_secs(90);

/// Of 200 games, so many make an event happen.
const ENOUGH: usize = 100;

/// Adds `dora`, kills `bob` and brings him back, kills `cleo`.
pub(crate) async fn stir(house: &House) {
    let events = async {
        gather(house, Gate::Quarter).await;
        house.add("dora").await;

        gather(house, Gate::Half).await;
        let orphans = house.kill("bob").await;
        settled(house, &orphans).await;
        house.restart("bob").await;
        house.open_gate(Gate::Latecomers);

        gather(house, Gate::ThreeQuarters).await;
        let orphans = house.kill("cleo").await;
        settled(house, &orphans).await;
    };
    come_to_an_end(house, events).await;
}

/// Replaces each backend while games are played on it, as an operator does: drain, wait, replace, ready, wait. New games
/// come after the first and after the second.
pub(crate) async fn roll(house: &House, care: Care) {
    let events = async {
        gather(house, Gate::Quarter).await;
        replace(house, "ada", care).await;
        gather(house, Gate::Half).await;
        house.open_gate(Gate::Latecomers);
        replace(house, "bob", care).await;
        gather(house, Gate::ThreeQuarters).await;
        replace(house, "cleo", care).await;
    };
    come_to_an_end(house, events).await;
}

async fn replace(house: &House, backend: &str, care: Care) {
    house.note(|ledger| ledger.replacement_begins(backend));
    let operator = house.operator();
    if care != Care::None {
        operator.drain(backend, if care == Care::Patient { "10m" } else { "100ms" }).await;
        house.close_out(backend, Closing::Begins);
        operator.drained(backend).await;
    }
    if backend == "bob" {
        house.start_anew(backend).await;
    } else {
        house.move_away(backend).await;
    }
    house.close_out(backend, Closing::IsOver);
    operator.ready(backend).await;
}

async fn come_to_an_end(house: &House, events: impl Future<Output = ()>) {
    if timeout(PATIENCE, events).await.is_err() {
        house.note(|ledger| ledger.violations.push(Violation::Stuck("the events".to_owned())));
    }
    house.open_gate(Gate::Mate);
}

/// Opens a gate when enough games have come to it.
async fn gather(house: &House, gate: Gate) {
    house.until(|ledger| ledger.arrived(gate) >= ENOUGH).await;
    house.open_gate(gate);
}

/// Waits until all these rooms were seen elsewhere.
async fn settled(house: &House, orphans: &[Removal]) {
    house.until(|ledger| orphans.iter().all(|orphan| ledger.has_left(orphan))).await;
}
