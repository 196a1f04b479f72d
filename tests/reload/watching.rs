//! The file is watched: whatever way it is changed in, and whatever stands in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::{Backend, Proxy, Setup, eventually};
use crate::{Filed, setup};

fn watching(backend: &Backend) -> String {
    setup(&[backend]).server("workers = 1\nreload_on_change = true").toml()
}

#[track_caller]
fn until_served_by(proxy: &Proxy, name: &str) {
    eventually(&format!("{name} serves"), || proxy.get("/", &[]).text() == name);
}

/// Who asked for reloads, and what came of each. It is noted a moment after it counts.
#[track_caller]
fn assert_noted(filed: &Filed, expected: &[(&str, &str)]) {
    eventually("all are noted", || filed.noted().len() >= expected.len());
    let noted: Vec<_> = filed.noted().iter().map(|it| (it["by"].clone(), it["outcome"].clone())).collect();
    assert_eq!(noted, expected.iter().map(|&(by, came)| (by.into(), came.into())).collect::<Vec<_>>());
}

#[test]
fn a_change_is_put_in_force_however_it_is_made() {
    let [a, b, c] = ["a", "b", "c"].map(Backend::named);
    let filed = Filed::start(&watching(&a));
    filed.write(&watching(&b));
    until_served_by(&filed.proxy, "b");
    // As editors save, and package managers install.
    let beside = filed.file.0.with_extension("new");
    fs::write(&beside, watching(&c)).unwrap();
    fs::rename(&beside, &filed.file.0).unwrap();
    until_served_by(&filed.proxy, "c");
    assert_noted(&filed, &[("file", "applied"), ("file", "applied")]);
}

/// What Kubernetes does with a `ConfigMap`: the file is a link through a link, and that is what is exchanged.
#[test]
fn a_link_that_leads_elsewhere_is_a_change() {
    let [a, b] = ["a", "b"].map(Backend::named);
    let volume = Volume::new();
    volume.publish("1", &watching(&a));
    symlink("..data/proxy.toml", volume.0.join("proxy.toml")).unwrap();
    let proxy = Proxy::of_file(&volume.0.join("proxy.toml"));
    until_served_by(&proxy, "a");
    volume.publish("2", &watching(&b));
    until_served_by(&proxy, "b");
}

struct Volume(PathBuf);

impl Volume {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("volume-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn publish(&self, version: &str, toml: &str) {
        fs::create_dir(self.0.join(version)).unwrap();
        fs::write(self.0.join(version).join("proxy.toml"), toml).unwrap();
        symlink(version, self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_wrong_file_is_told_once_and_read_again_when_it_changes() {
    let [a, b] = ["a", "b"].map(Backend::named);
    let filed = Filed::start(&watching(&a));
    filed.write(&watching(&b)[..40]);
    eventually("it is refused", || !filed.noted().is_empty());
    assert_eq!(filed.proxy.get("/", &[]).text(), "a");
    // It is looked at again and again meanwhile: what a third look finds comes after two that told nothing.
    filed.write(&watching(&b));
    until_served_by(&filed.proxy, "b");
    assert_noted(&filed, &[("file", "refused"), ("file", "applied")]);
}

#[test]
fn what_was_read_otherwise_is_not_read_again() {
    let [a, b, c] = ["a", "b", "c"].map(Backend::named);
    let filed = Filed::start(&watching(&a));
    filed.write(&watching(&b)).reload();
    filed.write(&watching(&c));
    until_served_by(&filed.proxy, "c");
    assert_noted(&filed, &[("api", "applied"), ("file", "applied")]);
}

#[test]
fn a_proxy_that_does_not_watch_can_be_told_to() {
    let [a, b] = ["a", "b"].map(Backend::named);
    let filed = Filed::start(&Setup::of(&[&a]).toml());
    let changes = filed.write(&watching(&a)).reload().changes;
    assert!(changes.settings.contains(&"server.reload_on_change"), "{changes:?}");
    filed.write(&watching(&b));
    until_served_by(&filed.proxy, "b");
}
