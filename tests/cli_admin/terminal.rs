//! On a terminal: colours unless `NO_COLOR` is set, progress in one line, and a screen that is given back. Elsewhere none
//! of that. The terminal is a pseudo-terminal of 100 columns and 24 rows.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, Proxy, eventually};
use crate::{asking, setup, told};

/// A command on a terminal.
struct OnTerminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reading: Option<JoinHandle<()>>,
}

impl OnTerminal {
    fn start(command: &mut Command) -> Self {
        let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&own).unwrap();
        unlockpt(&own).unwrap();
        tcsetwinsize(&own, Winsize { ws_col: 100, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let terminal = ioctl_tiocgptpeer(&own, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let child = command.stdout(terminal.try_clone().unwrap()).stderr(terminal).spawn().unwrap();
        // The command holds copies of the terminal's side, and would keep the reader waiting.
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let shown: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut own, seen) = (File::from(own), shown.clone());
        let reading = std::thread::spawn(move || {
            let mut octets = [0; 4096];
            // The end of a pseudo-terminal is an error.
            while let Ok(count @ 1..) = own.read(&mut octets) {
                seen.lock().unwrap().extend_from_slice(&octets[..count]);
            }
        });
        Self { child, shown, reading: Some(reading) }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn shows(&self, part: &str) -> bool {
        self.shown().contains(part)
    }

    fn interrupt(&self) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    }

    /// What it has shown and its exit code, once it has ended.
    fn end(mut self) -> (String, Option<i32>) {
        let mut status = None;
        eventually("the command ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        self.reading.take().unwrap().join().unwrap();
        (self.shown(), status.unwrap().code())
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command as it is on a terminal that somebody likes in colours.
fn coloured(proxy: &Proxy, arguments: &[&str]) -> Command {
    let mut command = asking(proxy, arguments);
    command.env_remove("NO_COLOR").env("TERM", "xterm-256color");
    command
}

const GREEN_UP: &str = "\x1b[32mup     \x1b[0m";

#[test]
fn colours_are_for_terminals_that_want_them() {
    let proxy = setup(&[&Backend::named("ada")]).start();
    let (shown, code) = OnTerminal::start(&mut coloured(&proxy, &["status"])).end();
    assert!(code == Some(0) && shown.contains(GREEN_UP), "{shown:?}");
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = OnTerminal::start(coloured(&proxy, &["status"]).env(variable.0, variable.1)).end().0;
        assert!(plain.contains("ada") && !plain.contains('\x1b'), "{variable:?}: {plain:?}");
    }
    let piped = crate::support::process::finish(&mut coloured(&proxy, &["status"]));
    assert!(!piped.stdout.contains(&0x1b) && !piped.stdout.is_empty());
}

#[test]
fn the_screen_of_a_watch_is_given_back() {
    let proxy = setup(&[&Backend::named("ada")]).start();
    let watch = OnTerminal::start(&mut coloured(&proxy, &["status", "--watch", "0.1"]));
    eventually("two pictures", || watch.shown().matches("\x1b[H").count() > 1);
    watch.interrupt();
    let (shown, code) = watch.end();
    assert!(code == Some(0) && shown.starts_with("\x1b[?1049h\x1b[?25l"), "{shown:?}");
    let (_, after) = shown.split_once("\x1b[?25h\x1b[?1049l").expect("the shell's screen is back");
    assert!(after.contains("ada"), "the last picture stays: {after:?}");
}

#[test]
fn a_picture_is_no_higher_than_the_screen() {
    let backends: Vec<_> = (0..40).map(|n| Backend::named(&format!("b{n}"))).collect();
    let proxy = setup(&backends.iter().collect::<Vec<_>>()).start();
    let watch = OnTerminal::start(&mut coloured(&proxy, &["status", "--watch", "0.1"]));
    eventually("two pictures", || watch.shown().matches("\x1b[H").count() > 2);
    watch.interrupt();
    let shown = watch.end().0;
    let picture = shown.split("\x1b[H").nth(1).unwrap();
    assert_eq!(picture.matches("\r\n").count(), 23, "{picture:?}");
    assert!(picture.contains("more lines: `homing status POOL --watch`"), "{picture:?}");
}

#[test]
fn progress_is_one_line_on_a_terminal() {
    let ada = echo("ada", &Events::default());
    let proxy = setup(&[&ada]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/room/7");
    tunnel.hear();
    eventually("the tunnel counts", || proxy.status("ada").connections == 1);
    let drain = OnTerminal::start(&mut coloured(&proxy, &["drain", "app/ada", "--timeout", "10m", "--wait"]));
    eventually("a bar", || drain.shows("app/ada: 1 session, 1 tunnel left, at most 9m 5"));
    drop(tunnel);
    told(&proxy, &["sessions", "app", "--key", "7", "--end"]);
    let (shown, code) = drain.end();
    assert_eq!(code, Some(0));
    let (bars, last) = shown.rsplit_once("\r\x1b[2K").unwrap();
    assert!(bars.starts_with("\r\x1b[2K▕") && !bars.contains('\n'), "{shown:?}");
    assert_eq!(last, "app/ada: nothing is left of it\r\n");
}

#[test]
fn an_interrupted_wait_says_that_the_drain_goes_on() {
    let ada = echo("ada", &Events::default());
    let proxy = setup(&[&ada]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/room/7");
    tunnel.hear();
    eventually("the tunnel counts", || proxy.status("ada").connections == 1);
    let drain = OnTerminal::start(&mut coloured(&proxy, &["drain", "app/ada", "--timeout", "10m", "--wait"]));
    eventually("a bar", || drain.shows("left"));
    drain.interrupt();
    let (shown, code) = drain.end();
    assert!(code == Some(1) && shown.contains("the drain of app/ada goes on"), "{shown:?}");
    assert_eq!(proxy.status("ada").state, "drain");
}
