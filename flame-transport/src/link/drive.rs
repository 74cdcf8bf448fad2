//! The tasks that move a link's bytes, and its end.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use bytes::{Buf, BytesMut};
use tokio::task::JoinSet;

use super::{LinkLost, bulk, lease, shared::Shared};
use crate::{
    Joined,
    lane::Answered,
    wire::{
        Malformed,
        control::{self, Control},
    },
};

/// How long a link that is being closed may take to deliver what was sent.
const FLUSH: Duration = Duration::from_secs(2);

/// How much is read at a time.
const READ: usize = 64 * 1024;

/// Runs a link to its end.
pub(super) async fn run(shared: Arc<Shared>, joined: Joined) {
    let Joined {
        connection,
        endpoint,
        control: (control_out, control_in),
        data: (data_out, data_in),
        side,
        config,
        ..
    } = joined;
    let mut tasks = JoinSet::new();
    tasks.spawn(write_data(Arc::clone(&shared), data_out));
    tasks.spawn(write_control(Arc::clone(&shared), control_out));
    let mut reading = JoinSet::new();
    reading.spawn(read_data(Arc::clone(&shared), connection.clone(), data_in));
    tasks.spawn(read_control(Arc::clone(&shared), connection.clone(), control_in));
    tasks.spawn(bulk::accept(Arc::clone(&shared), connection.clone()));
    tasks.spawn({
        let (shared, connection) = (Arc::clone(&shared), connection.clone());
        async move {
            tokio::select! {
                reason = shared.closing(false) => LinkLost::Closed { reason },
                error = connection.closed() => lost_by(error),
                lost = lease::keep(&shared, side, config.ping_interval(), config.lease()) => lost,
            }
        }
    });
    let first = tokio::select! {
        ended = tasks.join_next() => ended,
        ended = reading.join_next() => ended,
    };
    let lost = match first {
        Some(Ok(lost)) => lost,
        Some(Err(error)) => LinkLost::Broken { detail: error.to_string() },
        None => LinkLost::Broken { detail: "no task".into() },
    };
    // Of several that end at once, the connection knows best why.
    let lost = match connection.close_reason() {
        Some(error @ quinn::ConnectionError::ApplicationClosed(_)) => lost_by(error),
        _ => lost,
    };
    let (code, words) = match &lost {
        LinkLost::Closed { reason } => (0, reason.clone()),
        other => (1, other.to_string()),
    };
    connection.close(quinn::VarInt::from_u32(code), words.as_bytes());
    if let LinkLost::ClosedByPeer { .. } = lost {
        // What the peer sent before its goodbye has come, and may not have been read yet. That ends by itself.
        while reading.join_next().await.is_some() {}
    }
    reading.shutdown().await;
    tasks.shutdown().await;
    tracing::debug!(local = %shared.local, peer = %shared.peer, reason = %lost, "link ended");
    shared.fail(&lost);
    if let Some(endpoint) = endpoint {
        // The goodbye has to leave before the socket goes.
        let _ = tokio::time::timeout(FLUSH, endpoint.wait_idle()).await;
    }
}

async fn write_data(shared: Arc<Shared>, mut stream: quinn::SendStream) -> LinkLost {
    let mut chunks = Vec::new();
    let closing = shared.closing(true);
    let patience = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(closing, patience);
    let mut last_words = None;
    loop {
        let more = poll_fn(|cx| {
            if last_words.is_none()
                && let Poll::Ready(reason) = closing.as_mut().poll(cx)
            {
                last_words = Some(reason);
                patience.as_mut().reset(tokio::time::Instant::now() + FLUSH);
            }
            match shared.poll_data(cx.waker(), &mut chunks) {
                true => Poll::Ready(true),
                false if last_words.is_none() => Poll::Pending,
                // What waits for credit was sent too, as far as its sender knows.
                false if shared.has_waiting() => patience.as_mut().poll(cx).map(|()| false),
                false => Poll::Ready(false),
            }
        })
        .await;
        if !more {
            break;
        }
        if let Err(error) = stream.write_all_chunks(&mut chunks).await {
            return lost_by_write(error);
        }
        chunks.clear();
    }
    let reason = last_words.unwrap_or_default();
    let delivered = stream.finish().is_ok()
        && matches!(tokio::time::timeout(FLUSH, stream.stopped()).await, Ok(Ok(None)));
    // Whoever hears the bare reason may rely on having heard all that was sent before it.
    LinkLost::Closed {
        reason: if delivered { reason } else { format!("{reason}, with something undelivered") },
    }
}

