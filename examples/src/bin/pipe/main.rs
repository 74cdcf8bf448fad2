//! Compresses a file on a runner, while it is being read, into FILE.gz beside it.
//!
//! The interesting line is `pool.call(compress::task(input))` in [`work`]: a file goes in, and what comes back is written as it is
//! made. Neither is ever whole in memory, on either side.

mod cli;
mod failure;

use std::fs::Permissions;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use async_compression::tokio::bufread::GzipEncoder;
use flame_actor::{ByteStream, Pool, backend::LocalBackend, task};
use flame_examples::program;
use futures_util::{StreamExt, TryStreamExt};
use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;
use tokio::io::BufReader;

use crate::cli::{Args, Backend};
use crate::failure::Failure;

/// Compresses bytes as they come.
#[task]
async fn compress(input: ByteStream) -> ByteStream {
    ByteStream::new(GzipEncoder::new(BufReader::with_capacity(64 << 10, input)))
}

#[actix::main]
async fn main() -> ExitCode {
    if let Some(runner) = flame_actor::runner() {
        runner.serve().await;
        return ExitCode::SUCCESS;
    }
    let args = match program::arguments::<Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(args: &Args) -> Result<(), Failure> {
    let pool = Pool::builder("pipe").max(1).timeout(None);
    let pool = match args.backend {
        Backend::Process => pool.start(),
        Backend::Local => pool.backend(LocalBackend::new()).start(),
    }?;
    tokio::select! {
        biased;
        stopped = program::stopped() => Err(stopped.into()),
        done = work(&pool, &args.file) => done,
    }
}

async fn work(pool: &Pool, file: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    let input = flame_actor::file(file).await.map_err(|error| Failure::input(file, error))?;
    let metadata = std::fs::metadata(file).map_err(|error| Failure::input(file, error))?;
    let bar = progress_bar(metadata.len());
    let progress = bar.clone();
    let input = ByteStream::from_stream(input.inspect_ok(move |chunk| progress.inc(chunk.len() as u64)));

    let mut output = pool.call(compress::task(input)).await?;

    let target = target(file);
    let mut written = 0;
    let mut part = part(&target, metadata.permissions())?;
    while let Some(chunk) = output.next().await {
        let chunk = chunk?;
        part.write_all(&chunk).map_err(|error| Failure::output(&target, error))?;
        written += chunk.len() as u64;
    }
    part.persist(&target).map_err(|error| Failure::output(&target, error.error))?;
    bar.finish_and_clear();
    let (from, to, seconds) =
        (BinaryBytes(bar.position()), BinaryBytes(written), start.elapsed().as_secs_f64());
    // The file is there, whoever reads this.
    let _ = writeln!(stdout(), "{}  {to} of {from} after {seconds:.2} s", target.display());
    Ok(())
}

/// What the output is written to, until it is whole: in the folder of its target, and gone if it never is.
fn part(target: &Path, permissions: Permissions) -> Result<NamedTempFile, Failure> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let part = tempfile::Builder::new()
        .prefix(".pipe-")
        .permissions(permissions)
        .tempfile_in(folder.unwrap_or(Path::new(".")));
    part.map_err(|error| Failure::output(target, error))
}

fn target(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

/// A bar on a terminal's stderr; elsewhere indicatif draws nothing.
fn progress_bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}
