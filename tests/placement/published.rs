//! Figures that others published about these algorithms, found again here. Each test names its source and says why its
//! tolerance is what it is. Nothing is drawn at random, so a test that passes passes always.
//!
//! The ones that need hundreds of millions of steps run in release builds only: `cargo test --release --test placement`.

use homing::balance::{Balancer, Candidate, Maglev, Member, Ring, SLOTS};
use homing::stable_hash;

use crate::{ask, equidistant};

/// The larger table of the Maglev paper.
const MORE_SLOTS: u32 = 655_373;

// === Fleets and what is measured of them ===

/// One of many sets of `n` names.
fn names(n: u32, set: u32) -> Vec<String> {
    (0..n).map(|i| format!("10.{set}.{}.{}:9000", i / 250, i % 250)).collect()
}

/// Equal members, without those whose positions are in `lost`.
fn members<'a>(names: &'a [String], lost: &[u32]) -> Vec<Member<'a>> {
    let all = names.iter().zip(0..).map(|(name, backend)| Member { backend, weight: 1, name });
    all.filter(|member| !lost.contains(&member.backend)).collect()
}

/// How many of `keys` each of `n` backends has.
fn counts(n: u32, keys: &[u64], pick: impl Fn(u64) -> u32) -> Vec<f64> {
    let mut counts = vec![0.0; n as usize];
    for &key in keys {
        counts[pick(key) as usize] += 1.0;
    }
    counts
}

/// What each backend of a ring has, as a multiple of the mean.
fn ring_shares(n: u32, points: u32, set: u32) -> Vec<f64> {
    let names = names(n, set);
    let ring = Ring::with_points(&members(&names, &[]), points);
    // Places at equal distances measure the arcs of a ring to a few per mille of the mean.
    let counts = counts(n, &equidistant(u64::from(n) * 1_000), |key| ring.pick(key, |_| true).unwrap());
    counts.into_iter().map(|count| count / 1_000.0).collect()
}

