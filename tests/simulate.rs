//! Foreseeing: known fleets, known changes, and what must follow from them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use homing::clock::Now;
use homing::config::{Balance, Config};
use homing::simulate::{BackendFigures, Change, Error, Keys, Plan, Report, find_pool, simulate};
use serde_json::Value;

const TABLE: &str = "sticky = { key = [\"query:room\"], mode = \"table\", capacity = 400_000 }\n";
const HASH: &str = "sticky = { key = [\"query:room\"], mode = \"hash\" }\n";
const KEYS: u64 = 10_000;
/// For shares that are to be near what they should be.
const MANY: u64 = 100_000;

fn source(settings: &str, fleet: &[(&str, u32)]) -> String {
    let mut source = format!(
        "listener = [{{ address = \"127.0.0.1:0\" }}]\nroute = [{{ pool = \"app\" }}]\n[[pool]]\nname = \"app\"\n{settings}"
    );
    for (name, weight) in fleet {
        let backend = format!("name = \"{name}\"\naddress = \"127.0.0.1:1\"\nweight = {weight}\n");
        source.extend(["[[pool.backend]]\n", &backend]);
    }
    source
}

#[track_caller]
fn parse(source: &str) -> Config {
    Config::parse(source, "test").unwrap_or_else(|errors| panic!("{errors}\n{source}"))
}

fn attempt(config: &Config, changes: &[Change], keys: u64) -> Result<Report, Error> {
    let plan = Plan { config, pool: find_pool(config, None)?, changes, now: Now(1_800_000_000_000_000) };
    simulate(&plan, &Keys::counted(keys)?)
}

/// What `changes` do to a pool of a, b and c with weights 1, 1 and 2.
#[track_caller]
fn with(settings: &str, changes: &[Change]) -> Report {
    with_keys(settings, changes, KEYS)
}

#[track_caller]
fn with_keys(settings: &str, changes: &[Change], keys: u64) -> Report {
    attempt(&parse(&source(settings, &[("a", 1), ("b", 1), ("c", 2)])), changes, keys).unwrap()
}

fn add(text: &str) -> Change {
    Change::add(text).unwrap()
}

fn weight(text: &str) -> Change {
    Change::weight(text).unwrap()
}

fn remove(name: &str) -> Change {
    Change::Remove(name.into())
}

#[track_caller]
fn figures<'a>(report: &'a Report, name: &str) -> &'a BackendFigures {
    report.backends.iter().find(|figures| figures.name == name).unwrap()
}

#[track_caller]
fn assert_near(found: f64, wanted: f64, by: f64) {
    assert!((found - wanted).abs() <= by, "{found}, not {wanted}");
}

/// Asserts that about as many keys move as have to.
#[track_caller]
fn assert_least(report: &Report, minimum: f64) {
    assert_near(report.placement.minimum_share, minimum, 1e-9);
    let ratio = report.placement.moved_to_minimum.unwrap();
    assert!((0.97..=1.03).contains(&ratio), "{ratio}");
}

// === Placement ===

#[test]
fn an_added_backend_takes_its_share_and_no_more() {
    let report = with_keys(HASH, &[add("d")], MANY);
    assert_least(&report, 1.0 / 5.0);
    assert_eq!(report.placement.moved, Some(figures(&report, "d").keys_after));
    assert_eq!((figures(&report, "d").weight_before, figures(&report, "d").weight_after), (0, 1));
    assert_least(&with_keys(HASH, &[add("d*4")], MANY), 4.0 / 8.0);
}

#[test]
fn a_removed_a_draining_and_a_down_backend_lose_their_keys_alike() {
    let changes = [remove("c"), Change::Drain("c".into()), Change::Down("c".into()), weight("c=0")];
    for settings in [HASH, TABLE] {
        for change in &changes {
            let report = with_keys(settings, std::slice::from_ref(change), 3 * KEYS);
            assert_least(&report, 0.5);
            let lost = figures(&report, "c");
            assert_eq!((lost.weight_before, lost.weight_after, lost.keys_after), (2, 0, 0), "{change}");
            assert_eq!(report.placement.moved, Some(lost.keys_before), "{change}");
            assert_eq!((report.spread_before.backends, report.spread_after.backends), (3, 2));
        }
    }
}

