//! What needs no broker; the rest is tested from outside, against a real one.

use super::*;

#[test]
fn an_answer_from_another_thread_is_waited_for() {
    struct Later(Option<thread::JoinHandle<()>>);
    impl Future for Later {
        type Output = u32;
        fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
            if self.0.is_some() {
                return Poll::Ready(7);
            }
            let waker = context.waker().clone();
            self.0 = Some(thread::spawn(move || waker.wake()));
            Poll::Pending
        }
    }
    assert_eq!(block_on(Later(None)), 7);
}

#[test]
fn a_broker_that_is_not_there_is_told_within_the_patience() {
    let mut client = Client::default();
    client.settings.insert("bootstrap.servers".into(), "127.0.0.1:1".into());
    let error = partitions(&client, "t", Duration::from_millis(300)).unwrap_err().message;
    assert!(error.contains("127.0.0.1:1") && error.contains("connection refused"), "{error}");
}

#[test]
fn lag_is_counted_from_what_is_still_there() {
    let lag = |offset, start, end| GroupLag {
        at: velostream_types::topic::TopicPartition { topic: "t".into(), partition: 0 },
        committed: velostream_types::topic::Committed { offset, metadata: String::new() },
        bounds: Some(LogBounds { start, end }),
    };
    assert_eq!((lag(5, 0, 9).lag(), lag(5, 0, 9).lost()), (Some(4), 0));
    assert_eq!((lag(5, 7, 9).lag(), lag(5, 7, 9).lost()), (Some(2), 2));
    assert_eq!(lag(12, 0, 9).lag(), Some(0), "the topic was made anew");
    assert_eq!(GroupLag { bounds: None, ..lag(1, 0, 0) }.lag(), None);
}
