//! From a request's body to its answer's frame: version and shape are checked, the body decoded, the handler called, the
//! answer encoded.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, api_versions_response::ApiVersion};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use super::apis::{APIS, Api};
use super::connection::{Call, Reply};
use super::{configs, fetch, group_admin, groups, metadata, offsets, produce, shape, topic_admin, transactions};
use crate::errors;

/// A text of the wire.
pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// TRUE for requests that report and obey a throttle, as with Apache Kafka's byte rates.
pub(crate) fn is_throttled(key: ApiKey) -> bool {
    matches!(key, ApiKey::Produce | ApiKey::Fetch)
}

/// Carries out one request.
pub(crate) fn dispatch(call: &Call<'_>, body: Bytes) -> Reply {
    let api = call.api;
    if !(api.min..=api.max).contains(&call.version) {
        return if api.key == ApiKey::ApiVersions {
            // The one answer a client can read without knowing what we speak: version 0, with the list it needs.
            frame(call, 0, &api_versions(errors::UNSUPPORTED_VERSION))
        } else {
            Reply::Close(format!("the broker speaks versions {} to {}", api.min, api.max))
        };
    }
    if let Err(error) = shape::check(&body, api.shape(call.version), call.version >= api.flexible) {
        return Reply::Close(format!("the request is malformed: {error}"));
    }
    match api.key {
        ApiKey::Produce => match decode(call, body) {
            Ok(request) => produce::produce(call, request),
            Err(close) => close,
        },
        ApiKey::Fetch => match decode(call, body) {
            Ok(request) => fetch::fetch(call, &request),
            Err(close) => close,
        },
        ApiKey::ApiVersions => reply(call, body, |_, _: ApiVersionsRequest| api_versions(errors::NONE)),
        ApiKey::Metadata => reply(call, body, metadata::metadata),
        ApiKey::DescribeCluster => reply(call, body, metadata::describe_cluster),
        ApiKey::DescribeLogDirs => reply(call, body, metadata::describe_log_dirs),
        ApiKey::FindCoordinator => reply(call, body, metadata::find_coordinator),
        ApiKey::ListOffsets => reply(call, body, offsets::list_offsets),
        ApiKey::OffsetForLeaderEpoch => reply(call, body, offsets::offset_for_leader_epoch),
        ApiKey::DeleteRecords => reply(call, body, offsets::delete_records),
        ApiKey::JoinGroup => reply(call, body, groups::join),
        ApiKey::SyncGroup => reply(call, body, groups::sync),
        ApiKey::Heartbeat => reply(call, body, groups::heartbeat),
        ApiKey::LeaveGroup => reply(call, body, groups::leave),
        ApiKey::OffsetCommit => reply(call, body, groups::commit),
        ApiKey::OffsetFetch => reply(call, body, groups::fetch_offsets),
        ApiKey::ListGroups => reply(call, body, group_admin::list),
        ApiKey::DescribeGroups => reply(call, body, group_admin::describe),
        ApiKey::DeleteGroups => reply(call, body, group_admin::delete),
        ApiKey::OffsetDelete => reply(call, body, group_admin::delete_offsets),
        ApiKey::InitProducerId => reply(call, body, transactions::init),
        ApiKey::AddPartitionsToTxn => reply(call, body, transactions::add_partitions),
        ApiKey::AddOffsetsToTxn => reply(call, body, transactions::add_offsets),
        ApiKey::TxnOffsetCommit => reply(call, body, transactions::commit_offsets),
        ApiKey::EndTxn => reply(call, body, transactions::end),
        ApiKey::DescribeProducers => reply(call, body, transactions::describe_producers),
        ApiKey::DescribeTransactions => reply(call, body, transactions::describe),
        ApiKey::ListTransactions => reply(call, body, transactions::list),
        ApiKey::CreateTopics => reply(call, body, topic_admin::create),
        ApiKey::DeleteTopics => reply(call, body, topic_admin::delete),
        ApiKey::CreatePartitions => reply(call, body, topic_admin::add_partitions),
        ApiKey::DescribeConfigs => reply(call, body, configs::describe),
        ApiKey::AlterConfigs => reply(call, body, configs::alter),
        ApiKey::IncrementalAlterConfigs => reply(call, body, configs::alter_some),
        _ => Reply::Close("the request has no handler".to_owned()),
    }
}

fn decode<Q: Decodable>(call: &Call<'_>, mut body: Bytes) -> Result<Q, Reply> {
    Q::decode(&mut body, call.version).map_err(|error| Reply::Close(format!("the request cannot be decoded: {error}")))
}

fn reply<Q: Request>(call: &Call<'_>, body: Bytes, handle: impl FnOnce(&Call<'_>, Q) -> Q::Response) -> Reply {
    match decode::<Q>(call, body) {
        Ok(request) => frame(call, call.version, &handle(call, request)),
        Err(close) => close,
    }
}

/// Encodes an answer behind its length and header.
pub(crate) fn frame<R: Encodable + HeaderVersion>(call: &Call<'_>, version: i16, response: &R) -> Reply {
    let mut out = BytesMut::with_capacity(256);
    out.put_i32(0);
    out.put_i32(call.correlation);
    if R::header_version(version) >= 1 {
        out.put_u8(0);
    }
    if let Err(error) = response.encode(&mut out, version) {
        return Reply::Close(format!("the answer cannot be encoded: {error}"));
    }
    let length = (out.len() - 4) as i32;
    out[..4].copy_from_slice(&length.to_be_bytes());
    Reply::Frame(vec![out.freeze()])
}

fn api_versions(error: i16) -> ApiVersionsResponse {
    let kind = |api: &Api| {
        ApiVersion::default().with_api_key(api.key as i16).with_min_version(api.min).with_max_version(api.max)
    };
    ApiVersionsResponse::default().with_error_code(error).with_api_keys(APIS.iter().map(kind).collect())
}
