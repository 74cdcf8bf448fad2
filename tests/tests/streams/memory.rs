//! Streams take the same memory on both sides, however long they are.

use std::{fs, io::Read, os::unix::fs::FileExt, time::Instant};

use flame_actor::{ByteStream, Pool};
use flame_tests::{
    support::{App, say},
    tests,
};
use tokio::io::AsyncReadExt;

use crate::work::{pass, process_id};

tests![a_file_goes_into_a_task_and_back_in_the_same_memory_however_long_it_is];

/// How long the files are, in MiB.
const LONG: u64 = 2048;
const SHORT: u64 = 24;
/// How much the peaks may differ, in KiB: what allocators keep, and a page cache that is nobody's.
const SLACK: u64 = 24 * 1024;

const MIB: usize = 1 << 20;

async fn a_file_goes_into_a_task_and_back_in_the_same_memory_however_long_it_is() {
    let (short_parent, short_runner) = peaks(SHORT).await;
    let (parent, runner) = peaks(LONG).await;
    println!("{LONG} MiB in and back: parent {parent} KiB, runner {runner} KiB at the peak");
    println!("{SHORT} MiB in and back: parent {short_parent} KiB, runner {short_runner} KiB at the peak");
    assert!(parent < short_parent + SLACK, "the parent's peak grew from {short_parent} to {parent} KiB");
    assert!(runner < short_runner + SLACK, "the runner's peak grew from {short_runner} to {runner} KiB");
    assert!(parent.max(runner) < 128 * 1024, "{parent} and {runner} KiB");
}

/// The peaks of a parent that streams so many MiB to a runner and back, and of the runner, in KiB.
async fn peaks(mib: u64) -> (u64, u64) {
    let mut app = App::start("measured", &[&mib.to_string()]);
    let line = app.line("peaks ").await;
    let mut peaks = line.split(' ').map(|peak| peak.parse().unwrap());
    (peaks.next().unwrap(), peaks.next().unwrap())
}

/// The parent.
pub(crate) async fn measured(args: &[String]) {
    let mib: u64 = args[0].parse().unwrap();
    let file = marked_file(mib);
    let pool = Pool::builder("measured").max(1).timeout(None).start().unwrap();
    let runner = pool.call(process_id::task()).await.unwrap();
    let start = Instant::now();
    let input = flame_actor::file(file.path()).await.unwrap();
    let output = pool.call(pass::task(input)).await.unwrap();
    check(output, mib).await;
    let seconds = start.elapsed().as_secs_f64();
    say(format_args!("peaks {} {} after {seconds:.2} s", peak(std::process::id()), peak(runner)));
    pool.stop().await;
}

/// A sparse file in which every MiB begins with its number.
fn marked_file(mib: u64) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(mib * MIB as u64).unwrap();
    for n in 0..mib {
        file.as_file().write_all_at(&(n + 1).to_le_bytes(), n * MIB as u64).unwrap();
    }
    file
}

async fn check(mut stream: ByteStream, mib: u64) {
    let (mut block, zeros) = (vec![0; MIB], vec![0; MIB]);
    for n in 0..mib {
        stream.read_exact(&mut block).await.unwrap();
        assert_eq!(block[..8], (n + 1).to_le_bytes());
        assert!(block[8..] == zeros[8..], "block {n}");
        if n % 64 == 0 {
            say(format_args!("block {n}"));
        }
    }
    assert_eq!(stream.read(&mut block).await.unwrap(), 0);
}

/// The peak of a process's resident memory, in KiB.
fn peak(pid: u32) -> u64 {
    let mut status = String::new();
    fs::File::open(format!("/proc/{pid}/status")).unwrap().read_to_string(&mut status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
