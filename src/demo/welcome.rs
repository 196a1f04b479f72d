//! What `homing demo` prints when it runs.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::Demo;

/// How text may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With colours and weights, for a terminal.
    Terminal,
    /// Nothing but text.
    Plain,
}

const BOLD: &str = "1";
const FAINT: &str = "2";
const LINK: &str = "1;4";

/// The colours the page gives the backends, as the terminal's 256 come close.
const COLOURS: [&str; 3] = ["38;5;30", "38;5;172", "38;5;132"];

pub(super) fn text(demo: &Demo, style: Style) -> String {
    let proxy = demo.addresses().first().copied().unwrap_or(demo.options.listen);
    let url = format!("http://{proxy}/");
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n  {}  {}\n", style.paint(BOLD, "Homing demo"), style.paint(LINK, &url));
    for (backend, colour) in demo.fleet.backends().iter().zip(COLOURS.iter().cycle()) {
        let name = style.paint(colour, &format!("● {:<8}", backend.name));
        let _ = writeln!(text, "  {name} {}   {}", backend.address, style.paint(FAINT, "stateful backend"));
    }
    let _ = writeln!(
        text,
        "  {} {}   {}",
        style.paint(BOLD, "○ console "),
        demo.console_address,
        style.paint(FAINT, "the page, behind the proxy too")
    );
    let _ = writeln!(
        text,
        "  {} {}   {}",
        style.paint(BOLD, "○ admin   "),
        demo.admin_address(),
        style.paint(FAINT, "the proxy's API for operators")
    );
    text += &moved(demo, style);
    text += &things_to_try(proxy, demo.admin_address(), style);
    let _ = writeln!(text, "\n  {}", style.paint(FAINT, "Ctrl-C ends it."));
    text
}

fn things_to_try(proxy: SocketAddr, admin: SocketAddr, style: Style) -> String {
    let faint = |text: &str| style.paint(FAINT, text);
    let steps = [
        "Open the page in two windows and play: both boards are one game in one backend's memory.".to_owned(),
        "Refresh in the middle of the game. The board comes back.".to_owned(),
        "Kill the backend your room lives on. The room moves, once, and all its people with it.".to_owned(),
        "Drain a backend instead. Its rooms stay for 20 seconds, and leave one after the other.".to_owned(),
        "Turn stickiness off and see the game fall apart.".to_owned(),
        format!("Without a browser: {}", faint(&format!("curl http://{proxy}/api/whoami"))),
        format!("As an operator: {}", faint(&format!("curl http://{admin}/api/status"))),
    ];
    let mut text = format!("\n  {}\n", style.paint(BOLD, "Try this"));
    for (number, step) in (1..).zip(steps) {
        let _ = writeln!(text, "  {} {step}", faint(&format!("{number}.")));
    }
    text
}

/// Who is not where `proxy.toml` expects them.
fn moved(demo: &Demo, style: Style) -> String {
    let mut wanted = Vec::new();
    if demo.options.console.port() != 0 {
        wanted.push(("console".to_owned(), demo.options.console, demo.console_address));
    }
    if demo.options.admin.port() != 0 {
        wanted.push(("admin".to_owned(), demo.options.admin, demo.admin_address()));
    }
    if demo.options.first_backend_port != 0 {
        let ports = demo.options.first_backend_port..;
        wanted.extend(demo.fleet.backends().into_iter().zip(ports).map(|(backend, port)| {
            (backend.name, SocketAddr::new(backend.address.ip(), port), backend.address)
        }));
    }
    let mut text = String::new();
    for (name, wanted, got) in wanted.into_iter().filter(|(_, wanted, got)| wanted != got) {
        let note = format!("{wanted} is in use, so {name} listens on {got}.");
        let _ = writeln!(text, "  {}", style.paint(FAINT, &note));
    }
    text
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Terminal => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}
