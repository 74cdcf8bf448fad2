//! References to actors, as they stand in a message.
//!
//! ```text
//! body  := head:varint [context] [table] payload    head = method × 4 + (1 if there is a table) + (2 if there is a context)
//! table := count:varint hold:varint entry*
//! entry := side:u8 port:varint method:varint    side 0: an actor of the sender's, 1: one of the receiver's
//! ```
//!
//! A sender that names one of the receiver's own actors has to keep its reference until the receiver has found the actor,
//! or its giving the reference back could arrive first. It does so under a number, `hold` (0 for none), which the receiver
//! sends back as a signal once it has read the table.
//!
//! An answer is a body with method 0. Most messages hold no reference and pay one byte for all of this.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flame_transport::{Body, varint};

use super::{
    export::Exportable,
    peer::Peer,
    relay::Relay,
    target::{Keeper, Remote},
};
use crate::{context, stream};

/// A reference to an actor in a value that is encoded, whatever link it will go over.
#[derive(Clone)]
pub(crate) enum Reference {
    /// An actor of this node, and the number of the message it takes, where the reference is for just one.
    Local(Arc<dyn Exportable>, u32),
    /// The same of an actor of another node.
    Remote(Arc<Remote>, u32),
}

/// A reference in a value that is decoded, and the number of the message where it is for just one.
pub(crate) enum Resolved {
    /// An actor of this node, come home.
    Home(Arc<dyn Exportable>, u32),
    /// An actor of another node.
    Remote(Arc<Remote>, u32),
}

const HAS_TABLE: u64 = 1;
const HAS_CONTEXT: u64 = 2;

const OF_SENDER: u8 = 0;
const OF_RECEIVER: u8 = 1;

impl From<Resolved> for Reference {
    fn from(resolved: Resolved) -> Self {
        match resolved {
            Resolved::Home(actor, method) => Self::Local(actor, method),
            // One to a stream leads to no handler that a message could be sent on to: it is read here and flows on.
            Resolved::Remote(remote, method) => {
                stream::pass_on(remote, method).unwrap_or_else(|remote| Self::Remote(remote, method))
            }
        }
    }
}

/// The most references that one message may hold.
const MAX_REFERENCES: u64 = 64 * 1024;

/// A message or answer that is encoded and not sent.
pub(crate) enum Encoded {
    /// The whole body.
    Whole(Bytes),
    /// One with references, whose table is written for the link.
    Referring {
        /// The method, 0 for an answer.
        method: u32,
        /// The context that goes along, encoded; empty if there is none.
        context: Bytes,
        /// What comes behind the table.
        payload: Bytes,
        /// The references, by index.
        references: Vec<Reference>,
    },
}

/// A body made for one link. What it counts and keeps there is taken back unless it is [sent](Sendable::sent).
pub(crate) struct Sendable {
    pub(crate) body: Bytes,
    counted: Counted,
}

/// The link is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreachable;

impl Encoded {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(body) => body.len(),
            Self::Referring { payload, .. } => payload.len(),
        }
    }

    /// What stands behind the head.
    pub(crate) fn into_payload(self) -> Bytes {
        match self {
            Self::Whole(body) => {
                let rest = parse_head(&body).map_or_else(|_| &body[..], |head| head.rest);
                body.slice_ref(rest)
            }
            Self::Referring { payload, .. } => payload,
        }
    }

    /// Makes the body for a link and counts its references there.
    pub(crate) fn for_link(&self, peer: &Arc<Peer>) -> Result<Sendable, Unreachable> {
        let mut counted = Counted { peer: Arc::clone(peer), ports: Vec::new(), hold: 0 };
        let (method, context, payload, references) = match self {
            Self::Whole(body) => return Ok(Sendable { body: body.clone(), counted }),
            Self::Referring { method, context, payload, references } => {
                (*method, context, payload, references)
            }
        };
        let mut entries = Vec::with_capacity(references.len());
        let mut kept = Vec::new();
        for reference in references {
            entries.push(match reference {
                Reference::Local(actor, method) => (OF_SENDER, counted.export(Arc::clone(actor))?, *method),
                Reference::Remote(remote, method) => match remote.port_on(peer) {
                    Some(port) => {
                        kept.push(Arc::clone(remote));
                        (OF_RECEIVER, port, *method)
                    }
                    // One of a third node's.
                    None => {
                        let relay = Arc::new(Relay(Arc::clone(remote)));
                        (OF_SENDER, counted.export(relay)?, *method)
                    }
                },
            });
        }
        if !kept.is_empty() {
            counted.hold = peer.hold(kept);
        }
        let mut out = BytesMut::with_capacity(payload.len() + context.len() + 16 + 8 * references.len());
        put_head(&mut out, method, context, true);
        varint::put(&mut out, references.len() as u64);
        varint::put(&mut out, counted.hold);
        for (side, port, method) in entries {
            out.extend_from_slice(&[side]);
            varint::put(&mut out, u64::from(port));
            varint::put(&mut out, u64::from(method));
        }
        out.extend_from_slice(payload);
        Ok(Sendable { body: out.freeze(), counted })
    }
}

