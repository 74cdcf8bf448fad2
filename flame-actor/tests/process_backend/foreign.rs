//! The `Backend` trait can be implemented outside the workspace, with what is documented.

use std::{
    io::Write,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use flame_actor::backend::{
    Backend, Boot, BootError, BoxFuture, ExitReason, Instance, RUNNER_ON_STDIN, RUNNER_VARIABLE,
};

use crate::{
    actors::MARK,
    support::{SECRET, gone_within, is_alive, order, this_executable, wait},
};

crate::tests![a_runner_of_a_foreign_backend_reads_its_ticket_and_ends_with_its_standard_input];

fn a_runner_of_a_foreign_backend_reads_its_ticket_and_ends_with_its_standard_input() {
    let backend: Arc<dyn Backend> = Arc::new(Plain);
    let instance = wait(backend.boot(order())).unwrap();
    assert!(backend.listen().ip().is_loopback());
    assert!(instance.log_tail().contains(&format!("secret {SECRET}")));
    let pid = instance.pid().unwrap();
    assert!(is_alive(pid));
    instance.terminate();
    assert!(gone_within(pid, Duration::from_secs(5)));
    assert_eq!(wait(instance.exited()), ExitReason::Unknown { detail: "signal: 9 (SIGKILL)".into() });
}

/// As simple as can be: for one test, so it may block.
struct Plain;

impl Backend for Plain {
    fn name(&self) -> &str {
        "plain"
    }

    fn boot(&self, boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        Box::pin(async move {
            let mut child = Command::new(this_executable())
                .args([MARK, "report"])
                .env(RUNNER_VARIABLE, RUNNER_ON_STDIN)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(BootError::other)?;
            let mut stdin = child.stdin.take().ok_or_else(|| BootError::other("no stdin"))?;
            stdin.write_all(&boot.ticket.to_stdin()?).map_err(BootError::other)?;
            let lines = std::io::BufReader::new(child.stdout.take().unwrap());
            let lines = std::io::BufRead::lines(lines).map_while(Result::ok);
            let said = lines.take_while(|line| line != "done").collect();
            Ok(Arc::new(Running { child: Mutex::new(child), stdin: Mutex::new(Some(stdin)), said }) as _)
        })
    }
}

#[derive(Debug)]
struct Running {
    child: Mutex<Child>,
    stdin: Mutex<Option<ChildStdin>>,
    said: Vec<String>,
}

impl Instance for Running {
    fn describe(&self) -> String {
        "plain".into()
    }

    fn pid(&self) -> Option<u32> {
        Some(self.child.lock().unwrap().id())
    }

    fn exited(&self) -> BoxFuture<ExitReason> {
        let status = self.child.lock().unwrap().wait().unwrap();
        Box::pin(async move { ExitReason::Unknown { detail: status.to_string() } })
    }

    fn terminate(&self) {
        self.stdin.lock().unwrap().take();
    }

    fn kill(&self) {
        let _ = self.child.lock().unwrap().kill();
    }

    fn log_tail(&self) -> Vec<String> {
        self.said.clone()
    }
}