async fn read_data(
    shared: Arc<Shared>,
    connection: quinn::Connection,
    mut stream: quinn::RecvStream,
) -> LinkLost {
    let mut buffer = BytesMut::new();
    let mut answered = Answered::default();
    loop {
        match read(&mut stream, &mut buffer).await {
            Ok(true) => {}
            Ok(false) => return lost_by(connection.closed().await),
            Err(lost) => return lost,
        }
        let absorbed = shared
            .receiver()
            .absorb(&mut buffer, &mut answered, &mut |question| shared.settle_question(question));
        if let Err(malformed) = absorbed.and_then(|()| shared.apply(&mut answered)) {
            return broken_by(malformed);
        }
    }
}

async fn write_control(shared: Arc<Shared>, mut stream: quinn::SendStream) -> LinkLost {
    let mut buffer = BytesMut::new();
    let _ = stream.set_priority(1);
    loop {
        poll_fn(
            |cx| if shared.poll_control(cx.waker(), &mut buffer) { Poll::Ready(()) } else { Poll::Pending },
        )
        .await;
        if let Err(error) = stream.write_all(&buffer).await {
            return lost_by_write(error);
        }
        buffer.clear();
    }
}

async fn read_control(
    shared: Arc<Shared>,
    connection: quinn::Connection,
    mut stream: quinn::RecvStream,
) -> LinkLost {
    let mut buffer = BytesMut::new();
    loop {
        match read(&mut stream, &mut buffer).await {
            Ok(true) => {}
            Ok(false) => return lost_by(connection.closed().await),
            Err(lost) => return lost,
        }
        loop {
            let used = match control::peek(&buffer) {
                Ok(Some((frame, used))) => match obey(&shared, frame) {
                    Ok(()) => used,
                    Err(malformed) => return broken_by(malformed),
                },
                Ok(None) => break,
                Err(malformed) => return broken_by(malformed),
            };
            buffer.advance(used);
        }
    }
}

fn obey(shared: &Shared, frame: Control<'_>) -> Result<(), Malformed> {
    match frame {
        Control::Ping { number } => {
            shared.pulse.heard();
            shared.control(Control::Pong { number });
        }
        Control::Pong { number } => shared.pulse.answered(number),
        Control::Credit { port, messages, bytes } => {
            shared.credit(port, messages, bytes)?;
        }
        Control::Window { messages, bytes } => shared.sender(|sender| sender.window(messages, bytes))?,
        Control::Signal(body) => shared.service.signal(body),
    }
    Ok(())
}

/// Reads some more; false at the end of the stream.
async fn read(stream: &mut quinn::RecvStream, buffer: &mut BytesMut) -> Result<bool, LinkLost> {
    match stream.read_chunk(READ, true).await {
        Ok(Some(chunk)) => {
            buffer.extend_from_slice(&chunk.bytes);
            Ok(true)
        }
        Ok(None) => Ok(false),
        Err(quinn::ReadError::ConnectionLost(error)) => Err(lost_by(error)),
        Err(error) => Err(LinkLost::Broken { detail: error.to_string() }),
    }
}

pub(super) fn lost_by(error: quinn::ConnectionError) -> LinkLost {
    match error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            LinkLost::ClosedByPeer { reason: String::from_utf8_lossy(&close.reason).into_owned() }
        }
        quinn::ConnectionError::TimedOut => LinkLost::TimedOut,
        quinn::ConnectionError::LocallyClosed => LinkLost::Closed { reason: String::new() },
        other => LinkLost::Broken { detail: other.to_string() },
    }
}

fn lost_by_write(error: quinn::WriteError) -> LinkLost {
    match error {
        quinn::WriteError::ConnectionLost(error) => lost_by(error),
        other => LinkLost::Broken { detail: other.to_string() },
    }
}

fn broken_by(malformed: Malformed) -> LinkLost {
    LinkLost::Protocol { detail: malformed.to_string() }
}