impl Sendable {
    /// Holds something as long as the receiver holds any reference in the body to what is on this node.
    pub(crate) fn keep(&self, keeper: &Keeper) {
        self.counted.peer.keep_exports(&self.counted.ports, keeper);
    }

    /// The body is on its way: the references in it are the receiver's now.
    pub(crate) fn sent(mut self) {
        self.counted.ports.clear();
        self.counted.hold = 0;
    }
}

struct Counted {
    peer: Arc<Peer>,
    ports: Vec<u32>,
    hold: u64,
}

impl Counted {
    fn export(&mut self, actor: Arc<dyn Exportable>) -> Result<u32, Unreachable> {
        let port = self.peer.export(actor).ok_or(Unreachable)?;
        self.ports.push(port);
        Ok(port)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.ports.iter().for_each(|&port| self.peer.unexport(port));
        self.peer.let_go(self.hold);
    }
}

/// Starts the body of a message; the table and the payload follow.
#[inline]
pub(crate) fn put_head(out: &mut BytesMut, method: u32, context: &[u8], has_references: bool) {
    let flags = u64::from(has_references) * HAS_TABLE + u64::from(!context.is_empty()) * HAS_CONTEXT;
    varint::put(out, u64::from(method) * 4 + flags);
    if !context.is_empty() {
        context::put(out, context);
    }
}

/// The parts of a body.
pub(crate) struct Parts<'a> {
    pub(crate) method: u32,
    /// Empty if there is none; not decoded yet.
    pub(crate) context: &'a [u8],
    pub(crate) table: Vec<Resolved>,
    pub(crate) payload: &'a [u8],
}

/// A body that no correct node sends, or whose references are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadBody;

/// Takes a body apart. Its references are taken over, and let go if the table is bad.
#[inline]
pub(crate) fn parse<'a>(body: &'a [u8], peer: &Arc<Peer>) -> Result<Parts<'a>, BadBody> {
    let Head { method, has_table, context, mut rest } = parse_head(body)?;
    let table = if has_table { parse_table(&mut rest, peer)? } else { Vec::new() };
    Ok(Parts { method, context, table, payload: rest })
}

struct Head<'a> {
    method: u32,
    has_table: bool,
    context: &'a [u8],
    rest: &'a [u8],
}

#[inline]
fn parse_head(mut body: &[u8]) -> Result<Head<'_>, BadBody> {
    let head = varint::take(&mut body).ok_or(BadBody)?;
    let method = u32::try_from(head / 4).map_err(|_| BadBody)?;
    let context =
        if head & HAS_CONTEXT == 0 { &[][..] } else { context::take(&mut body).map_err(|_| BadBody)? };
    Ok(Head { method, has_table: head & HAS_TABLE != 0, context, rest: body })
}

/// Whether there are references in a body.
pub(crate) fn refers(mut body: &[u8]) -> bool {
    varint::take(&mut body).is_some_and(|head| head & HAS_TABLE != 0)
}

/// The port in an answer that is nothing but one reference to an actor of the sender's.
pub(crate) fn placed_port(body: &[u8]) -> Option<u32> {
    Some(placed(body)?.0)
}

/// The same, with what comes behind the reference.
pub(crate) fn placed(mut body: &[u8]) -> Option<(u32, &[u8])> {
    let (head, count, hold) = (varint::take(&mut body)?, varint::take(&mut body)?, varint::take(&mut body)?);
    let (&side, mut rest) = body.split_first()?;
    let (port, _method) = (varint::take(&mut rest)?, varint::take(&mut rest)?);
    let expected = (head, count, hold, side) == (1, 1, 0, OF_SENDER);
    if expected { Some((u32::try_from(port).ok()?, rest)) } else { None }
}

/// A body that has come and waits to be read. Dropped before it is, it lets go of what it refers to.
pub(crate) struct Unread {
    body: Bytes,
    peer: Arc<Peer>,
    is_read: bool,
}

impl Unread {
    pub(crate) fn new(body: Bytes, peer: &Arc<Peer>) -> Self {
        Self { body, peer: Arc::clone(peer), is_read: false }
    }

    /// Takes it apart, once.
    pub(crate) fn parse(&mut self) -> Result<Parts<'_>, BadBody> {
        self.is_read = true;
        parse(&self.body, &self.peer)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if !self.is_read {
            discard(&self.body, &self.peer);
        }
    }
}

/// Lets go of the references in a body that nobody takes.
pub(crate) fn discard(body: &[u8], peer: &Arc<Peer>) {
    drop(parse(body, peer));
}

/// What an ask of a main port begins with: a body follows at once.
pub(crate) const PLAIN: u8 = 0;
/// The same: `length:varint` and something of that length come before the body, an order for example.
pub(crate) const LED: u8 = 1;

