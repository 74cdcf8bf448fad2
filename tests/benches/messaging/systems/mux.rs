//! Asks and tells over one stream of bytes, as fast as one thread can: a shared buffer, one write for all that is in
//! it, one read for all that has come.

use std::{cell::RefCell, rc::Rc};

use bytes::{Bytes, BytesMut};
use slab::Slab;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Notify, oneshot},
    task::spawn_local,
};

use super::frames::{self, Kind};
use crate::workload::Client;

/// No more is put into the buffer while this much is in it.
const ROOM: usize = 256 << 10;

/// The calling end.
#[derive(Clone)]
pub(super) struct Mux(Rc<Shared>);

#[derive(Default)]
struct Shared {
    out: RefCell<BytesMut>,
    filled: Notify,
    emptied: Notify,
    waiting: RefCell<Slab<oneshot::Sender<Bytes>>>,
}

impl Mux {
    pub(super) fn start(
        read: impl AsyncRead + Unpin + 'static,
        write: impl AsyncWrite + Unpin + 'static,
    ) -> Self {
        let mux = Self(Rc::default());
        spawn_local(Rc::clone(&mux.0).write(write));
        spawn_local(Rc::clone(&mux.0).read(read));
        mux
    }
}

impl Shared {
    async fn write(self: Rc<Self>, mut write: impl AsyncWrite + Unpin) {
        let mut spare = BytesMut::new();
        loop {
            while self.out.borrow().is_empty() {
                self.filled.notified().await;
            }
            std::mem::swap(&mut *self.out.borrow_mut(), &mut spare);
            self.emptied.notify_waiters();
            write.write_all(&spare).await.expect("a stream");
            spare.clear();
        }
    }

    async fn read(self: Rc<Self>, mut read: impl AsyncRead + Unpin) {
        let mut input = BytesMut::new();
        loop {
            input.reserve(64 << 10);
            if read.read_buf(&mut input).await.expect("a stream") == 0 {
                return;
            }
            while let Some((_, number, payload)) = frames::take(&mut input) {
                let _ = self.waiting.borrow_mut().remove(number as usize).send(payload);
            }
        }
    }

    fn put(&self, kind: Kind, number: u32, payload: &[u8]) {
        let mut out = self.out.borrow_mut();
        let first = out.is_empty();
        frames::put(&mut out, kind, number, payload);
        if first {
            self.filled.notify_one();
        }
    }
}

impl Client for Mux {
    async fn ask(&self, payload: &Bytes) {
        let (sender, answer) = oneshot::channel();
        let number = self.0.waiting.borrow_mut().insert(sender);
        self.0.put(Kind::Ask, number as u32, payload);
        answer.await.expect("an answer");
    }

    async fn tell(&self, payload: &Bytes) {
        while self.0.out.borrow().len() > ROOM {
            self.0.emptied.notified().await;
        }
        self.0.put(Kind::Tell, 0, payload);
    }

    async fn settle(&self) {
        self.ask(&Bytes::new()).await;
    }
}

/// The called end.
pub(super) async fn serve(mut read: impl AsyncRead + Unpin, mut write: impl AsyncWrite + Unpin) {
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let mut told = 0_u64;
    loop {
        input.reserve(64 << 10);
        // The end of the stream, or of the process at the other end.
        let Ok(1..) = read.read_buf(&mut input).await else { return };
        while let Some((kind, number, payload)) = frames::take(&mut input) {
            match kind {
                Kind::Ask => frames::put(&mut out, Kind::Answer, number, &payload),
                Kind::Tell => told = std::hint::black_box(told + payload.len() as u64),
                Kind::Answer => {}
            }
        }
        if !out.is_empty() {
            if write.write_all(&out).await.is_err() {
                return;
            }
            out.clear();
        }
    }
}
