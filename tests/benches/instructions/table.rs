//! The table in the repository.

use std::{collections::HashMap, fmt::Write as _, fs};

use crate::count::Row;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/table.txt");

const HEAD: &str = "\
# Instructions a message, made by: cargo bench -p flame-tests --bench instructions -- --write
";

pub(crate) fn read() -> HashMap<String, u64> {
    let text = fs::read_to_string(PATH).unwrap_or_default();
    let rows = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    rows.map(|(name, count)| (name.to_owned(), count.trim().parse().expect("a number in table.txt")))
        .collect()
}

pub(crate) fn write(counted: &[(Row, u64)]) {
    let mut text = HEAD.to_owned();
    for (row, instructions) in counted {
        let _ = writeln!(text, "{:14} {instructions}", row.name());
    }
    fs::write(PATH, text).expect("table.txt");
}

/// Whether that is more than a tenth above what it was; also if the table does not have it.
pub(crate) fn has_grown(instructions: u64, before: Option<u64>) -> bool {
    before.is_none_or(|before| instructions * 10 > before * 11)
}

pub(crate) fn compared(instructions: u64, before: Option<u64>) -> String {
    before.map_or_else(
        || "nothing".to_owned(),
        |before| format!("{before} ({:+.1} %)", (instructions as f64 / before as f64 - 1.0) * 100.0),
    )
}
