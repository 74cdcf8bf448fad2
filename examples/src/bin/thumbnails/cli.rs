//! What the user asks for.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Makes a thumbnail of every so many seconds of a video, on a runner, while the video is still being read.
///
/// The thumbnails are DIR/0001.png, DIR/0002.png and so on, byte for byte those of
/// `ffmpeg -i VIDEO -vf fps=1/SECONDS DIR/%04d.png`. Files of these names are overwritten; others, also those of an earlier
/// run with more thumbnails, stay.
#[derive(Debug, Parser)]
#[command(name = "thumbnails", version)]
pub(crate) struct Args {
    /// The video; `-` reads it from stdin. Without one, a small sample clip is used.
    pub(crate) video: Option<PathBuf>,

    /// A thumbnail for each so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, allow_hyphen_values = true)]
    pub(crate) every: f64,

    /// The folder of the thumbnails; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "thumbnails")]
    pub(crate) out: PathBuf,

    /// Where the thumbnails are made.
    #[arg(long, value_enum, default_value_t = Backend::Process)]
    pub(crate) backend: Backend,

    /// Stay when all is done, until told to end: for a Deployment, whose pods others `kubectl exec` into.
    #[arg(long)]
    pub(crate) stay: bool,

    /// Print one JSON object a line: one a thumbnail, with "index", "path", "bytes", "runner", "pid" and "ms" since the
    /// start, then one with "thumbnails", "total_ms", "boot_ms", "first_ms" and "spooled".
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// In a process of its own.
    Process,
    /// In this process.
    Local,
    /// In a pod of its own: this program is in one too, whose service account may create pods.
    #[cfg(feature = "k8s")]
    K8s,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds > 0.0 => Ok(seconds),
        _ => Err("a number of seconds above zero is needed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn an_interval_is_a_finite_number_above_zero() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for bad in ["0", "-0.0", "-1", "NaN", "inf", "1e999", "", "ten", "5s"] {
            assert!(seconds(bad).is_err(), "{bad:?} was taken");
        }
    }
}