#[test]
fn weights_move_the_difference_of_shares() {
    // 1/4, 1/4 and 1/2 become 1/6, 1/6 and 2/3.
    assert_least(&with_keys(HASH, &[weight("c=4")], MANY), 1.0 / 6.0);
    let scaled = with(HASH, &[weight("a=3"), weight("b=3"), weight("c=6")]);
    assert_eq!((scaled.placement.moved, scaled.placement.moved_to_minimum), (Some(0), None));
    assert!(scaled.placement.minimum_share == 0.0 && scaled.placement.minimum_share.is_sign_positive());
}

#[test]
fn changes_are_made_together_and_in_order() {
    let none = with(HASH, &[remove("a"), add("a")]);
    assert_eq!(none.placement.moved, Some(0), "the order of the file does not matter");
    let both = with(HASH, &[add("d"), weight("d=4"), remove("a"), remove("b")]);
    assert_eq!((figures(&both, "d").weight_after, both.spread_after.backends), (4, 2));
    assert_eq!(both.changes, ["add d", "weight of d to 4", "remove a", "remove b"]);
}

#[test]
fn the_spread_is_that_of_the_policy() {
    let rendezvous = with(TABLE, &[add("d")]);
    for spread in [&rendezvous.spread_before, &rendezvous.spread_after] {
        assert_near(spread.peak_to_mean.unwrap(), 1.0, 0.03);
        assert_near(spread.variation.unwrap(), 0.0, 0.03);
    }
    let turns = with(&format!("balance = \"round_robin\"\n{TABLE}"), &[add("d")]);
    assert_near(turns.spread_before.peak_to_mean.unwrap(), 1.0, 1e-3);
    assert_eq!(figures(&turns, "c").keys_before, KEYS / 2);
    assert_eq!((turns.placement.moved, turns.placement.moved_share), (None, None), "nobody can say");
    let first = with(&format!("balance = \"first\"\n{TABLE}"), &[add("d")]);
    assert_near(first.spread_before.peak_to_mean.unwrap(), 4.0, 1e-9);
}

#[test]
fn another_policy_places_most_keys_elsewhere_and_moves_no_session() {
    let report = with(TABLE, &[Change::Policy(Balance::Maglev)]);
    assert_eq!((report.balance_before.as_str(), report.balance_after.as_str()), ("rendezvous", "maglev"));
    assert!(report.placement.moved_share.unwrap() > 0.5);
    assert_eq!(report.sessions.unwrap().moved_by_deadline, 0);
}

// === Sessions ===

#[test]
fn in_table_mode_an_added_backend_and_other_weights_move_nothing() {
    for changes in [vec![add("d*7")], vec![weight("a=100")], vec![weight("c=0")]] {
        let sessions = with(TABLE, &changes).sessions.unwrap();
        assert_eq!((sessions.total, sessions.moved_now, sessions.moved_by_deadline), (KEYS, 0, 0));
    }
}

#[test]
fn what_leaves_moves_exactly_its_own_by_the_deadline() {
    let settings = format!("{TABLE}drain = {{ timeout = \"10m\" }}\n");
    for change in [remove("b"), Change::Drain("b".into())] {
        let report = with(&settings, &[change]);
        let (lost, sessions) = (figures(&report, "b"), report.sessions.as_ref().unwrap());
        assert_eq!((sessions.moved_now, sessions.moved_by_deadline), (0, lost.sessions_before));
        assert_eq!((lost.sessions_now, lost.sessions_by_deadline), (lost.sessions_before, 0));
        assert_eq!((lost.sessions_before, lost.keys_before), (lost.keys_before, lost.keys_before));
        assert_near(sessions.deadline_seconds, 600.0, 1e-6);
        assert_near(sessions.moved_by_deadline_share, 0.25, 0.01);
        let total: u64 = report.backends.iter().map(|it| it.sessions_by_deadline).sum();
        assert_eq!(total, KEYS, "none is lost");
        for kept in ["a", "c"] {
            assert!(figures(&report, kept).sessions_by_deadline >= figures(&report, kept).sessions_before);
        }
    }
}

