//! Partial forms nobody vouches for: what a torn or flipped snapshot may hold.

use super::*;
use std::sync::Arc;
use velostream_sql::plan::{AggregateCall, AggregateSpec, Emit};
use velostream_types::{Field, Schema, SourceId, Span};

/// A spec with every state that keeps values.
fn spec(input_changes: bool) -> AggregateSpec {
    let call = |function, argument: usize, distinct| AggregateCall {
        distinct,
        parameter: Some(Value::Decimal { mantissa: 5, scale: 1 }),
        ..AggregateCall::plain(function, vec![argument], DataType::Null, Span::default())
    };
    let mut aggregates = vec![
        call(AggregateFn::PercentileCont, 0, false),
        call(AggregateFn::Count, 1, true),
        call(AggregateFn::StringAgg, 1, false),
        call(AggregateFn::Last, 0, false),
        call(AggregateFn::VarPop, 0, false),
    ];
    if !input_changes {
        aggregates.push(call(AggregateFn::ApproxCountDistinct, 1, false));
    }
    let fields = vec![Field::new("n", DataType::decimal(2)), Field::new("s", DataType::String)];
    AggregateSpec {
        keys: Vec::new(),
        aggregates,
        window: None,
        emit: Emit::Changes,
        retract: false,
        input: Arc::new(Schema::new(fields)),
        input_changes,
        identity: if input_changes { vec![1] } else { Vec::new() },
        headers: None,
        ttl_ns: None,
    }
}

/// Flipping, cutting and adding bytes gives what is refused or what is read without a panic; never anything else.
#[test]
fn spoilt_partial_forms_do_no_harm() {
    for input_changes in [false, true] {
        let layout = Layout::new(&spec(input_changes));
        let mut pool = BlockPool::default();
        let columns = [Column::dec64(vec![150, -75, 150], 2, None), Column::strs([Some("a"), Some("bb"), Some("ccc")])];
        let meta = RowMeta::plain(SourceId(0), 0, 0);
        let groups = [0, 0, 0];
        let weights = input_changes.then_some(&[1i8, 1, 1][..]);
        let mut states = States::new(&layout);
        states.grow(1, &mut pool);
        states.update(&layout, Fold { groups: &groups, start: 0, columns: &columns, meta: &meta, weights }, &mut pool);
        let whole = states.partial(&[0]);
        assert!(layout.accepts(&whole));
        assert!(!layout.accepts(&whole[1..]));
        let mut refused = 0;
        for (at, column) in whole.iter().enumerate() {
            let Column::Bytes(bytes) = column else { continue };
            let bytes = bytes.value(0);
            let spoilt = (0..bytes.len()).flat_map(|i| {
                let mut flipped = bytes.to_vec();
                flipped[i] ^= 0x5a;
                [flipped, bytes[..i].to_vec(), [&bytes[..=i], bytes].concat()]
            });
            for spoilt in spoilt {
                let mut columns = whole.clone();
                columns[at] = Column::Bytes([Some(spoilt)].into_iter().collect());
                if !layout.accepts(&columns) {
                    refused += 1;
                    continue;
                }
                let mut states = States::new(&layout);
                states.grow(1, &mut pool);
                states.merge(&[0], 0, &columns, &mut pool);
                states.settle(0);
                let mut out = layout.builders();
                states.emit(&layout, 0, &mut out);
                assert!(out.iter().all(|column| column.len() == 1));
            }
        }
        assert!(refused > 50, "{refused}");
    }
}
