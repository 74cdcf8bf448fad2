//! Credit: how much a sender may have under way before the receiver has handled it.
//!
//! The rule lets a sender start a message whenever anything of the window is free, so a message larger than the window
//! passes alone instead of never; the receiver's bound is therefore the window and one message.

use crate::wire::Malformed;

/// An amount of messages and of their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Messages.
    pub messages: u64,
    /// Bytes, each message counted with 32 bytes beyond its body, which is about what it costs to hold.
    pub bytes: u64,
}

/// What a message with this body counts for.
#[inline]
pub(crate) fn cost(body: usize) -> u64 {
    const HELD: u64 = 32;
    body as u64 + HELD
}

/// The sending side: what is under way.
#[derive(Debug)]
pub(crate) struct Credit {
    window: Window,
    used: Window,
}

impl Credit {
    pub(super) fn new(window: Window) -> Self {
        Self { window, used: Window::default() }
    }

    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.used.messages < self.window.messages && self.used.bytes < self.window.bytes
    }

    #[inline]
    pub(super) fn charge(&mut self, bytes: u64) {
        self.used.messages += 1;
        self.used.bytes += bytes;
    }

    /// How many messages have left and were not granted again.
    pub(super) fn used(&self) -> u64 {
        self.used.messages
    }

    /// Whether the peer has nothing that it has neither handled nor sent back.
    pub(super) fn is_whole(&self) -> bool {
        self.used.messages == 0
    }

    /// Takes back what the peer has handled.
    pub(super) fn refund(&mut self, messages: u64, bytes: u64) -> Result<(), Malformed> {
        const MORE: Malformed = Malformed("credit: more than was sent");
        self.used.messages = self.used.messages.checked_sub(messages).ok_or(MORE)?;
        self.used.bytes = self.used.bytes.checked_sub(bytes).ok_or(MORE)?;
        Ok(())
    }
}

/// The receiving side: what has arrived and not been granted again.
#[derive(Debug)]
pub(crate) struct Account {
    window: Window,
    slack: u64,
    held: Window,
    handled: Window,
}

impl Account {
    pub(super) fn new(window: Window, max_message: usize) -> Self {
        Self { window, slack: cost(max_message), held: Window::default(), handled: Window::default() }
    }

    /// Messages have arrived; an error if the peer had no credit for them.
    #[inline]
    pub(super) fn arrived(&mut self, amount: Window) -> Result<(), Malformed> {
        self.held.messages += amount.messages;
        self.held.bytes += amount.bytes;
        if self.held.messages > self.window.messages || self.held.bytes > self.window.bytes + self.slack {
            return Err(Malformed("message: sent without credit"));
        }
        Ok(())
    }

    /// Messages have been handled. Returns what to grant, once it is a quarter of the window: seldom enough to cost
    /// nothing, early enough that a busy sender never waits.
    #[inline]
    pub(super) fn handled(&mut self, amount: Window) -> Option<Window> {
        self.handled.messages += amount.messages;
        self.handled.bytes += amount.bytes;
        let due =
            self.handled.messages * 4 >= self.window.messages || self.handled.bytes * 4 >= self.window.bytes;
        if !due {
            return None;
        }
        Some(self.rest())
    }

    /// What has been handled and not been granted again.
    pub(super) fn rest(&mut self) -> Window {
        let grant = std::mem::take(&mut self.handled);
        self.sent_back(grant);
        grant
    }

    /// Messages have been sent back, which is a grant in itself.
    pub(super) fn sent_back(&mut self, amount: Window) {
        self.held.messages = self.held.messages.saturating_sub(amount.messages);
        self.held.bytes = self.held.bytes.saturating_sub(amount.bytes);
    }
}