/// The body in an ask of a main port; empty if that is none.
pub(super) fn body_of_ask(ask: &[u8]) -> &[u8] {
    match ask.split_first() {
        Some((&PLAIN, body)) => body,
        Some((&LED, mut rest)) => {
            let length = varint::take(&mut rest).and_then(|length| usize::try_from(length).ok());
            length.and_then(|length| rest.get(length..)).unwrap_or_default()
        }
        _ => &[],
    }
}

/// Takes back the references in a body of this node's that was never sent.
pub(super) fn retract(body: &[u8], peer: &Peer) {
    // Written by this node, so it is whole.
    let retracted = (|| {
        let Head { has_table, rest: mut body, .. } = parse_head(body).ok()?;
        if !has_table {
            return Some(());
        }
        let (count, hold) = (varint::take(&mut body)?, varint::take(&mut body)?);
        for _ in 0..count {
            let (&side, rest) = body.split_first()?;
            body = rest;
            let (port, _method) = (varint::take(&mut body)?, varint::take(&mut body)?);
            if side == OF_SENDER {
                peer.unexport(u32::try_from(port).ok()?);
            }
        }
        peer.let_go(hold);
        Some(())
    })();
    debug_assert!(retracted.is_some(), "a body that this node has written");
}

/// Makes a body of this node's that had no effect a message again that may go over another link. What it counted and kept on
/// the first is taken back. `None` if an actor that it refers to has gone.
pub(super) fn reclaim(body: &Bytes, peer: &Arc<Peer>) -> Option<Encoded> {
    if !refers(body) {
        return Some(Encoded::Whole(body.clone()));
    }
    let encoded = (|| {
        let Head { method, context, mut rest, .. } = parse_head(body).ok()?;
        let (count, hold) = (varint::take(&mut rest)?, varint::take(&mut rest)?);
        let mut kept = peer.held(hold).into_iter();
        let mut references = Vec::new();
        for _ in 0..count {
            let (&side, behind) = rest.split_first()?;
            rest = behind;
            let (port, method) = (varint::take(&mut rest)?, varint::take(&mut rest)?);
            let (port, method) = (u32::try_from(port).ok()?, u32::try_from(method).ok()?);
            references.push(if side == OF_SENDER {
                let actor = peer.exported(port)?;
                match actor.relayed() {
                    Some(remote) => Reference::Remote(Arc::clone(remote), method),
                    None => Reference::Local(actor, method),
                }
            } else {
                Reference::Remote(kept.next()?, method)
            });
        }
        let (context, payload) = (body.slice_ref(context), body.slice_ref(rest));
        Some(Encoded::Referring { method, context, payload, references })
    })();
    retract(body, peer);
    encoded
}

fn parse_table(body: &mut &[u8], peer: &Arc<Peer>) -> Result<Vec<Resolved>, BadBody> {
    let count = varint::take(body).filter(|&count| count <= MAX_REFERENCES).ok_or(BadBody)?;
    let hold = varint::take(body).ok_or(BadBody)?;
    let mut table = Vec::new();
    let mut complete = true;
    for _ in 0..count {
        let (&side, rest) = body.split_first().ok_or(BadBody)?;
        *body = rest;
        let mut number = || varint::take(body).and_then(|n| u32::try_from(n).ok()).ok_or(BadBody);
        let (port, method) = (number()?, number()?);
        match side {
            OF_SENDER => table.push(Resolved::Remote(peer.remote(port), method)),
            // Goes on, so that what comes behind is taken over and let go.
            OF_RECEIVER => match peer.exported(port) {
                Some(actor) => table.push(match actor.relayed() {
                    Some(remote) => Resolved::Remote(Arc::clone(remote), method),
                    None => Resolved::Home(actor, method),
                }),
                None => complete = false,
            },
            _ => return Err(BadBody),
        }
    }
    if hold != 0 {
        peer.taken(hold);
    }
    complete.then_some(table).ok_or(BadBody)
}

/// An answer that is nothing but one reference, to a port of this node.
pub(crate) fn answer_naming(port: u32) -> Bytes {
    let mut out = BytesMut::new();
    put_head(&mut out, 0, &[], true);
    varint::put(&mut out, 1);
    varint::put(&mut out, 0);
    out.extend_from_slice(&[OF_SENDER]);
    varint::put(&mut out, u64::from(port));
    varint::put(&mut out, 0);
    out.freeze()
}

/// A message that is being sent: most are a whole body that the sender lends.
pub(crate) enum Ready<'a> {
    Plain(Body<'a>),
    Referring(Encoded),
}

impl Ready<'_> {
    pub(crate) fn into_encoded(self) -> Encoded {
        match self {
            Self::Plain(body) => Encoded::Whole(body.into_bytes()),
            Self::Referring(encoded) => encoded,
        }
    }
}
