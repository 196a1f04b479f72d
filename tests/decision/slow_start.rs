//! A backend that has come up takes a growing share: of the keys, and of the requests without one.

use std::time::Duration;

use homing::backend::Health;
use homing::pool::{Choice, View};

use super::proxy::{Proxy, TABLE, THREE};

const SLOWLY: &str = "[pool.slow_start]\nduration = \"100s\"";

/// `b` came up so long ago.
fn since(settings: &str, secs: u64) -> Proxy {
    let mut proxy = Proxy::new(settings, THREE);
    proxy.set("b", Health::Down);
    proxy.set("b", Health::Up);
    proxy.now = proxy.now.after(Duration::from_secs(secs));
    proxy
}

/// How many of 3000 requests in the same moment `b` takes.
fn taken(proxy: &Proxy, keyed: bool) -> usize {
    let (view, b) = (View::new(proxy.pool(), 0), proxy.position("b"));
    let choice = Choice { skip: &[], load: &|_| 0, now: proxy.now };
    let backend = |i: u32| {
        let key = keyed.then(|| proxy.key(&format!("room-{i}")));
        proxy.pool().decide(&view, key.as_ref(), &choice).unwrap().backend
    };
    (0..3000).filter(|&i| backend(i) == b).count()
}

#[test]
fn the_share_grows_with_time() {
    for (settings, keyed) in [(SLOWLY.to_owned(), false), (format!("{SLOWLY}\n{TABLE}"), true)] {
        for (secs, least, most) in [(0, 20, 90), (50, 400, 700), (100, 900, 1100)] {
            let taken = taken(&since(&settings, secs), keyed);
            assert!((least..=most).contains(&taken), "{taken} of 3000 after {secs} s, with keys: {keyed}");
        }
    }
}

#[test]
fn a_fleet_that_is_seen_for_the_first_time_starts_at_once() {
    let proxy = Proxy::new(SLOWLY, THREE);
    proxy.set("b", Health::Up);
    assert_eq!(taken(&proxy, false), 1000);
}
