//! Files, directories and disks that are not as they should be. Nothing that was kept is lost, and traffic goes on.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::json;

use crate::support::process::{File, Process, run};
use crate::support::{Backend, eventually};
use crate::{AT_THE_END, Folder, OFTEN, Running, setup};

/// A directory in which a proxy has left some sessions, and their rooms.
fn left(backends: &[&Backend], rooms: usize) -> (Folder, Vec<String>) {
    let folder = Folder::new();
    let running = Running::start(&setup(backends, &folder, AT_THE_END));
    let rooms = running.rooms(0..rooms);
    running.end(Signal::TERM);
    (folder, rooms)
}

/// That the proxy does not start, and says so.
#[track_caller]
fn assert_no_start(backends: &[&Backend], folder: &Folder, parts: &[&str]) {
    let output = run(&["run", "-c", File::with(&setup(backends, folder, AT_THE_END).toml()).path()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(parts.iter().all(|part| said.contains(part)), "not {parts:?}: {said}");
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_kept_is_for_the_owner_alone() {
    let (folder, _) = left(&[&Backend::named("a")], 1);
    assert_eq!((mode(&folder.0), mode(&folder.file())), (0o700, 0o600));
}

#[test]
fn a_damaged_file_is_refused_as_a_whole_and_put_aside() {
    let backends = ["a", "b"].map(Backend::named);
    for damage in [
        (|octets| octets.truncate(octets.len() - 1)) as fn(&mut Vec<u8>),
        |octets| *octets.last_mut().unwrap() ^= 1,
        |octets| octets[8] = 9,
        |octets| *octets = b"[sessions]\n".to_vec(),
        |octets| octets.clear(),
    ] {
        let (folder, _) = left(&backends.each_ref(), 20);
        let mut octets = folder.octets();
        damage(&mut octets);
        fs::write(folder.file(), &octets).unwrap();
        let running = Running::start(&setup(&backends.each_ref(), &folder, OFTEN));
        assert!(running.says("the kept state is refused"), "{:?}", running.process.lines());
        assert_eq!(
            (running.backend("a")["sessions"].clone(), running.backend("b")["sessions"].clone()),
            (json!(0), json!(0))
        );
        assert_eq!(fs::read(folder.0.join("homing.state.broken")).unwrap(), octets);
        running.room(1);
        running.until_saved();
        assert_eq!(running.state()["sessions"], 1);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_written_over() {
    let backends = ["a", "b"].map(Backend::named);
    let folder = Folder::new();
    fs::create_dir_all(folder.file()).unwrap();
    assert_no_start(&backends.each_ref(), &folder, &["cannot read", "homing.state", "directory"]);
    assert!(folder.file().is_dir());
}

#[test]
fn a_directory_that_cannot_be_used_is_named_at_the_start() {
    let a = Backend::named("a");
    let folder = Folder::new();
    fs::write(&folder.0, "a file").unwrap();
    assert_no_start(&[&a], &folder, &["cannot make", folder.0.to_str().unwrap()]);
    fs::remove_file(&folder.0).unwrap();

    fs::create_dir(&folder.0).unwrap();
    fs::set_permissions(&folder.0, Permissions::from_mode(0o777)).unwrap();
    assert_no_start(&[&a], &folder, &["others can write", "chmod go-w"]);

    fs::set_permissions(&folder.0, Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(folder.0.join("homing.state.next")).unwrap();
    assert_no_start(&[&a], &folder, &["cannot write", "homing.state.next"]);
}

#[test]
fn a_second_proxy_is_refused() {
    let a = Backend::named("a");
    let folder = Folder::new();
    let first = Running::start(&setup(&[&a], &folder, OFTEN));
    let by = format!("process {}", first.process.pid().as_raw_nonzero());
    assert_no_start(&[&a], &folder, &["in use by another proxy", &by]);
    first.room(1);
    first.until_saved();
}

/// The next one waits until the one before has saved and gone.
#[test]
fn a_proxy_takes_over_from_one_that_ends() {
    let backends = ["a", "b"].map(Backend::named);
    let folder = Folder::new();
    let setup = setup(&backends.each_ref(), &folder, AT_THE_END);
    let before = Running::start(&setup);
    let rooms = before.rooms(0..20);
    let file = File::with(&setup.toml());
    let next = Process::start(&["run", "-c", file.path()]);
    eventually("it waits", || {
        fs::read_dir(format!("/proc/{}/fd", next.pid().as_raw_nonzero())).is_ok_and(|all| {
            all.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.ends_with("homing.lock")))
        })
    });
    before.end(Signal::TERM);
    eventually("it has all sessions", || next.lines().iter().any(|line| line.contains("sessions=20")));
    drop(next);
    assert_eq!(Running::start(&setup).rooms(0..20), rooms);
}

#[test]
fn a_port_in_use_leaves_the_file_alone() {
    let backends = ["a", "b"].map(Backend::named);
    let (folder, rooms) = left(&backends.each_ref(), 20);
    let octets = folder.octets();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = setup(&backends.each_ref(), &folder, AT_THE_END);
    let port = format!("[[listener]]\naddress = \"{}\"", taken.local_addr().unwrap());
    let toml = setup.toml().replace("[[listener]]\naddress = \"127.0.0.1:0\"", &port);
    let output = run(&["run", "-c", File::with(&toml).path()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(folder.octets() == octets, "the file was written");
    assert_eq!(Running::start(&setup).rooms(0..20), rooms);
}

/// A disk that is full, as far as files of this process go.
#[test]
fn a_full_disk_loses_nothing_and_holds_up_nobody() {
    let backends = ["a", "b"].map(Backend::named);
    let (folder, rooms) = left(&backends.each_ref(), 4);
    let file = File::with(&setup(&backends.each_ref(), &folder, OFTEN).toml());
    // Blocks of 512 octets, two at most; and a signal that would end the process is left to be an error.
    let script =
        format!("trap '' XFSZ; ulimit -f 2; exec {} run -c {}", env!("CARGO_BIN_EXE_homing"), file.path());
    let (process, address) = Process::of_command("sh", &["-c", &script]);
    let admin = process.admin();
    let running = Running { process, address, admin };
    running.rooms(0..200);
    eventually("a save fails", || {
        running.state()["error"].as_str().is_some_and(|why| why.contains("cannot write"))
    });
    // One that was small enough may have been written meanwhile.
    let octets = folder.octets();
    assert_eq!(running.rooms(0..4), rooms);
    running.rooms(200..300);
    let lines = running.end(Signal::TERM);
    // Looked for now that nobody saves: a save that fails has it for a moment.
    assert!(!folder.0.join("homing.state.next").exists());
    assert_eq!(lines.iter().filter(|line| line.contains("state not saved")).count(), 1, "{lines:?}");
    assert!(folder.octets() == octets, "the former file stays");
    assert_eq!(Running::start(&setup(&backends.each_ref(), &folder, AT_THE_END)).rooms(0..4), rooms);
}

#[test]
fn saving_goes_on_when_the_directory_is_there_again() {
    let a = Backend::named("a");
    let folder = Folder::new();
    let running = Running::start(&setup(&[&a], &folder, OFTEN));
    let away = folder.0.with_extension("away");
    fs::rename(&folder.0, &away).unwrap();
    running.room(1);
    eventually("a save fails", || running.state()["error"].is_string());
    assert_eq!(running.room(1), "a");
    fs::rename(&away, &folder.0).unwrap();
    running.until_saved();
    assert_eq!(
        (running.state()["error"].clone(), running.state()["sessions"].clone()),
        (json!(null), json!(1))
    );
    assert!(running.says("state is saved again"));
}
