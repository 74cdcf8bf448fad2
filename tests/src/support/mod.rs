//! How a test runs, waits, and looks at processes from outside.

mod app;
mod apps;
mod control_group;
mod fleet;
mod gate;
mod harness;
mod log;
mod process;

pub use app::{App, orders, say};
pub use apps::{Findings, apps};
pub use control_group::{ControlGroup, Controller};
pub use fleet::Fleet;
pub use gate::{Gate, begun};
pub use harness::{main, run, soon, until, within};
pub use log::{capture_logs, log_lines};
pub use process::{
    Process, children, is_alive, names_of_files, names_of_threads, open_files, resident_bytes, signal,
    threads,
};
