//! What the user asks for.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// Compresses a file on a runner, while it is being read.
///
/// The output is FILE.gz, which `gzip -d` turns into FILE again; one that is there already is replaced once the new one is whole.
#[derive(Debug, Parser)]
#[command(name = "pipe", version)]
pub(crate) struct Args {
    /// The file.
    pub(crate) file: PathBuf,

    /// Where it is compressed.
    #[arg(long, value_enum, default_value_t = Backend::Process)]
    pub(crate) backend: Backend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// In a process of its own.
    Process,
    /// In this process.
    Local,
}

impl Args {
    /// The arguments of this process; else help or one line that says what is wrong is printed, and the exit code returned.
    pub(crate) fn parse_or_explain() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            if !error.use_stderr() {
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            let text = error.to_string();
            // clap names what is missing on a line of its own.
            let line = text.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
            let line = line.strip_prefix("error: ").unwrap_or(&line);
            let _ = writeln!(std::io::stderr(), "pipe: {line} (--help tells more)");
            ExitCode::FAILURE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