#[test]
fn what_is_down_loses_its_sessions_at_once() {
    let report = with(TABLE, &[Change::Down("c".into())]);
    let (lost, sessions) = (figures(&report, "c"), report.sessions.as_ref().unwrap());
    assert_eq!(
        (sessions.moved_now, sessions.moved_by_deadline),
        (lost.sessions_before, lost.sessions_before)
    );
    assert_eq!((lost.sessions_now, sessions.unavailable), (0, 0));
}

#[test]
fn sessions_wait_or_are_refused_where_the_pool_says_so() {
    let down = |policy: &str| {
        let settings = TABLE.replace("mode", &format!("on_backend_down = \"{policy}\", mode"));
        with(&settings, &[Change::Down("c".into())])
    };
    let (wait, reject) = (down("wait"), down("reject"));
    let lost = figures(&wait, "c").sessions_before;
    let (waits, rejects) = (wait.sessions.unwrap(), reject.sessions.unwrap());
    assert_eq!((waits.moved_now, waits.waiting, waits.moved_by_deadline), (0, lost, lost));
    assert_near(waits.deadline_seconds, 10.0, 1e-6);
    assert_eq!((rejects.moved_by_deadline, rejects.rejected), (0, lost));
}

#[test]
fn with_nobody_left_sessions_find_no_backend() {
    let report = with(TABLE, &["a", "b", "c"].map(|name| Change::Down(name.into())));
    let sessions = report.sessions.unwrap();
    assert_eq!((sessions.unavailable, sessions.moved_by_deadline), (KEYS, 0));
    assert_eq!((report.placement.unplaced_before, report.placement.unplaced_after), (0, KEYS));
    assert_eq!(report.spread_after.peak_to_mean, None);
}

#[test]
fn a_table_too_small_keeps_what_it_can() {
    let report = with(&TABLE.replace("400_000", "1000"), &[add("d")]);
    let table = report.table.unwrap();
    assert_eq!((table.sessions, table.capacity), (1000, 1000));
    assert_eq!((report.sessions.unwrap().total, report.placement.unplaced_before), (1000, KEYS - 1000));
}

#[test]
fn backends_take_no_more_sessions_than_they_may() {
    let mut config = parse(&source(TABLE, &[("a", 1), ("b", 1), ("c", 2)]));
    for backend in &mut config.pools[0].backends {
        backend.max_sessions = 3000;
    }
    let report = attempt(&config, &[remove("c")], 7000).unwrap();
    assert!(report.backends.iter().all(|it| it.sessions_by_deadline <= 3000 && it.keys_before <= 3000));
    let sessions = report.sessions.as_ref().unwrap();
    let room = 6000 - figures(&report, "a").sessions_before - figures(&report, "b").sessions_before;
    assert_eq!(sessions.moved_by_deadline, room);
    assert_eq!(sessions.unavailable, figures(&report, "c").sessions_before - room);
}

#[test]
fn the_memory_of_the_table_is_measured() {
    let table = with(TABLE, &[add("d")]).table.unwrap();
    let each = table.bytes_per_session.unwrap();
    assert!((37.0..120.0).contains(&each), "{each}");
    assert_near(each, table.bytes as f64 / table.sessions as f64, 1e-9);
    let hash = with(HASH, &[add("d")]);
    assert_eq!((hash.table, hash.sessions), (None, None));
}

// === What is refused ===

#[track_caller]
fn refusal(settings: &str, change: &Change) -> String {
    let config = parse(&source(settings, &[("alpha-1", 1), ("alpha-2", 1)]));
    attempt(&config, std::slice::from_ref(change), 10).unwrap_err().to_string()
}

