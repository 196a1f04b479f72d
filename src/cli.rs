//! The command line: what can be said, and what answers it. The work itself is the library's.

mod answers;
mod check;
mod client;
mod completions;
mod events;
mod explain;
mod operate;
mod progress;
mod reload;
mod sessions;
mod simulate;
mod status;
mod supervisor;
mod target;
mod terminal;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::{Admin, Patience};
use crate::config::{Config, Log, LogFormat};
use crate::demo::{self, Demo, Style};
use crate::server::{Control, Inherited, Server, Stop};
use crate::telemetry;

use self::check::PresetCommand;
use self::operate::Wish;
use self::terminal::{Paint, complain, say};

/// A reverse proxy and load balancer that brings every session home: to the backend that holds its state.
#[derive(Debug, Parser)]
#[command(name = "homing", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Proxy traffic as a configuration file says.
    ///
    /// SIGTERM and SIGINT stop gracefully, a second one and SIGQUIT at once; SIGHUP reads the file again.
    Run {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE", default_value = "proxy.toml")]
        config: PathBuf,
    },
    /// Say everything that is wrong with a configuration file, or sum it up if nothing is.
    Check(check::Arguments),
    /// Say where a request would go, and why. Nothing is sent to a backend.
    ///
    /// Exit code 0 where a backend would take it, 1 where none would, 2 where the question is wrong.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(explain::Arguments),
    /// Say what changes of a fleet would move: sessions now and by their deadline, and where new keys go.
    ///
    /// The changes are made together, in their order. Nothing is sent anywhere: keys are decided as traffic's would be,
    /// every backend of the file being up.
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(simulate::Arguments),
    /// Show the pools and backends of a running proxy.
    Status(status::Arguments),
    /// Let a backend keep what it has and take nothing new, so that it can be stopped once it is empty.
    ///
    /// Exit code 0 when it is said, or with --wait when nothing is left of the backend; 1 when something is after the wait.
    #[command(after_help = DRAIN_EXAMPLES)]
    Drain(operate::DrainArguments),
    /// Let a backend take new work again.
    ///
    /// Exit code 0 when it is said, or with --wait when the backend is up; 1 when it is not after the wait.
    Ready(operate::Arguments),
    /// Let a backend take nothing at all; what it has moves at once.
    ///
    /// Exit code 0 when it is said, or with --wait when nothing is left of the backend; 1 when something is after the wait.
    Maint(operate::Arguments),
    /// Show the sessions of a pool, where one of them is, or end it.
    ///
    /// Exit code 1 where there is no session of the key.
    Sessions(sessions::Arguments),
    /// Let a running proxy read its file again, or say what that would change.
    ///
    /// Exit code 1 where the file is refused; the proxy then goes on as before.
    Reload(reload::Arguments),
    /// Tell what happens to a running proxy, as it happens.
    Events(events::Arguments),
    /// Write what a shell needs to complete this command line.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(completions::Arguments),
    /// Look at presets of `sticky.preset`.
    Preset {
        #[command(subcommand)]
        command: PresetCommand,
    },
    /// Run three stateful backends behind the proxy, with a page to play on.
    Demo {
        /// Where the proxy of the demo listens.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Write the proxy's log, one line per request, instead of warnings only.
        #[arg(long)]
        log: bool,
    },
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  homing explain GET /game/7
  homing explain -c proxy.toml GET http://chess.example.com/ -H 'Cookie: sid=1'
  homing explain --admin http://127.0.0.1:9900 --json GET /game/7";

const DRAIN_EXAMPLES: &str = "\
Examples:
  homing drain chess/chess-1 --timeout 10m --wait && systemctl restart chess-1
  homing ready chess/chess-1 --wait";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  homing completions bash > /etc/bash_completion.d/homing
  homing completions zsh > \"${fpath[1]}/_homing\"
  homing completions fish > ~/.config/fish/completions/homing.fish";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  homing simulate --add chess-4
  homing simulate --pool chess --remove chess-1 --add 'chess-4=10.0.0.4:9000*2'
  homing simulate --keys rooms.txt --weight chess-1=3 --json
  homing simulate --log access.log --down chess-2";

/// It did what was asked.
const OK: u8 = 0;
/// The answer is no.
const NO: u8 = 1;
/// It was not asked rightly, or cannot be done as configured.
const USAGE: u8 = 2;

