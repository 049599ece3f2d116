//! Recommendations that need the plan: what topics are written and read with.

use velostream_types::Span;

use super::Found;
use crate::plan::{AppPlan, NodeKind, SinkConnector, SourceConnector, TimeField};

/// Looks at sinks and windows; `windows` are those of the text that name no time column.
pub(super) fn look(app: &AppPlan, windows: &[Span], found: &mut Found) {
    for sink in &app.sinks {
        let SinkConnector::Kafka(kafka) = &sink.connector else { continue };
        let settings = &kafka.client.settings;
        if !["compression.type", "compression.codec"].iter().any(|name| settings.contains_key(*name)) {
            let message = format!("records go to topic \"{}\" without compression", kafka.topic);
            let hint = format!("add '{}.compression.type' = 'zstd'", sink.name);
            found.add("A0807", statement(app, sink.statement), message, hint);
        }
    }
    for (at, node) in app.nodes.iter().enumerate() {
        if !matches!(&node.kind, NodeKind::Aggregate(spec) if spec.window.is_some()) {
            continue;
        }
        let own = statement(app, node.statement);
        let is_own = |window: &&Span| own.start <= window.start && window.end <= own.end;
        let Some(window) = windows.iter().find(is_own) else { continue };
        if let Some(source) = timed_by_records(app, at) {
            let message = format!("the window goes by the time records of \"{source}\" were written");
            let hint = format!("name the column of the events' time: '{source}.event.time.field' = '…'");
            found.add("A0808", *window, message, hint);
        }
    }
}

fn statement(app: &AppPlan, at: usize) -> Span {
    app.statements.get(at).map(|s| s.span).unwrap_or_default()
}

/// Name of a topic, below node `at` and in front of any other aggregate, whose records bring no time of their own.
fn timed_by_records(app: &AppPlan, at: usize) -> Option<&str> {
    let mut pending: Vec<usize> = app.nodes[at].inputs.iter().map(|input| input.index()).collect();
    while let Some(node) = pending.pop().and_then(|node| app.nodes.get(node)) {
        match &node.kind {
            NodeKind::Scan { source } => {
                let source = &app.sources[source.index()];
                let by_record =
                    source.event_time.as_ref().is_some_and(|time| !matches!(time.field, TimeField::Column(_)));
                if by_record && matches!(source.connector, SourceConnector::Kafka(_)) {
                    return Some(&source.name);
                }
            }
            // A query may give its rows a time of their own.
            NodeKind::Aggregate(_) | NodeKind::Project { event_time: Some(_), .. } => {}
            _ => pending.extend(node.inputs.iter().map(|input| input.index())),
        }
    }
    None
}
