//! What machine the figures are of.

use std::{fs, thread};

/// Its processor, how many of them it has, its memory and its kernel, in one line.
pub(crate) fn words() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, model)| model.to_owned()))
        .unwrap_or_else(|| "an unknown processor".to_owned());
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let memory = memory.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) / f64::from(1 << 20);
    let release = read("/proc/sys/kernel/osrelease");
    let kernel: Vec<&str> = release.split('.').take(2).collect();
    format!("{model}, {cpus} CPUs, {memory:.0} GiB, Linux {}", kernel.join("."))
}
