//! A copy of this process under callgrind.

use std::process::Command;

use crate::work;

/// Set to the name of a row in the process that is counted.
pub(crate) const COUNTED: &str = "FLAME_COUNTED_ROW";

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// `do_send`, in the sender's thread.
    TellSent,
    /// From the lane to the end of the handler.
    TellHandled,
    /// `send`, before it waits.
    AskSent,
    /// From the lane to the answer in the link's buffer.
    AskAnswered,
    /// The answer that has come is taken.
    AnswerTaken,
}

impl Row {
    pub(crate) const ALL: [Self; 5] =
        [Self::TellSent, Self::TellHandled, Self::AskSent, Self::AskAnswered, Self::AnswerTaken];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TellSent => "tell-sent",
            Self::TellHandled => "tell-handled",
            Self::AskSent => "ask-sent",
            Self::AskAnswered => "ask-answered",
            Self::AnswerTaken => "answer-taken",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        *Self::ALL.iter().find(|row| row.name() == name).expect("a row")
    }

    /// The function whose instructions are counted, as callgrind's pattern.
    fn function(self) -> &'static str {
        match self {
            Self::TellSent => "*work::send_tell*",
            Self::AskSent => "*work::send_ask*",
            Self::AnswerTaken => "*work::take_answer*",
            Self::TellHandled | Self::AskAnswered => "*delivery::lane::Lane*ActorFuture*poll*",
        }
    }
}

/// The instructions of one message: the fewest of three runs, as batches differ a little from one to the next.
pub(crate) fn instructions(row: Row) -> u64 {
    (0..3).map(|_| run(row)).min().expect("a run") / work::MESSAGES
}

fn run(row: Row) -> u64 {
    let out = tempfile::NamedTempFile::new().expect("a file");
    let ran = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.path().display()))
        .arg(format!("--toggle-collect={}", row.function()))
        .arg(std::env::current_exe().expect("this executable"))
        .env(COUNTED, row.name())
        .output()
        .expect("valgrind, which this needs; Debian's package of that name has it");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    let profile = std::fs::read_to_string(out.path()).expect("callgrind's profile");
    let totals = profile.lines().find_map(|line| line.strip_prefix("totals: ")).expect("totals");
    let total = totals.trim().parse().expect("a number");
    assert!(total > work::MESSAGES, "no function is called {}: was it renamed?", row.function());
    total
}