#[test]
fn what_is_not_there_is_named_with_what_may_be_meant() {
    for change in
        [remove("alpa-1"), weight("alpa-1=3"), Change::Drain("alpa-1".into()), Change::Down("alpa-1".into())]
    {
        let said = refusal(TABLE, &change);
        assert_eq!(said, "there is no backend \"alpa-1\": did you mean `alpha-1`?");
    }
    assert!(refusal(TABLE, &remove("zzz")).contains("there is alpha-1, alpha-2"));
    assert!(refusal(TABLE, &add("alpha-1")).contains("already"));
    assert!(Change::policy("maglv").unwrap_err().contains("did you mean `maglev`?"));
}

#[test]
fn changes_that_the_file_could_not_say_are_refused() {
    assert!(refusal(HASH, &Change::Policy(Balance::First)).contains("does not hash"));
    let heavy = [weight("a=65535"), Change::Policy(Balance::RingHash)];
    let config = parse(&source(TABLE, &[("a", 1), ("b", 1)]));
    assert!(attempt(&config, &heavy, 10).unwrap_err().to_string().contains("26214"));
    assert!(attempt(&config, &[remove("a"), remove("b")], 10).is_err());
    for wrong in ["", "d*65536", "d*x", "d=nowhere", "=1.2.3.4:5"] {
        assert!(Change::add(wrong).is_err(), "{wrong:?}");
    }
    for wrong in ["a", "a=", "=1", "a=-1"] {
        assert!(Change::weight(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn the_pool_is_the_only_one_that_is_sticky_or_named() {
    let plain = "[[pool]]\nname = \"plain\"\n[[pool.backend]]\naddress = \"127.0.0.1:1\"\n";
    let config = parse(&(source(TABLE, &[("a", 1)]) + plain));
    assert_eq!(find_pool(&config, None).unwrap(), 0);
    assert_eq!(find_pool(&config, Some("app")).unwrap(), 0);
    let said = |name| find_pool(&config, name).unwrap_err().to_string();
    assert!(said(Some("plain")).contains("not sticky"));
    assert!(said(Some("apq")).contains("did you mean `app`?"));
    let two =
        parse(&(source(TABLE, &[("a", 1)]) + &plain.replace("\"plain\"", &format!("\"other\"\n{TABLE}"))));
    assert!(find_pool(&two, None).unwrap_err().to_string().contains("--pool: app, other"));
}

// === Shapes ===

#[test]
fn the_json_has_these_names() {
    let json = serde_json::to_value(with(TABLE, &[add("d")])).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys(&json),
        "backends balance_after balance_before changes keys mode placement pool sessions spread_after spread_before table"
    );
    assert_eq!(keys(&json["keys"]), "distinct lines without_key");
    assert_eq!(
        keys(&json["sessions"]),
        "deadline_seconds moved_by_deadline moved_by_deadline_share moved_now moved_now_share rejected total \
         unavailable waiting"
    );
    assert_eq!(
        keys(&json["placement"]),
        "minimum_share moved moved_share moved_to_minimum unplaced_after unplaced_before"
    );
    assert_eq!(keys(&json["spread_after"]), "backends peak_to_mean variation");
    assert_eq!(
        keys(&json["backends"][0]),
        "keys_after keys_before name sessions_before sessions_by_deadline sessions_now weight_after weight_before"
    );
    assert_eq!(keys(&json["table"]), "bytes bytes_per_session capacity sessions");
}

#[test]
fn the_text_fits_80_columns() {
    let long = "a-rather-long-name-of-a-backend-that-is-added";
    for settings in [TABLE, HASH] {
        let changes =
            [add(&format!("{long}*65535")), remove("a"), Change::Down("b".into()), weight("c=60000")];
        let text = with(settings, &changes).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.lines().next().unwrap().contains("move"), "{text}");
    }
}
