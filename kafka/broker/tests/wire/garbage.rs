//! Bytes no client would send: the connection closes, the broker stays, nothing is reserved by a claim.

use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, Request};

use super::client::*;
use super::start;

/// Sends raw bytes and ends the sending side; TRUE when the broker closed without an answer.
fn closes(address: &str, bytes: &[u8]) -> bool {
    let mut client = Client::connect(address);
    // The broker may have closed before all of it is out.
    let _ = client.stream.write_all(bytes);
    client.is_closed()
}

/// A request of this kind and version with these bytes as its body.
fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_i32(10 + body.len() as i32);
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(1);
    frame.put_i16(-1);
    frame.put_slice(body);
    frame.to_vec()
}

#[test]
fn absurd_frames_close_the_connection() {
    let (broker, mut client) = start();
    let address = broker.bootstrap();
    for length in [i32::MAX, i32::MIN, -1, (100 << 20) + 1] {
        assert!(closes(&address, &length.to_be_bytes()), "length {length}");
    }
    assert!(closes(&address, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"));
    assert!(closes(&address, &[0, 0, 0, 0]), "no header");
    assert!(closes(&address, &[0, 0, 0, 3, 1, 2, 3]), "half a header");
    assert!(closes(&address, &request(999, 0, &[])), "unknown kind");
    assert!(closes(&address, &request(3, 99, &[0; 20])), "unknown version");
    assert!(closes(&address, &request(0, 2, &[0; 20])), "a version no longer spoken");
    assert!(broker.stats().refused >= 9);
    assert_eq!(client.create("t", 1, &[]), 0, "others are served");
}

#[test]
fn a_cut_frame_is_no_request() {
    let (broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let mut whole = Client::connect(&broker.bootstrap());
    let mut body = BytesMut::new();
    produce_request("t", 0, batch(&["a"], ANYONE), -1, None).encode(&mut body, 8).expect("encodes");
    let frame = request(0, 8, &body);
    for cut in [1, 4, 11, 30, frame.len() - 1] {
        let mut client = Client::connect(&broker.bootstrap());
        client.stream.write_all(&frame[..cut]).expect("sent");
        client.stream.shutdown(std::net::Shutdown::Write).expect("half closed");
        assert!(client.is_closed(), "cut at {cut}");
    }
    whole.stream.write_all(&frame).expect("sent");
    assert!(whole.frame().is_some());
    assert_eq!(client.offset("t", 0, -1, false), (0, 1), "only the whole frame counted");
}

#[test]
fn claimed_lengths_inside_a_request_are_not_believed() {
    let (broker, mut client) = start();
    let address = broker.bootstrap();
    let huge = i32::MAX.to_be_bytes();
    assert!(closes(&address, &request(3, 1, &huge)), "topics of metadata");
    assert!(closes(&address, &request(19, 2, &huge)), "topics to create");
    assert!(closes(&address, &request(15, 0, &huge)), "groups to describe");
    assert!(closes(&address, &request(11, 0, &[0x7f, 0xff, b'g'])), "a group's name");
    assert!(closes(&address, &request(3, 12, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f])), "compact array");
    let rest = [&[0, 0, 0, 0][..], &[1, 2, 3]].concat();
    assert!(closes(&address, &request(3, 1, &rest)), "bytes behind the end");
    // Random bodies for every kind and version: an answer or a closed connection, never a stuck or dead broker.
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for key in 0..80 {
        for version in 0..13 {
            let body: Vec<u8> = (0..40)
                .map(|_| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    // Small numbers make lengths that hold now and then.
                    if seed & 3 == 0 { (seed >> 32) as u8 } else { (seed >> 32) as u8 & 1 }
                })
                .collect();
            let mut client = Client::connect(&address);
            let _ = client.stream.write_all(&request(key, version, &body));
            let _ = client.stream.shutdown(std::net::Shutdown::Write);
            let _ = client.frame();
        }
    }
    assert_eq!(client.create("t", 1, &[]), 0);
}

#[test]
fn unknown_versions_of_api_versions_are_told_what_is_spoken() {
    let (_broker, mut client) = start();
    client.stream.write_all(&request(18, 77, &[0; 6])).expect("sent");
    let mut frame = client.frame().expect("an answer");
    ResponseHeader::decode(&mut frame, 0).expect("header");
    let response = ApiVersionsResponse::decode(&mut frame, 0).expect("version 0");
    assert_eq!(response.error_code, 35);
    assert!(response.api_keys.iter().any(|kind| kind.api_key == 18 && kind.max_version >= 3));
}

#[test]
fn corrupt_batches_are_refused_and_nothing_is_stored() {
    let (_broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[("max.message.bytes", "200")]), 0);
    let good = batch(&["hello"], ANYONE);
    let damaged = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        Bytes::from(bytes)
    };
    let mut check = |records: Bytes, want: i16, what: &str| {
        assert_eq!(client.produce(8, "t", 0, records).error_code, want, "{what}");
    };
    check(damaged(good.len() - 3, b'X'), 2, "checksum");
    check(damaged(9, 0x7f), 87, "length");
    check(good.slice(..good.len() - 1), 87, "cut");
    check(good.slice(..20), 87, "cut in its header");
    check(damaged(16, 1), 87, "an old format");
    check(batch(&["x".repeat(60).as_str(); 4], ANYONE), 10, "too large");
    check(good.clone(), 0, "good");
    assert_eq!(client.offset("t", 0, -1, false), (0, 1));
}

