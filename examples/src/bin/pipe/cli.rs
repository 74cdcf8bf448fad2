//! What the user asks for.

use std::path::PathBuf;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
