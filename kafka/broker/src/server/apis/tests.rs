//! Every shape of the table against the generated decoder of the same version.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Decodable;

use super::super::shape;
use super::*;

/// A body of this shape: texts of two letters, arrays of two, numbers of one bit.
fn fill(out: &mut BytesMut, shape: &[u8], flexible: bool) {
    let mut at = 0;
    while at < shape.len() {
        match shape[at] {
            b'b' => out.put_u8(1),
            b'h' => out.put_u16(1),
            b'i' => out.put_u32(1),
            b'l' => out.put_u64(1),
            b'u' => out.put_u128(1),
            _ if flexible && matches!(shape[at], b's' | b'y') => out.put_slice(b"\x03ab"),
            b's' => out.put_slice(b"\x00\x02ab"),
            b'y' => out.put_slice(b"\x00\x00\x00\x02ab"),
            open => {
                let mut depth = 0;
                let end = (at..shape.len()).find(|i| {
                    depth += i32::from(b"[{".contains(&shape[*i])) - i32::from(b"]}".contains(&shape[*i]));
                    depth == 0
                });
                let end = end.expect("brackets close");
                let inner = &shape[at + 1..end];
                if open == b'[' {
                    if flexible {
                        out.put_u8(3)
                    } else {
                        out.put_u32(2)
                    };
                    (0..2).for_each(|_| fill(out, inner, flexible));
                } else {
                    fill(out, inner, flexible);
                    if flexible {
                        out.put_slice(b"\x01\x63\x01x");
                    }
                }
                at = end;
            }
        }
        at += 1;
    }
}

/// Bytes the generated decoder leaves.
fn left_by<T: Decodable>(mut body: Bytes, version: i16) -> usize {
    T::decode(&mut body, version).expect("decodes");
    body.remaining()
}

fn decoder(key: ApiKey) -> fn(Bytes, i16) -> usize {
    match key {
        ApiKey::Produce => left_by::<ProduceRequest>,
        ApiKey::Fetch => left_by::<FetchRequest>,
        ApiKey::ListOffsets => left_by::<ListOffsetsRequest>,
        ApiKey::Metadata => left_by::<MetadataRequest>,
        ApiKey::OffsetCommit => left_by::<OffsetCommitRequest>,
        ApiKey::OffsetFetch => left_by::<OffsetFetchRequest>,
        ApiKey::FindCoordinator => left_by::<FindCoordinatorRequest>,
        ApiKey::JoinGroup => left_by::<JoinGroupRequest>,
        ApiKey::Heartbeat => left_by::<HeartbeatRequest>,
        ApiKey::LeaveGroup => left_by::<LeaveGroupRequest>,
        ApiKey::SyncGroup => left_by::<SyncGroupRequest>,
        ApiKey::DescribeGroups => left_by::<DescribeGroupsRequest>,
        ApiKey::ListGroups => left_by::<ListGroupsRequest>,
        ApiKey::ApiVersions => left_by::<ApiVersionsRequest>,
        ApiKey::CreateTopics => left_by::<CreateTopicsRequest>,
        ApiKey::DeleteTopics => left_by::<DeleteTopicsRequest>,
        ApiKey::DeleteRecords => left_by::<DeleteRecordsRequest>,
        ApiKey::InitProducerId => left_by::<InitProducerIdRequest>,
        ApiKey::OffsetForLeaderEpoch => left_by::<OffsetForLeaderEpochRequest>,
        ApiKey::AddPartitionsToTxn => left_by::<AddPartitionsToTxnRequest>,
        ApiKey::AddOffsetsToTxn => left_by::<AddOffsetsToTxnRequest>,
        ApiKey::EndTxn => left_by::<EndTxnRequest>,
        ApiKey::TxnOffsetCommit => left_by::<TxnOffsetCommitRequest>,
        ApiKey::DescribeConfigs => left_by::<DescribeConfigsRequest>,
        ApiKey::AlterConfigs => left_by::<AlterConfigsRequest>,
        ApiKey::DescribeLogDirs => left_by::<DescribeLogDirsRequest>,
        ApiKey::CreatePartitions => left_by::<CreatePartitionsRequest>,
        ApiKey::DeleteGroups => left_by::<DeleteGroupsRequest>,
        ApiKey::IncrementalAlterConfigs => left_by::<IncrementalAlterConfigsRequest>,
        ApiKey::OffsetDelete => left_by::<OffsetDeleteRequest>,
        ApiKey::DescribeCluster => left_by::<DescribeClusterRequest>,
        ApiKey::DescribeProducers => left_by::<DescribeProducersRequest>,
        ApiKey::DescribeTransactions => left_by::<DescribeTransactionsRequest>,
        ApiKey::ListTransactions => left_by::<ListTransactionsRequest>,
        other => panic!("{other:?} has no decoder in this test"),
    }
}

#[test]
fn shapes_are_those_of_the_decoders() {
    for api in APIS {
        for version in api.min..=api.max {
            let flexible = version >= api.flexible;
            let mut body = BytesMut::new();
            fill(&mut body, api.shape(version).as_bytes(), flexible);
            if flexible {
                body.put_u8(0);
            }
            let what = format!("{} v{version}", api.name());
            assert_eq!(shape::check(&body, api.shape(version), flexible), Ok(()), "{what}");
            assert_eq!(decoder(api.key)(body.clone().freeze(), version), 0, "{what}");
            assert_eq!(api.key.request_header_version(version), if flexible { 2 } else { 1 }, "{what}");
            for cut in 0..body.len() {
                assert!(shape::check(&body[..cut], api.shape(version), flexible).is_err(), "{what} cut at {cut}");
            }
        }
    }
}
