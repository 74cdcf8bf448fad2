//! How streams end, and who hears of it.

use bytes::Bytes;
use flame_transport::{BulkClosed, BulkError, LinkLost};

use crate::support::{drain, pair, soon};

#[tokio::test]
async fn a_failure_comes_after_the_bytes_before_it_and_with_the_producers_words() {
    let pair = pair().await;
    let (mut sender, mut receiver) = pair.stream().await;
    sender.put(vec![7; 500_000].into());
    let producing = tokio::spawn(async move { sender.fail("the disk is on fire").await });
    let (bytes, end) = drain(&mut receiver).await;
    assert_eq!(bytes.len(), 500_000);
    assert_eq!(end, Err(BulkError::Failed { words: "the disk is on fire".into() }));
    soon(producing).await.unwrap().unwrap();

    let (sender, mut receiver) = pair.stream().await;
    soon(sender.fail(&"ä".repeat(10_000))).await.unwrap();
    let Err(BulkError::Failed { words }) = drain(&mut receiver).await.1 else { panic!("another end") };
    assert_eq!(words, "ä".repeat(4096), "long words are cut at a letter");
}

#[tokio::test]
async fn a_producer_that_gives_up_is_heard_of_behind_what_it_has_written() {
    let pair = pair().await;
    let (mut sender, mut receiver) = pair.stream().await;
    sender.put(vec![7; 500_000].into());
    let producing = tokio::spawn(sender.give_up());
    let (bytes, end) = drain(&mut receiver).await;
    assert_eq!((bytes.len(), end), (500_000, Err(BulkError::GivenUp)));
    soon(producing).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_whose_producer_goes_without_a_word_is_not_taken_for_a_finished_one() {
    let pair = pair().await;
    let (sender, mut receiver) = pair.stream().await;
    drop(sender);
    assert_eq!(drain(&mut receiver).await.1, Err(BulkError::GivenUp));
    // Also one that was opened and never written.
    let expected = pair.reader.expect_bulk();
    drop(soon(pair.producer.open_bulk(expected.number())).await.unwrap());
    assert_eq!(soon(expected.arrived()).await.unwrap_err(), BulkError::GivenUp);
}

#[tokio::test]
async fn a_producer_hears_that_its_reader_has_gone_whether_it_writes_or_not() {
    let pair = pair().await;
    let (sender, receiver) = pair.stream().await;
    drop(receiver);
    assert_eq!(soon(sender.closed()).await, BulkClosed::Dropped);

    let (mut sender, receiver) = pair.stream().await;
    let producing = tokio::spawn(async move {
        loop {
            sender.put(vec![0; 64 * 1024].into());
            if let Err(closed) = sender.flush().await {
                return closed;
            }
        }
    });
    drop(receiver);
    assert_eq!(soon(producing).await.unwrap(), BulkClosed::Dropped);

    // One that went before the stream came.
    let expected = pair.reader.expect_bulk();
    let number = expected.number();
    drop(expected);
    let mut sender = soon(pair.producer.open_bulk(number)).await.unwrap();
    sender.put(Bytes::from_static(b"late"));
    let _ = soon(sender.flush()).await;
    assert_eq!(soon(sender.closed()).await, BulkClosed::Dropped);
    assert_eq!(pair.reader.lost(), None);
}

#[tokio::test]
async fn a_lost_link_ends_both_ends_of_every_stream_with_its_reason() {
    let pair = pair().await;
    let (sender, mut receiver) = pair.stream().await;
    let (mut full, _unread) = pair.stream().await;
    let writing = tokio::spawn(async move {
        loop {
            full.put(vec![0; 64 * 1024].into());
            if let Err(closed) = full.flush().await {
                return closed;
            }
        }
    });
    let waiting = pair.reader.expect_bulk();
    pair.reader.abort("enough");
    let here = LinkLost::Closed { reason: "enough".into() };
    let there = LinkLost::ClosedByPeer { reason: "enough".into() };
    assert_eq!(soon(receiver.next()).await, Err(BulkError::Lost(here.clone())));
    assert_eq!(soon(waiting.arrived()).await.unwrap_err(), BulkError::Lost(here.clone()));
    assert_eq!(soon(sender.closed()).await, BulkClosed::Lost(there.clone()));
    assert_eq!(soon(writing).await.unwrap(), BulkClosed::Lost(there.clone()));
    // And those that begin afterwards.
    assert_eq!(soon(pair.reader.expect_bulk().arrived()).await.unwrap_err(), BulkError::Lost(here));
    assert_eq!(soon(pair.producer.open_bulk(99)).await.unwrap_err(), there);
}
