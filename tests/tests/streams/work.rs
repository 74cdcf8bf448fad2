//! What the tests have done on runners.

use std::process::Stdio;

use flame_actor::{ByteStream, task};
use tokio::process::Command;

/// The process that runs it.
#[task]
pub(crate) async fn process_id() -> u32 {
    std::process::id()
}

/// What it gets, as it comes.
#[task]
pub(crate) async fn pass(stream: ByteStream) -> ByteStream {
    stream
}

/// What a program prints for ever, and the program's process.
#[task]
pub(crate) async fn yes() -> (u32, ByteStream) {
    let mut program = Command::new("yes").stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let (pid, output) = (program.id().unwrap(), program.stdout.take().unwrap());
    (pid, ByteStream::new(Held(output, program)))
}

/// A reader that has its program with it: both go together.
struct Held<R, P>(R, P);

impl<R: tokio::io::AsyncRead + Unpin, P: Unpin> tokio::io::AsyncRead for Held<R, P> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
    }
}
