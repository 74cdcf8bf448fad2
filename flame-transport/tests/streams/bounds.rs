//! How much a producer can send ahead, and how many streams there can be.

use std::time::Duration;

use crate::support::{drain, pair, soon};

#[tokio::test]
async fn a_producer_waits_for_a_reader_that_does_not_read() {
    const WINDOW: usize = 1_250_000;
    let pair = pair().await;
    let (mut sender, mut receiver) = pair.stream().await;
    let mut sent = 0;
    while sent < 100 << 20 {
        sender.put(vec![1; 64 * 1024].into());
        if tokio::time::timeout(Duration::from_millis(300), sender.flush()).await.is_err() {
            break;
        }
        sent += 64 * 1024;
    }
    assert!((WINDOW / 2..WINDOW + 64 * 1024).contains(&sent), "{sent} bytes were sent ahead");
    let flowing = tokio::spawn(async move { sender.flush().await });
    for _ in 0..10 {
        soon(receiver.next()).await.unwrap();
    }
    drop(receiver);
    let _ = soon(flowing).await.unwrap();
}

#[tokio::test]
async fn beyond_256_streams_of_a_link_another_waits_for_one_to_end() {
    let pair = pair().await;
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(pair.stream().await);
    }
    let expected = pair.reader.expect_bulk();
    let producer = pair.producer.clone();
    let number = expected.number();
    let mut opening = tokio::spawn(async move { producer.open_bulk(number).await.unwrap().finish().await });
    let early = tokio::time::timeout(Duration::from_millis(200), &mut opening).await;
    assert!(early.is_err(), "a 257th stream was opened");
    let (sender, mut receiver) = streams.pop().unwrap();
    soon(sender.finish()).await.unwrap();
    assert_eq!(drain(&mut receiver).await, (Vec::new(), Ok(())));
    // QUIC tells of free streams in eighths of their number.
    streams.truncate(200);
    let _ = soon(opening).await.unwrap();
    assert_eq!(drain(&mut soon(expected.arrived()).await.unwrap()).await, (Vec::new(), Ok(())));
}
