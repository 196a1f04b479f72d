//! What it costs to save and load a million sessions: `cargo bench --bench state`. Prints the medians of ten rounds.

use std::hint::black_box;
use std::io::BufWriter;
use std::time::{Duration, Instant};

use homing::affinity::table::{Claim, Fingerprint, SessionTable, Settings};
use homing::clock::Now;
use homing::stable_hash;
use homing::state::{BackendState, Directory, Found, PoolState, TableState, Writer};

const SESSIONS: u64 = 1_000_000;
const ROUNDS: usize = 10;
const NOW: Now = Now(1_800_000_000_000_000);

fn main() {
    let folder = std::env::temp_dir().join(format!("homing-bench-{}", std::process::id()));
    let directory = Directory::open(&folder, Duration::ZERO).expect("the directory can be used");
    let table = filled();
    let whole = rounds(|| copy(&table).0);
    let pause = rounds(|| copy(&table).1);
    let mut octets = 0;
    let saving = rounds(|| {
        let begun = Instant::now();
        octets = save(&directory, &table);
        begun.elapsed()
    });
    let loading = rounds(|| load(&directory));
    println!("{SESSIONS} sessions, {octets} octets, {:.1} each", octets as f64 / SESSIONS as f64);
    println!("copying all shards           {whole:?}");
    println!("the longest of one shard     {pause:?}");
    println!("saving, fsync included       {saving:?}");
    println!("loading into an empty table  {loading:?}");
    std::fs::remove_dir_all(folder).expect("it can be removed");
}

fn rounds(mut measure: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS).map(|_| measure()).collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

/// How long all shards take, and the longest that one takes: no shard is locked for longer.
fn copy(table: &SessionTable) -> (Duration, Duration) {
    let (begun, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
    let copied: Result<(), ()> = table.each_shard(NOW, |sessions| {
        black_box(sessions.len());
        longest = longest.max(last.elapsed());
        last = Instant::now();
        Ok(())
    });
    assert!(copied.is_ok(), "nothing here fails");
    (begun.elapsed(), longest)
}

fn save(directory: &Directory, table: &SessionTable) -> u64 {
    let backend = BackendState {
        name: "a".into(),
        address: "10.0.0.1:9000".into(),
        resolved: None,
        instance: None,
        down: false,
        wanted: "ready".into(),
        in_file: "ready".into(),
        leave: None,
    };
    let common = TableState { seed: table.seed(), last_epoch: table.last_epoch() };
    let pool = PoolState { name: "app".into(), table: Some(common) };
    let saved = directory.save(|file: BufWriter<std::fs::File>| {
        let mut writer = Writer::begin(file, NOW.micros())?;
        writer.pool(&pool, &[backend])?;
        table.each_shard(NOW, |sessions| writer.sessions(sessions.iter().copied()))?;
        writer.end()
    });
    saved.expect("there is room").octets
}

fn load(directory: &Directory) -> Duration {
    let table = empty();
    let begun = Instant::now();
    let Ok(Found::Saved(saved)) = directory.load() else { panic!("it was saved") };
    for pool in saved.pools {
        table.restore(1, 0, pool.sessions, NOW);
    }
    let took = begun.elapsed();
    assert_eq!(table.len() as u64, SESSIONS);
    took
}

fn empty() -> SessionTable {
    let idle_timeout = Duration::from_mins(30);
    let settings = Settings { capacity: 2 * SESSIONS as usize, idle_timeout, max_lifetime: Duration::ZERO };
    let table = SessionTable::new(settings, 1);
    table.new_owner();
    table
}

fn filled() -> SessionTable {
    let table = empty();
    for key in 0..SESSIONS {
        let key = Fingerprint(stable_hash::mix(key));
        if let Claim::Held(binding) = table.claim(key, key.0, 0, NOW) {
            table.release(key, binding.epoch, NOW);
        }
    }
    table
}
