//! What the programs do alike: they take a command line, say in one line on stderr why they fail, and end when they are told to.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

/// The arguments of this process.
///
/// # Errors
///
/// There are none to go on with: help, or one line that says what is wrong, has been printed. The exit code to end with.
pub fn arguments<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        if !error.use_stderr() {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        let text = error.to_string();
        // clap names what is missing on a line of its own.
        let line = text.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        let line = line.strip_prefix("error: ").unwrap_or(&line);
        complain(A::command().get_name(), format_args!("{line} (--help tells more)"));
        ExitCode::FAILURE
    })
}

/// Says a line on stderr, as `program`.
pub fn complain(program: &str, line: impl Display) {
    // A closed stderr takes no line; the exit code still tells.
    let _ = writeln!(io::stderr(), "{program}: {line}");
}

/// Why a program ends before its work is done.
#[derive(Debug, Error)]
pub enum Stopped {
    /// It was told to.
    #[error("interrupted")]
    By(SignalKind),
    /// It could not hear that it is told to.
    #[error("cannot wait for signals: {0}")]
    Deaf(io::Error),
}

impl Stopped {
    /// 128 and the signal, as shells have it.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::By(signal) => u8::try_from(128 + signal.as_raw_value()).unwrap_or(1).into(),
            Self::Deaf(_) => ExitCode::FAILURE,
        }
    }
}

/// Waits for Ctrl-C or a request to end.
pub async fn stopped() -> Stopped {
    let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
    match (signal(interrupt), signal(terminate)) {
        (Ok(mut int), Ok(mut term)) => tokio::select! {
            _ = int.recv() => Stopped::By(interrupt),
            _ = term.recv() => Stopped::By(terminate),
        },
        (Err(error), _) | (_, Err(error)) => Stopped::Deaf(error),
    }
}
