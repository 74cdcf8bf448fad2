//! What flows, and what it leaves alone.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flame_transport::{Body, MAIN_PORT};

use crate::support::{drain, pair, soon};

#[tokio::test]
async fn a_stream_delivers_its_bytes_in_order_and_its_frames_whole() {
    let pair = pair().await;
    let (mut sender, mut receiver) = pair.stream().await;
    let frames: Vec<Bytes> =
        [1, 100, 4096, 4097, 70_000, 2_000_000, 3].iter().map(|&n| vec![n as u8; n].into()).collect();
    let sent = frames.clone();
    let producing = tokio::spawn(async move {
        for frame in sent {
            sender.put(frame);
            sender.flush().await.unwrap();
        }
        sender.finish().await.unwrap();
    });
    for frame in frames {
        let mut got = Vec::new();
        loop {
            let part = soon(receiver.next()).await.unwrap().unwrap();
            got.extend_from_slice(&part.bytes);
            if part.ends {
                break;
            }
        }
        assert!(got == frame, "{} bytes of {}", got.len(), frame.len());
    }
    assert_eq!(soon(receiver.next()).await, Ok(None));
    assert_eq!(soon(receiver.next()).await, Ok(None));
    soon(producing).await.unwrap();
}

#[tokio::test]
async fn streams_flow_beside_each_other_in_both_directions() {
    let pair = pair().await;
    let mut flows = Vec::new();
    for n in 0..20u8 {
        let (from, to) = if n % 2 == 0 {
            (pair.producer.clone(), pair.reader.clone())
        } else {
            (pair.reader.clone(), pair.producer.clone())
        };
        let expected = to.expect_bulk();
        let number = expected.number();
        tokio::spawn(async move {
            let mut sender = from.open_bulk(number).await.unwrap();
            for _ in 0..10 {
                sender.put(vec![n; 30_000].into());
                sender.flush().await.unwrap();
            }
            sender.finish().await.unwrap();
        });
        flows.push(tokio::spawn(async move { drain(&mut expected.arrived().await.unwrap()).await }));
    }
    for (n, flow) in flows.into_iter().enumerate() {
        let (bytes, end) = soon(flow).await.unwrap();
        assert_eq!(end, Ok(()));
        assert!(bytes.len() == 300_000 && bytes.iter().all(|&byte| byte == n as u8));
    }
}

/// A hundred asks, one after the other; the longest.
async fn longest_ask(pair: &crate::support::Pair) -> Duration {
    let lane = pair.producer.lane(MAIN_PORT);
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        let start = Instant::now();
        assert_eq!(soon(lane.ask(Body::Copy(b"?")).unwrap()).await.unwrap(), "!");
        longest = longest.max(start.elapsed());
    }
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_pings_pass_streams_that_flow_and_streams_that_stand_still() {
    let mut pair = pair().await;
    let mut inbox = std::mem::replace(&mut pair.inbox, pair.reader.open_port());
    let mut answers = pair.reader.answers();
    tokio::spawn(async move {
        while let Some(question) =
            std::future::poll_fn(|cx| inbox.poll_next(cx).map(|message| message?.question)).await
        {
            answers.reply(question, Body::Copy(b"!"));
            answers.flush();
        }
    });
    // Far more than the lanes' window holds unread: streams that nobody reads for now.
    let mut standing = Vec::new();
    for _ in 0..12 {
        let (mut sender, receiver) = pair.stream().await;
        standing.push(receiver);
        tokio::spawn(async move {
            while sender.flush().await.is_ok() {
                sender.put(vec![0; 64 * 1024].into());
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(longest_ask(&pair).await < Duration::from_secs(1));
    for _ in 0..4 {
        let (mut sender, mut receiver) = pair.stream().await;
        tokio::spawn(async move {
            while sender.flush().await.is_ok() {
                sender.put(vec![0; 64 * 1024].into());
            }
        });
        tokio::spawn(async move { while let Ok(Some(_)) = receiver.next().await {} });
    }
    let longest = longest_ask(&pair).await;
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    assert!(pair.reader.last_heard().elapsed() < Duration::from_secs(2));
    assert_eq!((pair.reader.lost(), pair.producer.lost()), (None, None));
    // And those that stood still are all there.
    for mut receiver in standing {
        assert!(soon(receiver.next()).await.unwrap().is_some());
    }
}
