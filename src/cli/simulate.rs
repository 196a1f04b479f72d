//! `homing simulate`: what changes of a fleet would move.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, FromArgMatches};

use super::terminal::{print_json, say};
use super::{OK, refuse};
use crate::clock::Clock;
use crate::config::Config;
use crate::simulate::{Change, Error, Keys, Plan, find_pool, simulate};

/// What can be said behind `homing simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "proxy.toml")]
    config: PathBuf,
    /// The pool; not needed where one pool is sticky.
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// Keys to try it with: a file with one on each line, or how many of key-0, key-1 and so on.
    #[arg(long, value_name = "FILE|N", default_value = "100000", conflicts_with = "log")]
    keys: String,
    /// Take the keys from an access log of `homing run`, text or JSON. It has hashes of them: how many, not which.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Write the figures as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    changes: Changes,
}

/// The changes in the order in which they were said, whatever they are.
#[derive(Debug)]
struct Changes(Vec<Change>);

type Parser = fn(&str) -> Result<Change, String>;

/// Flag, form, help, and what reads it.
const FLAGS: [(&str, &str, &str, Parser); 6] = [
    ("add", "NAME[=ADDRESS][*WEIGHT]", "Add a backend", Change::add),
    (
        "remove",
        "NAME",
        "Take a backend out of the file: its sessions leave by the drain's deadline",
        |name| Ok(Change::Remove(name.into())),
    ),
    ("weight", "NAME=N", "Give a backend another weight", Change::weight),
    ("drain", "NAME", "Drain a backend", |name| Ok(Change::Drain(name.into()))),
    ("down", "NAME", "Let a backend be down", |name| Ok(Change::Down(name.into()))),
    ("policy", "BALANCE", "Place new keys by another policy, as in `balance`", Change::policy),
];

impl clap::Args for Changes {
    fn augment_args(command: Command) -> Command {
        let flag = |(name, form, help, parser): (&'static str, &'static str, &'static str, Parser)| {
            let flag = Arg::new(name).long(name).value_name(form).help(help);
            flag.action(clap::ArgAction::Append).value_parser(parser).help_heading("Changes")
        };
        command.args(FLAGS.map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Changes {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut said: Vec<(usize, Change)> = Vec::new();
        for (name, ..) in FLAGS {
            let places = matches.indices_of(name).into_iter().flatten();
            let changes = matches.get_many::<Change>(name).into_iter().flatten().cloned();
            said.extend(places.zip(changes));
        }
        said.sort_by_key(|(place, _)| *place);
        Ok(Self(said.into_iter().map(|(_, change)| change).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let Changes(changes) = &arguments.changes;
    if changes.is_empty() {
        return refuse(&"say what changes, like --add NAME: `homing simulate --help`");
    }
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    let foreseen =
        find_pool(&config, arguments.pool.as_deref()).map_err(|error| error.to_string()).and_then(|pool| {
            let plan = Plan { config: &config, pool, changes, now: Clock::start().now() };
            let name = config.pools.get(pool).map_or("", |pool| &pool.name);
            let keys = keys(arguments, name)?;
            simulate(&plan, &keys).map_err(|error| error.to_string())
        });
    match foreseen {
        Ok(report) if arguments.json => print_json(&report),
        Ok(report) => say(report),
        Err(why) => return refuse(&why),
    }
    OK
}

fn keys(arguments: &Arguments, pool: &str) -> Result<Keys, String> {
    let named = |path: &Path| {
        let path = path.display().to_string();
        move |error: Error| format!("{path}: {error}")
    };
    if let Some(path) = &arguments.log {
        return open(path).and_then(|file| Keys::read_log(file, pool)).map_err(named(path));
    }
    if let Ok(count) = arguments.keys.parse() {
        return Keys::counted(count).map_err(|error| error.to_string());
    }
    let path = Path::new(&arguments.keys);
    open(path).and_then(Keys::read).map_err(named(path))
}

fn open(path: &Path) -> Result<BufReader<File>, Error> {
    let file: io::Result<File> = File::open(path);
    Ok(BufReader::with_capacity(256 * 1024, file?))
}
