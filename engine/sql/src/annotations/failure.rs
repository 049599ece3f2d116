//! `@failure_strategy` and `@enable_dlq`: what becomes of a statement's bad records. They hold for the statement's own
//! operators and sink, and for a source that nobody else reads; what WITH says of these counts more.

use std::path::PathBuf;

use velostream_types::{DlqId, EdgeId};

use super::StatementAnnotations;
use crate::plan::{AppPlan, DlqPlan, Failure, NodeKind};

/// Lets the annotations of statement number `statement` take effect.
pub(super) fn apply(plan: &mut AppPlan, statement: usize, annotations: &StatementAnnotations) {
    let failure = match annotations.get("failure_strategy") {
        Some(word) if word.eq_ignore_ascii_case("LogAndContinue") => Failure::Log,
        Some(word) if word.eq_ignore_ascii_case("FailBatch") => Failure::Stop,
        _ => Failure::DeadLetter,
    };
    let is_off = annotations.get("enable_dlq").is_some_and(|value| value.eq_ignore_ascii_case("false"));
    if failure == Failure::DeadLetter && !is_off {
        return;
    }
    let own: Vec<usize> = (0..plan.nodes.len()).filter(|n| is_own(plan, *n, statement)).collect();
    let mut destinations: Vec<DlqId> = own.iter().map(|n| plan.nodes[*n].dlq).collect();
    destinations.sort_unstable();
    destinations.dedup();
    for id in destinations {
        let known = &plan.dlqs[id.index()];
        if known.failure != Failure::DeadLetter || !known.enabled {
            continue;
        }
        let name = known.name.clone();
        let nobody = DlqPlan { name, path: PathBuf::new(), topic: None, enabled: false, failure, edge: known.edge };
        let is_shared = (0..plan.nodes.len()).any(|n| plan.nodes[n].dlq == id && !own.contains(&n));
        if !is_shared {
            plan.dlqs[id.index()] = nobody;
            continue;
        }
        let fresh = DlqId(plan.dlqs.len() as u16);
        plan.dlqs.push(DlqPlan { edge: EdgeId(plan.edges), ..nobody });
        plan.edges += 1;
        own.iter().filter(|n| plan.nodes[**n].dlq == id).copied().collect::<Vec<_>>().into_iter().for_each(|n| {
            plan.nodes[n].dlq = fresh;
            if let NodeKind::Scan { source } = plan.nodes[n].kind {
                plan.sources[source.index()].dlq = fresh;
            }
        });
    }
}

/// TRUE for the statement's own nodes, and for a scan that only they read.
fn is_own(plan: &AppPlan, node: usize, statement: usize) -> bool {
    let node = &plan.nodes[node];
    match node.kind {
        NodeKind::Scan { .. } => {
            let mut readers = plan.nodes.iter().filter(|reader| reader.inputs.contains(&node.id)).peekable();
            readers.peek().is_some() && readers.all(|reader| reader.statement == statement)
        }
        _ => node.statement == statement,
    }
}
