//! How many instructions a message takes: counted, so the same on a busy machine, unlike its time.
//!
//! ```sh
//! cargo bench -p flame-tests --bench instructions              # prints the table
//! cargo bench -p flame-tests --bench instructions -- --check   # fails if a row has grown by more than a tenth
//! cargo bench -p flame-tests --bench instructions -- --write   # keeps what was counted in table.txt
//! ```
//!
//! Needs valgrind, whose tool callgrind counts what runs between the start and the end of one function, for a small message
//! and all that is inside: looking up what is asked, encoding, decoding, the handler, the answer. What the network
//! thread does is shared by all messages of a batch and not counted here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on ends"
)]

mod count;
mod table;
mod work;

use clap::Parser;

use count::Row;

/// Counts the instructions of a message.
#[derive(Debug, Parser)]
struct Options {
    /// Fails if a row is more than a tenth above the table in the repository.
    #[arg(long, conflicts_with = "write")]
    check: bool,
    /// Keeps what was counted as the table in the repository.
    #[arg(long)]
    write: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    if let Some(row) = std::env::var_os(count::COUNTED) {
        return work::run(Row::named(row.to_str().expect("a row")));
    }
    let options = Options::parse();
    let counted: Vec<(Row, u64)> = Row::ALL.into_iter().map(|row| (row, count::instructions(row))).collect();
    let kept = table::read();
    let mut grown = false;
    for (row, instructions) in &counted {
        let before = kept.get(row.name()).copied();
        println!(
            "{:14} {instructions:6}   in the table: {}",
            row.name(),
            table::compared(*instructions, before)
        );
        grown |= table::has_grown(*instructions, before);
    }
    if options.write {
        table::write(&counted);
    }
    if options.check && grown {
        eprintln!("a message takes over a tenth more than before; if that has to be, keep it with --write");
        std::process::exit(1);
    }
}
