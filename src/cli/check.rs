//! `homing check` and `homing preset show`: what a file or a preset means, without a proxy.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::terminal::{print_json, say};
use super::{NO, OK, refuse};
use crate::config::{Config, Errors, Preset, Summary, did_you_mean};

/// What can be said behind `homing check`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "proxy.toml")]
    config: PathBuf,
    /// Write the problems as JSON: `line`, `column`, `key`, `message` and `help` of each.
    #[arg(long)]
    json: bool,
}

/// What can be said behind `homing preset`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum PresetCommand {
    /// Print what a preset stands for, as one would write it in the file.
    Show {
        /// Its name, as in `sticky.preset`.
        name: String,
        /// Write its settings as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Checks the file; exit code 1 where something is wrong.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let loaded = Config::load(&arguments.config);
    if arguments.json {
        return tell_program(&arguments.config, loaded.as_ref());
    }
    match loaded {
        Ok(config) => {
            say(Summary(&config));
            OK
        }
        Err(errors) => {
            let count = errors.problems().len();
            let s = if count == 1 { "" } else { "s" };
            eprintln!("{errors}\n\n{count} problem{s} in {}", errors.origin());
            NO
        }
    }
}

fn tell_program(path: &Path, loaded: Result<&Config, &Errors>) -> u8 {
    let file = path.display().to_string();
    match loaded {
        Ok(config) => {
            let listeners: Vec<_> = config.listeners.iter().map(|listener| listener.address).collect();
            let pools: Vec<_> = config.pools.iter().map(|pool| &pool.name).collect();
            print_json(&json!({
                "ok": true, "file": file, "problems": [], "listeners": listeners, "pools": pools
            }));
            OK
        }
        Err(errors) => {
            print_json(&json!({ "ok": false, "file": file, "problems": errors.problems() }));
            NO
        }
    }
}

pub(super) fn show_preset(command: &PresetCommand) -> u8 {
    let PresetCommand::Show { name, json } = command;
    match Preset::named(name) {
        Some(preset) if *json => {
            print_json(&json!({ "name": name, "toml": preset.toml(), "settings": preset.json() }));
            return OK;
        }
        Some(preset) => {
            say(preset.toml());
            return OK;
        }
        None => {}
    }
    let names: Vec<_> = Preset::NAMES.iter().map(|(name, _)| *name).collect();
    let near = did_you_mean(name, names.iter().copied()).map(|near| format!(": {near}"));
    let near = near.unwrap_or_default();
    refuse(&format!("there is no preset {name:?}{near}\nthere are {}", names.join(", ")))
}
