//! Dead letters of aggregates: rows that came too late, groups whose result left the range of its type.

use velostream_sql::plan::AggregateSpec;
use velostream_state::build::ColumnBuilder;
use velostream_state::key::decode;
use velostream_types::time::timestamp_text;
use velostream_types::{Batch, DataType, DeadLetter, ErrorCode, RecordError, Stage};

use super::{Place, Triple};

/// The letter of a late row.
pub(crate) fn late_row(place: &Place, batch: &Batch, row: usize, message: String) -> DeadLetter {
    let offset = batch.meta.offsets.at(row);
    DeadLetter {
        error: RecordError { code: ErrorCode::Late, stage: Stage::Process, message: message.into(), span: None },
        source: place.source_name(batch.meta.source),
        partition: batch.meta.partition,
        offset,
        position: None,
        full_length: None,
        bytes: batch.meta.raw.as_ref().map_or_else(Vec::new, |raw| raw.value(row).to_vec()),
        origin: batch.meta.records.as_ref().and_then(|records| records.origin(offset)),
    }
}

/// The letter of a group whose `call` left the range of its type; `window`: start and end, where there is one.
pub(crate) fn lost_group(
    spec: &AggregateSpec,
    place: &Place,
    key: &[u8],
    window: Option<(i64, i64)>,
    seen: Triple,
    call: usize,
) -> DeadLetter {
    let call = &spec.aggregates[call];
    let type_of = |key: &usize| spec.input.fields.get(*key).map_or(&DataType::Null, |field| &field.data_type);
    let mut keys: Vec<ColumnBuilder> = spec.keys.iter().map(|key| ColumnBuilder::new(type_of(key))).collect();
    let text = match decode(key, &mut keys) {
        Some(()) if !keys.is_empty() => {
            let values: Vec<String> = keys.into_iter().map(|b| b.finish().value(0).to_string()).collect();
            format!("group ({})", values.join(", "))
        }
        _ => "the whole input".to_owned(),
    };
    let within = window.map_or_else(String::new, |(start, end)| {
        format!(" in the window {} to {}", timestamp_text(start), timestamp_text(end))
    });
    let message = format!(
        "{} of {text}{within} is beyond the range of {}; hint: CAST AS DECIMAL(38,0)",
        call.function.name(),
        call.result,
    );
    DeadLetter {
        error: RecordError {
            code: ErrorCode::GroupOverflow,
            stage: Stage::Process,
            message: message.into(),
            span: Some(call.span),
        },
        source: place.name.clone(),
        partition: 0,
        offset: seen.0,
        position: None,
        full_length: None,
        bytes: Vec::new(),
        origin: None,
    }
}