fn peak(counts: &[f64]) -> f64 {
    counts.iter().copied().fold(0.0, f64::max) / mean(counts)
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn deviation(shares: &[f64]) -> f64 {
    let mean = mean(shares);
    (shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / shares.len() as f64).sqrt() / mean
}

#[track_caller]
fn assert_near(got: f64, published: f64, tolerance: f64) {
    assert!((got - published).abs() <= tolerance, "{got:.4}, published {published} ± {tolerance}");
}

// === Rings ===

/// D. Gryski, "Consistent Hashing: Algorithmic Tradeoffs" (2018): with 100 points a standard deviation of 10 %, and 99 %
/// of the shares between 0.76 and 1.28; with 1,000 points 3.2 %, and 0.92 to 1.09.
///
/// The 0.5 % quantiles rest on five of 1,000 shares each (two of 400 with 1,000 points), so they are good to a third of
/// a deviation or so.
#[test]
fn ring_points_even_out_as_their_square_root() {
    for (points, sets, published, (low, high)) in
        [(100, 10, 0.10, (0.76, 1.28)), (1_000, 4, 0.032, (0.92, 1.09))]
    {
        let mut shares: Vec<f64> = (0..sets).flat_map(|set| ring_shares(100, points, set)).collect();
        assert_near(deviation(&shares), published, published / 15.0);
        shares.sort_by(f64::total_cmp);
        let tail = shares.len() / 200;
        assert_near(shares[tail], low, published / 3.0);
        assert_near(shares[shares.len() - 1 - tail], high, published / 2.0);
    }
}

/// The theory of rings: `n` backends with `v` points each have shares with a deviation of `sqrt((n - 1) / (n v + 1))`,
/// which is 7.9 % for 160 points. We found no published figure for the largest share; a prototype of this project, with
/// other names, had 1.131, 1.204 and 1.274 times the mean for 10, 100 and 1,000 backends, as means over ten sets.
///
/// One set strays from the mean by some 0.04.
#[test]
fn a_ring_of_160_points_has_an_eighth_too_much_somewhere() {
    for (n, sets, published, tolerance) in
        [(10, 20, 1.131, 0.03), (100, 6, 1.204, 0.04), (1_000, 1, 1.274, 0.06)]
    {
        let shares: Vec<Vec<f64>> = (0..sets).map(|set| ring_shares(n, 160, set)).collect();
        let peaks: Vec<f64> = shares.iter().map(|shares| peak(shares)).collect();
        assert_near(mean(&peaks), published, tolerance);
        let theory = (f64::from(n - 1) / f64::from(n * 160 + 1)).sqrt();
        assert_near(deviation(&shares.concat()), theory, theory / 8.0);
    }
}

// === Maglev ===

/// Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016), §5.3: "almost perfect"
/// balance. By construction shares differ by one slot at most: 66 of 65.5 with 1,000 backends.
#[test]
fn maglev_balances_almost_perfectly() {
    for (n, published) in [(10, 1.0002), (100, 1.001), (1_000, 1.0071)] {
        let names = names(n, 0);
        let table = Maglev::new(&members(&names, &[]));
        let counts = counts(n, &equidistant(SLOTS.into()), |key| table.pick(key, |_| true).unwrap());
        assert!(peak(&counts) <= published + 5e-5, "{} of {n}", peak(&counts));
    }
}

/// What becomes of the slots of a table that is rebuilt without the backends `lost`, in percent of all slots.
struct Disruption {
    changed: f64,
    of_survivors: f64,
}

fn disruption(names: &[String], lost: &[u32], slots: u32) -> Disruption {
    let [before, after] = [&[], lost].map(|lost| Maglev::with_slots(&members(names, lost), slots));
    let (mut changed, mut of_survivors) = (0.0, 0.0);
    for key in equidistant(slots.into()) {
        let owner = before.pick(key, |_| true).unwrap();
        if after.pick(key, |_| true).unwrap() != owner {
            changed += 100.0;
            of_survivors += if lost.contains(&owner) { 0.0 } else { 100.0 };
        }
    }
    Disruption { changed: changed / f64::from(slots), of_survivors: of_survivors / f64::from(slots) }
}

/// Envoy's documentation of load balancers: Maglev moves "approximately double" the keys that a ring moves; a ring moves
/// those of the lost backend. A prototype of this project: 1.56 times for one of 100 backends, 1.02 times for one of 10.
///
/// Which backend is lost changes this by a tenth; the means of several are compared.
#[test]
fn a_rebuilt_maglev_table_moves_up_to_twice_what_it_must() {
    for (n, published, tolerance) in [(10, 1.02, 0.02), (100, 1.56, 0.1)] {
        let names = names(n, 1);
        let lost = [1, 3, 4, 8].map(|tenth| tenth * n / 10);
        let times = lost.map(|lost| disruption(&names, &[lost], SLOTS).changed * f64::from(n) / 100.0);
        assert_near(mean(&times), published, tolerance);
    }
}

/// NSDI 2016, figure 12: of 1,000 backends some fail at once. The figure has no numbers; the prototype's are 0.68, 3.34
/// and 8.26 % of all slots for 1, 10 and 50 failures, of which 0.58, 2.34 and 3.26 % belonged to survivors.
///
/// One set of failures strays by a tenth.
#[test]
fn maglev_tables_change_more_the_more_backends_fail() {
    let names = names(1_000, 2);
    for (failures, changed, of_survivors) in [(1, 0.68, 0.58), (10, 3.34, 2.34), (50, 8.26, 3.26)] {
        let lost: Vec<u32> = (0..failures).map(|i| (i * 61 + 17) % 1_000).collect();
        let got = disruption(&names, &lost, SLOTS);
        assert_near(got.changed, changed, changed * 0.12);
        assert_near(got.of_survivors, of_survivors, of_survivors * 0.12);
    }
}

/// The same figure's point: ten times the slots, fewer changes. The prototype's numbers: 0.42, 1.57 and 5.91 %.
#[test]
#[cfg_attr(debug_assertions, ignore = "builds tables of 655,373 slots: release builds only")]
fn more_slots_change_less() {
    let names = names(1_000, 2);
    for (failures, changed) in [(1, 0.42), (10, 1.57), (50, 5.91)] {
        let lost: Vec<u32> = (0..failures).map(|i| (i * 61 + 17) % 1_000).collect();
        assert_near(disruption(&names, &lost, MORE_SLOTS).changed, changed, changed * 0.12);
    }
}

// === Rendezvous ===

/// How much more than the mean the fullest of 1,000 backends has of `slots` places, in percent.
fn over_provision(set: u32, slots: u32) -> f64 {
    let names = names(1_000, set);
    let candidates: Vec<Candidate> = members(&names, &[])
        .iter()
        .map(|it| Candidate {
            backend: it.backend,
            weight: it.weight,
            node: stable_hash::hash(it.name.as_bytes()),
        })
        .collect();
    let pick = |key| Balancer::Rendezvous.pick(&candidates, &ask(key, &[])).unwrap() as u32;
    100.0 * (peak(&counts(1_000, &equidistant(slots.into()), pick)) - 1.0)
}

/// NSDI 2016, §5.3: 1,000 backends whose slots of a table of 65,537 are given out by rendezvous hashing need 49.5 % more
/// capacity than the mean.
///
/// The largest of 1,000 binomial counts with a mean of 65.5 varies with the names: a prototype of this project had 35.8
/// to 54.1 % over ten sets. A debug build looks at one set, a release build at ten, whose range has the published one.
#[test]
fn rendezvous_needs_half_as_much_again_for_few_slots() {
    let sets = if cfg!(debug_assertions) { 1 } else { 10 };
    let found: Vec<f64> = (0..sets).map(|set| over_provision(set, SLOTS)).collect();
    for &found in &found {
        assert_near(found, 45.0, 12.0);
    }
    if sets > 1 {
        assert!(found.iter().any(|&found| found >= 49.5) && found.iter().any(|&found| found <= 49.5));
    }
}

/// The same with 655,373 slots: 12.3 %. The prototype had 11.5 to 15.2 %.
#[test]
#[cfg_attr(debug_assertions, ignore = "655 million draws: release builds only")]
fn rendezvous_needs_an_eighth_more_for_ten_times_the_slots() {
    assert_near(over_provision(0, MORE_SLOTS), 12.3, 3.0);
}
