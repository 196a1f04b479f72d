//! Watching the file that the configuration came from, where that is wanted. Looked at each second: this finds what a
//! rename, an editor or a symbolic link of Kubernetes has put in its place, on every file system, and needs no thread.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::Control;

/// What tells one state of a file from another without reading it; of a link, what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: SystemTime,
    length: u64,
    inode: (u64, u64),
}

/// How often the file is looked at. A change counts once it is seen twice, so that nothing half written is read.
const LOOK: Duration = Duration::from_secs(1);

/// The state of the file when it was last looked at; none where it cannot be.
#[derive(Debug, Default)]
struct Watch(Option<Stamp>);

impl Stamp {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let about = fs::metadata(path).ok()?;
        Some(Self {
            modified: about.modified().ok()?,
            length: about.len(),
            inode: (about.dev(), about.ino()),
        })
    }
}

impl Watch {
    /// Whether the file is another than when it was `read`, and has been so since the last look.
    fn look(&mut self, now: Option<Stamp>, read: Option<Stamp>) -> bool {
        let is_settled = std::mem::replace(&mut self.0, now) == now;
        is_settled && now != read
    }
}

/// Reads the file again whenever it has changed, as long as that is wanted. What came of it is told by the reload; a file
/// that is refused is not read again before it changes.
pub(super) async fn run(control: Control) {
    let Some(path) = control.source.clone() else { return };
    let mut watch = Watch::default();
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (wanted, read) = {
            let current = control.current();
            (current.config.server.reload_on_change, current.read)
        };
        if !wanted {
            continue;
        }
        let (own, path) = (control.clone(), path.clone());
        let looked = spawn_blocking(move || {
            if watch.look(Stamp::of(&path), read) {
                // What came of it has been told.
                let _ = own.reload("file");
            }
            watch
        });
        // It does not panic; were it to, the file would be looked at anew.
        watch = looked.await.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_when_it_is_seen_twice() {
        let stamp = |length| Some(Stamp { modified: SystemTime::UNIX_EPOCH, length, inode: (1, 1) });
        let (read, mut watch) = (stamp(1), Watch::default());
        let looks = [stamp(1), stamp(1), stamp(2), stamp(3), stamp(3), None, stamp(3), stamp(1), stamp(1)];
        let told = looks.map(|now| watch.look(now, read));
        assert_eq!(told, [false, false, false, false, true, false, false, false, false]);
        assert!(
            !watch.look(None, read) && watch.look(None, read),
            "a file that is gone is told of once it stays so"
        );
    }
}
