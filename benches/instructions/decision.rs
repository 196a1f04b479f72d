//! Decisions to be counted, not timed: `instructions MODE BACKENDS COUNT` makes so many for 64 sessions that come back,
//! and `benches/instructions/run` runs it under callgrind.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

#[path = "../decision/proxy.rs"]
mod proxy;

use http::Uri;

use proxy::Proxy;

const SESSIONS: u64 = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, backends, count] = &arguments[..] else {
        // So does `cargo bench`, which has nothing to ask of it.
        return println!("instructions MODE BACKENDS COUNT: see benches/instructions/run");
    };
    let sticky = match mode.as_str() {
        "cookie" => "sticky = { mode = \"cookie\" }".to_owned(),
        mode => format!("sticky = {{ key = [\"cookie:sid\"], mode = \"{mode}\" }}"),
    };
    let proxy = Proxy::new(&sticky, backends.parse().unwrap());
    let uri = Uri::from_static("/game/board?move=e4");
    let requests: Vec<_> = (0..SESSIONS).map(|session| proxy.fields(session)).collect();
    let count: usize = count.parse().unwrap();
    requests.iter().cycle().take(count).for_each(|fields| proxy.decide(&uri, fields));
}