/// Every kind in every version with an empty request: each answer can be encoded and decoded.
#[test]
fn every_version_has_an_answer() {
    fn check<Q: Request + Default>(address: &str, refuses: impl Fn(&mut Q)) {
        let range = api_range(address, Q::KEY);
        for version in range {
            let mut request = Q::default();
            refuses(&mut request);
            let mut client = Client::connect(address);
            assert!(client.try_call(version, &request).is_some(), "kind {} version {version}", Q::KEY);
        }
    }
    fn api_range(address: &str, key: i16) -> std::ops::RangeInclusive<i16> {
        let kinds = Client::connect(address).call(3, &ApiVersionsRequest::default()).api_keys;
        let kind = kinds.iter().find(|kind| kind.api_key == key).expect("offered");
        kind.min_version..=kind.max_version
    }
    let (broker, mut client) = start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let a = &broker.bootstrap();
    check::<ProduceRequest>(a, |q| q.acks = 1);
    check::<FetchRequest>(a, |_| {});
    check::<ListOffsetsRequest>(a, |_| {});
    check::<MetadataRequest>(a, |_| {});
    check::<OffsetCommitRequest>(a, |_| {});
    check::<OffsetFetchRequest>(a, |q| q.topics = Some(Vec::new()));
    check::<FindCoordinatorRequest>(a, |_| {});
    check::<JoinGroupRequest>(a, |_| {});
    check::<HeartbeatRequest>(a, |_| {});
    check::<LeaveGroupRequest>(a, |_| {});
    check::<SyncGroupRequest>(a, |_| {});
    check::<DescribeGroupsRequest>(a, |q| q.groups = vec![GroupId(text("g"))]);
    check::<ListGroupsRequest>(a, |_| {});
    check::<ApiVersionsRequest>(a, |_| {});
    check::<CreateTopicsRequest>(a, |_| {});
    check::<DeleteTopicsRequest>(a, |_| {});
    check::<DeleteRecordsRequest>(a, |_| {});
    check::<InitProducerIdRequest>(a, |q| {
        q.transactional_id = None;
        q.producer_id = ProducerId(-1);
        q.producer_epoch = -1;
    });
    check::<OffsetForLeaderEpochRequest>(a, |_| {});
    check::<AddPartitionsToTxnRequest>(a, |_| {});
    check::<AddOffsetsToTxnRequest>(a, |_| {});
    check::<TxnOffsetCommitRequest>(a, |_| {});
    check::<EndTxnRequest>(a, |_| {});
    check::<DescribeConfigsRequest>(a, |q| {
        let resource = |kind, name| {
            let resource = describe_configs_request::DescribeConfigsResource::default();
            resource.with_resource_type(kind).with_resource_name(text(name)).with_configuration_keys(None)
        };
        q.resources = vec![resource(4, "1"), resource(2, "t"), resource(2, "nope"), resource(99, "")];
    });
    check::<AlterConfigsRequest>(a, |_| {});
    check::<IncrementalAlterConfigsRequest>(a, |_| {});
    check::<DescribeLogDirsRequest>(a, |q| q.topics = None);
    check::<CreatePartitionsRequest>(a, |_| {});
    check::<DeleteGroupsRequest>(a, |q| q.groups_names = vec![GroupId(text("g"))]);
    check::<OffsetDeleteRequest>(a, |_| {});
    check::<DescribeClusterRequest>(a, |_| {});
    check::<DescribeProducersRequest>(a, |_| {});
    check::<DescribeTransactionsRequest>(a, |q| q.transactional_ids = vec![TransactionalId(text("x"))]);
    check::<ListTransactionsRequest>(a, |_| {});
}
