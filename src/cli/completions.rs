//! `homing completions`: what a shell needs to complete the command line.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::{Cli, OK};

/// What can be said behind `homing completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Writes the script.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let mut script = Vec::new();
    generate(arguments.shell, &mut Cli::command(), "homing", &mut script);
    // Nobody reads it any more if it cannot be written.
    let _ = io::stdout().write_all(&script);
    OK
}
