//! Scenario files: behaviour as a story in SQL.
//!
//! ```text
//! # Why this scenario exists, in a sentence.
//! CREATE STREAM ...;            SQL up to the first directive
//!
//! --- feed trades@0             rows for partition 0 of source `trades`, in its format; feeds that follow each
//! 1,AAPL,10                     other arrive together
//! --- feed trades@0 records     records of a topic: `KEY; name=value => VALUE` (see `records`)
//! --- sync                      what was fed is worked on before more is fed
//! --- hold trades@0             that partition has more than it gives: what is fed waits
//! --- release trades@0          it gives all again
//! --- wait 60s                  the time of day goes on
//! --- restart                   snapshot, tear down, restore
//! --- end                       all inputs end
//! --- expect out                rows of sink `out` since the last `expect` of it, as a multiset
//! --- expect out ordered        the same, in this order
//! --- expect out last(symbol)   the last row per value of these fields
//! --- expect out records        records as a topic gets them: `KEY; name=value => VALUE`, as a multiset
//! --- dead out                  dead letters of destination `out`
//! --- fails                     the step in front of it ends the run with this message
//! --- advice                    the recommendations for it, a line each
//! --- explain c.csv=9000000     EXPLAIN of the app by a planner that knows that a source has so many bytes
//! --- error                     the rendered diagnostics; the SQL must not deploy
//! --- valid                     the rendered diagnostics of validation; the SQL is right, whether it runs yet or not
//! ```
//!
//! In a feed line `\xff` is the byte of that value.
//!
//! Every file runs for shards 1/2/4 × batch rows 1/7/1024 × restarts never/after every feed, and with a restart on another
//! number of shards after each line that is fed, against one text.

mod compile;
mod records;
mod run;

pub use compile::{check_app, compile_app, feed_name};
pub use records::{FedRecord, line_of};
pub use run::{Outcome, run_file};

/// One parsed scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// The comment on top.
    pub why: String,
    /// The SQL.
    pub sql: String,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One directive with its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The directive.
    pub kind: StepKind,
    /// Its line number, 1-based.
    pub line: usize,
    /// The lines below it.
    pub body: Vec<String>,
}

/// Directives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// Rows for one partition of a source.
    Feed(String, u32, FeedForm),
    /// A partition of a source gives nothing, though it has more (TRUE), or all again.
    Hold(String, u32, bool),
    /// The step before ends the run.
    Fails,
    /// Snapshot, tear down, restore.
    Restart,
    /// What was fed is worked on before more is fed.
    Sync,
    /// The time of day goes on by so many ms.
    Wait(u64),
    /// All inputs end.
    End,
    /// Rows of a sink.
    Expect(String, Comparison),
    /// Dead letters of a destination.
    Dead(String),
    /// Recommendations.
    Advice,
    /// The plan in words; bytes of sources by name.
    Explain(Vec<(String, u64)>),
    /// Rendered diagnostics.
    Error,
    /// Rendered diagnostics of SQL that is right and need not run.
    Valid,
}

/// How a feed's lines are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedForm {
    /// The bytes of a file.
    Bytes,
    /// One record of a topic each.
    Records,
}

/// How rows are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// As a multiset.
    Multiset,
    /// In order.
    Ordered,
    /// The last row per value of these fields.
    Last(Vec<String>),
    /// With keys and headers, as a multiset.
    Records,
}

impl Scenario {
    /// Parses a scenario file; the error says which line is wrong and why.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        let mut scenario = Scenario::default();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((_, line)) = lines.next_if(|(_, l)| l.starts_with('#')) {
            scenario.why.push_str(line.trim_start_matches('#').trim());
            scenario.why.push(' ');
        }
        if scenario.why.trim().is_empty() {
            return Err("line 1: a scenario opens with `# why it exists`".to_owned());
        }
        while let Some((_, line)) = lines.next_if(|(_, l)| !l.starts_with("--- ")) {
            scenario.sql.push_str(line);
            scenario.sql.push('\n');
        }
        for (i, line) in lines {
            if let Some(directive) = line.strip_prefix("--- ") {
                let kind = directive_of(directive.trim()).map_err(|e| format!("line {}: {e}", i + 1))?;
                scenario.steps.push(Step { kind, line: i + 1, body: Vec::new() });
            } else if let Some(step) = scenario.steps.last_mut() {
                step.body.push(line.to_owned());
            }
        }
        for step in &mut scenario.steps {
            while step.body.last().is_some_and(String::is_empty) {
                step.body.pop();
            }
        }
        Ok(scenario)
    }

    /// The file's text; `parse` of it gives the scenario back.
    pub fn to_text(&self, original: &str) -> String {
        let mut text = String::new();
        for line in original.lines().take_while(|l| !l.starts_with("--- ")) {
            text.push_str(line);
            text.push('\n');
        }
        for (i, step) in self.steps.iter().enumerate() {
            let directive = match &step.kind {
                StepKind::Feed(source, partition, FeedForm::Bytes) => format!("feed {source}@{partition}"),
                StepKind::Feed(source, partition, FeedForm::Records) => format!("feed {source}@{partition} records"),
                StepKind::Hold(source, partition, true) => format!("hold {source}@{partition}"),
                StepKind::Hold(source, partition, false) => format!("release {source}@{partition}"),
                StepKind::Fails => "fails".to_owned(),
                StepKind::Restart => "restart".to_owned(),
                StepKind::Sync => "sync".to_owned(),
                StepKind::Wait(ms) if ms % 1_000 == 0 => format!("wait {}s", ms / 1_000),
                StepKind::Wait(ms) => format!("wait {ms}ms"),
                StepKind::End => "end".to_owned(),
                StepKind::Expect(sink, Comparison::Multiset) => format!("expect {sink}"),
                StepKind::Expect(sink, Comparison::Ordered) => format!("expect {sink} ordered"),
                StepKind::Expect(sink, Comparison::Last(keys)) => format!("expect {sink} last({})", keys.join(",")),
                StepKind::Expect(sink, Comparison::Records) => format!("expect {sink} records"),
                StepKind::Dead(dlq) => format!("dead {dlq}"),
                StepKind::Advice => "advice".to_owned(),
                StepKind::Explain(sizes) => {
                    let sizes = sizes.iter().map(|(source, bytes)| format!(" {source}={bytes}"));
                    format!("explain{}", sizes.collect::<String>())
                }
                StepKind::Error => "error".to_owned(),
                StepKind::Valid => "valid".to_owned(),
            };
            text.push_str(&format!("--- {directive}\n"));
            for line in &step.body {
                text.push_str(line);
                text.push('\n');
            }
            if i + 1 < self.steps.len() && !step.body.is_empty() {
                text.push('\n');
            }
        }
        text
    }
}

