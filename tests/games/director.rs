//! What happens to the fleet while the games are played, each at a point that the games have reached.
//!
//! Games wait at a gate until enough others have come there. It opens as the event begins, so that moves are made
//! while it happens; none can end before the last event is over.

use std::time::Duration;

use tokio::time::timeout;

use super::Gate;
use super::house::House;
use super::ledger::{Removal, Violation};

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
