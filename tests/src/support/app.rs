//! This executable once more, as an app of its own that a test can kill, stop and starve.

use std::{
    collections::VecDeque,
    io::{BufRead, Write},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{Process, harness::APP};

/// How long a line may take, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running app. It is killed when this is dropped.
pub struct App {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
    passed: VecDeque<String>,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl App {
    /// Starts this executable as the app of that name.
    #[must_use]
    pub fn start(name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([APP, name]).args(args);
        Self::run(command)
    }

    /// Starts it from a shell, which sets what the app is to inherit; `$0` is the app.
    #[must_use]
    pub fn start_in_shell(script: &str, name: &str, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]);
        command.arg(std::env::current_exe().unwrap()).args([APP, name]).args(args);
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.kill_on_drop(true).spawn().unwrap();
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let (heard, mut errors) =
            (Arc::clone(&complaints), BufReader::new(child.stderr.take().unwrap()).lines());
        tokio::spawn(async move {
            while let Ok(Some(line)) = errors.next_line().await {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self {
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            input: child.stdin.take().unwrap(),
            child,
            passed: VecDeque::new(),
            complaints,
        }
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process::of(self.child.id().unwrap())
    }

    /// What follows on `beginning` in the next line that begins so.
    pub async fn line(&mut self, beginning: &str) -> String {
        match self.next_line(beginning).await {
            Some(line) => line,
            None => panic!("no {beginning:?} in {:?}; it complains: {:#?}", self.passed, self.complaints()),
        }
    }

    /// The same, as a process's id.
    pub async fn pid(&mut self, beginning: &str) -> u32 {
        let line = self.line(beginning).await;
        line.parse().unwrap_or_else(|_| panic!("{beginning} {line}"))
    }

    /// Sends it a line.
    pub async fn tell(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Waits for its end; whether that was a success, and all that it has said.
    pub async fn end(mut self, time: Duration) -> (bool, String) {
        let ended = tokio::time::timeout(time, async {
            while let Ok(Some(line)) = self.lines.next_line().await {
                self.passed.push_back(line);
            }
            self.child.wait().await.unwrap().success()
        });
        let success = ended.await.unwrap_or(false);
        let said: Vec<String> = self.passed.iter().cloned().chain(self.complaints()).collect();
        (success, said.join("\n"))
    }

    async fn next_line(&mut self, beginning: &str) -> Option<String> {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.ok()?.ok()??;
            self.passed.push_back(line.clone());
            if let Some(rest) = line.strip_prefix(beginning) {
                return Some(rest.trim().to_owned());
            }
        }
    }

    fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// In an app: tells the test something, in a line.
pub fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// In an app: waits for the next line of the test's; `None` when there is none to come.
pub async fn told() -> Option<String> {
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        (std::io::stdin().lock().read_line(&mut line).unwrap() > 0).then_some(line)
    });
    line.await.unwrap().map(|line| line.trim().to_owned())
}