/// Does what the command line says.
pub fn main() -> ExitCode {
    ExitCode::from(match Cli::parse().command {
        Command::Run { config } => run(&config),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Drain(arguments) => operate::drain(&arguments),
        Command::Ready(arguments) => operate::run(&arguments, Wish::Ready),
        Command::Maint(arguments) => operate::run(&arguments, Wish::Maint),
        Command::Sessions(arguments) => sessions::run(&arguments),
        Command::Reload(arguments) => reload::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Preset { command } => check::show_preset(&command),
        Command::Demo { listen, log } => run_demo(listen, log),
    })
}

fn run(path: &Path) -> u8 {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    let mut inherited = Inherited::from_env();
    let _log = match telemetry::init(&config.log) {
        Ok(guard) => guard,
        Err(error) => return refuse(&format!("log.level: {error}")),
    };
    let signals = Signals::new();
    let for_admin = config.admin.as_ref().and_then(|admin| inherited.take(admin.address));
    let server = match Server::start_with(Some(path), &config, inherited) {
        Ok(server) => server,
        Err(error) => return refuse(&error),
    };
    for address in server.addresses() {
        tracing::info!(%address, "listening");
    }
    let start_admin = |admin| match for_admin {
        Some(socket) => Admin::start_on(socket, admin, server.control(), Patience::default()),
        None => Admin::start(admin, server.control()),
    };
    let admin = match config.admin.as_ref().map(start_admin).transpose() {
        Ok(admin) => admin,
        Err(error) => return refuse(&error),
    };
    if let Some(admin) = &admin {
        tracing::info!(address = %admin.address(), "admin listening");
    }
    supervisor::ready();
    signals.until_stopped(&server);
    server.wait();
    tracing::info!("stopped");
    OK
}

fn run_demo(listen: SocketAddr, log: bool) -> u8 {
    let level = if log { "info" } else { "warn" };
    let logging = telemetry::init(&Log { level: level.into(), format: LogFormat::Text, access: true });
    let _log = match logging {
        Ok(guard) => guard,
        Err(error) => return refuse(&error),
    };
    let signals = Signals::new();
    let demo = match demo::start(demo::Options { listen, ..demo::Options::default() }) {
        Ok(demo) => demo,
        Err(error) => return refuse(&error),
    };
    say(format_args!("{}\n", demo.welcome(style())));
    // Nobody's game is lost that the end of the process would not end: no grace.
    signals.wait_for_one();
    Demo::stop(demo, Stop::Now);
    OK
}

fn style() -> Style {
    match Paint::on(&std::io::stdout()) {
        Paint::Colours => Style::Terminal,
        Paint::Nothing => Style::Plain,
    }
}

/// Does what waits for others, on a thread that does nothing else.
fn block_on<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a process that cannot make a runtime at its start cannot do anything").block_on(what)
}

fn refuse(reason: &dyn std::fmt::Display) -> u8 {
    complain(reason);
    USAGE
}

/// What SIGHUP asks for.
fn reload(control: &Control) {
    supervisor::reloading();
    // What came of it has been logged.
    let _ = control.reload("signal");
    supervisor::ready();
}

/// The signals that stop the process or reload its file, caught from the moment this exists.
struct Signals {
    runtime: tokio::runtime::Runtime,
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a process that cannot make a runtime at its start cannot do anything");
        let entered = runtime.enter();
        let catch = |kind| signal(kind).expect("these signals can be caught on every Unix");
        let (interrupt, terminate) = (catch(SignalKind::interrupt()), catch(SignalKind::terminate()));
        let (quit, hangup) = (catch(SignalKind::quit()), catch(SignalKind::hangup()));
        drop(entered);
        Self { runtime, interrupt, terminate, quit, hangup }
    }

    /// The kind of stop the next signal asks for. Until then `hung_up` does what SIGHUP asks for.
    fn next(&mut self, hung_up: impl Fn()) -> Stop {
        let Self { runtime, interrupt, terminate, quit, hangup } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => return Stop::Graceful,
                    _ = terminate.recv() => return Stop::Graceful,
                    _ = quit.recv() => return Stop::Now,
                    _ = hangup.recv() => hung_up(),
                }
            }
        })
    }

    fn wait_for_one(mut self) {
        self.next(|| {});
    }

    /// Passes signals on to `server` until it has been told to stop; a second one is obeyed at once.
    fn until_stopped(mut self, server: &Server) {
        let control = server.control();
        let stop = self.next(|| reload(&control));
        tracing::info!(?stop, "stopping");
        supervisor::stopping();
        server.stop(stop);
        let handle = server.stopper();
        std::thread::spawn(move || {
            self.next(|| {});
            handle.stop(Stop::Now);
        });
    }
}
