//! Actors that were placed and have nothing to do.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{MANY, Pair, Resident, Sides};

pub(super) async fn run() -> Sides {
    let pair = Pair::start().await;
    let place = async |count| -> Vec<_> {
        let placings = stream::iter((0..count).map(|_| pair.pool.place_child(Resident)));
        placings.buffer_unordered(64).try_collect().await.expect("children")
    };
    // What grows with the first ones does not count.
    let first = place(MANY / 10).await;
    let before = pair.used();
    let rest = place(MANY).await;
    let sides = before.share(&pair.used(), MANY);
    drop((first, rest));
    pair.stop().await;
    sides
}