fn directive_of(text: &str) -> Result<StepKind, String> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "feed" => {
            let records = rest.strip_suffix(" records");
            let form = if records.is_some() { FeedForm::Records } else { FeedForm::Bytes };
            let (source, partition) = partition_of(word, records.unwrap_or(rest))?;
            Ok(StepKind::Feed(source, partition, form))
        }
        "hold" | "release" => {
            let (source, partition) = partition_of(word, rest)?;
            Ok(StepKind::Hold(source, partition, word == "hold"))
        }
        "fails" => Ok(StepKind::Fails),
        "restart" => Ok(StepKind::Restart),
        "sync" => Ok(StepKind::Sync),
        "wait" => {
            let (number, unit) = match rest.strip_suffix("ms") {
                Some(number) => (number, 1),
                None => (rest.strip_suffix('s').unwrap_or(rest), 1_000),
            };
            let number: u64 = number.parse().map_err(|_| format!("`{rest}` is no time to wait: 60s or 1500ms"))?;
            Ok(StepKind::Wait(number * unit))
        }
        "end" => Ok(StepKind::End),
        "advice" => Ok(StepKind::Advice),
        "explain" => {
            let size = |text: &str| {
                let (source, bytes) = text.split_once('=').ok_or_else(|| format!("`{text}` is no `source=bytes`"))?;
                let bytes = bytes.parse().map_err(|_| format!("`{bytes}` is no number of bytes"))?;
                Ok((source.to_owned(), bytes))
            };
            rest.split_whitespace().map(size).collect::<Result<_, String>>().map(StepKind::Explain)
        }
        "error" => Ok(StepKind::Error),
        "valid" => Ok(StepKind::Valid),
        "dead" => Ok(StepKind::Dead(rest.to_owned())),
        "expect" => {
            let (sink, how) = rest.split_once(' ').unwrap_or((rest, ""));
            let comparison = match how {
                "" => Comparison::Multiset,
                "ordered" => Comparison::Ordered,
                "records" => Comparison::Records,
                other => match other.strip_prefix("last(").and_then(|k| k.strip_suffix(')')) {
                    Some(keys) => Comparison::Last(keys.split(',').map(|k| k.trim().to_owned()).collect()),
                    None => return Err(format!("`{other}` is no comparison: ordered, records, last(field,…)")),
                },
            };
            Ok(StepKind::Expect(sink.to_owned(), comparison))
        }
        other => Err(format!(
            "`{other}` is no directive: feed, sync, hold, release, wait, restart, end, expect, dead, fails, advice, \
             explain, error, valid"
        )),
    }
}

/// The partition that a directive is about.
fn partition_of(word: &str, text: &str) -> Result<(String, u32), String> {
    let (source, partition) = text.rsplit_once('@').ok_or_else(|| format!("{word} needs `source@partition`"))?;
    let partition = partition.parse().map_err(|_| format!("`{partition}` is no partition number"))?;
    Ok((source.to_owned(), partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_survives_parsing_and_printing() {
        let text = "# why\nSELECT 1;\n\n--- feed t@1\n1,a\n\n--- feed u@0 records\nk => v\n\n--- hold t@1\n--- release t@1\n--- restart\n--- end\n--- expect q last(a,b)\n{\"a\":1}\n\n--- expect q records\nk => v\n";
        let scenario = Scenario::parse(text).expect("parses");
        assert_eq!(scenario.steps.len(), 8);
        assert_eq!(scenario.to_text(text), text);
    }

    #[test]
    fn mistakes_name_their_line() {
        assert_eq!(Scenario::parse("SELECT 1;"), Err("line 1: a scenario opens with `# why it exists`".to_owned()));
        let error = Scenario::parse("# w\nSELECT 1;\n--- fed t@0\n").expect_err("no such directive");
        assert!(error.starts_with("line 3: `fed`"), "{error}");
    }
}
