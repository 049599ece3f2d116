//! What is wrong with an app before anything is published: each of its statements with what was found about it.
//!
//! The text is compiled as a test compiles it, but no topic is there. A topic's columns are known if the app declares them;
//! a statement that needs others is not judged, which is a warning.

use velostream_runtime::catalog::FileCatalog;
use velostream_runtime::io::memory::Topics;
use velostream_sql::annotations::parse_annotations;
use velostream_sql::diag::{Diagnostic, Severity};
use velostream_sql::endpoint::{Catalog, CatalogError, SourceSpec};
use velostream_sql::lint::outline;
use velostream_sql::plan::SourceConnector;
use velostream_types::{Schema, Span};

use super::deploy::{self, App, Bound, Env};

/// Code of the finding that a topic without records has no declared columns, either.
const NO_COLUMNS: &str = "E0510";

/// What was found in an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// The app's name: that of its annotations, else of its file.
    pub name: String,
    /// Statements, those that cannot be read included.
    pub total: usize,
    /// Statements with errors, in their order.
    pub invalid: Vec<Invalid>,
    /// Errors that belong to no statement.
    pub general: Vec<Diagnostic>,
    /// Warnings, in the order of the text.
    pub warnings: Vec<Diagnostic>,
}

/// A statement with errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// 1-based position in the text.
    pub number: usize,
    /// 1-based line it begins in.
    pub line: usize,
    /// What it makes; none for a bare SELECT or one that cannot be read.
    pub name: Option<String>,
    /// What is wrong with it.
    pub errors: Vec<Diagnostic>,
}

impl Validated {
    /// Nothing is wrong.
    pub fn is_valid(&self) -> bool {
        self.invalid.is_empty() && self.general.is_empty()
    }
}

/// Files are looked at as ever, topics have no record.
struct WithoutTopics(FileCatalog);

impl Catalog for WithoutTopics {
    fn infer(&mut self, spec: &SourceSpec) -> Result<Schema, CatalogError> {
        match &spec.connector {
            SourceConnector::Kafka(kafka) => Err(CatalogError::NoRecord { topic: kafka.topic.clone() }),
            _ => self.0.infer(spec),
        }
    }

    fn check(&mut self, spec: &SourceSpec) -> Result<(), CatalogError> {
        self.0.check(spec)
    }

    fn has_one_header(&mut self, spec: &SourceSpec) -> bool {
        self.0.has_one_header(spec)
    }
}

/// Compiles an app and sorts what was found by statement.
pub fn validate(app: &App, env: Env<'_>) -> Validated {
    let mut catalog = WithoutTopics(FileCatalog::with_topics(Topics::default()));
    let Bound { findings, .. } = deploy::bind(app, &mut catalog, env, &[]);
    let statements = outline(&app.text);
    let spans: Vec<Span> = statements.iter().map(|statement| statement.span).collect();
    let (annotations, _, _) = parse_annotations(&app.text, &spans, env);
    let mut validated = Validated {
        name: annotations.app_name().unwrap_or(&app.name).to_owned(),
        total: statements.len(),
        invalid: Vec::new(),
        general: Vec::new(),
        warnings: Vec::new(),
    };
    let mut errors: Vec<Vec<Diagnostic>> = statements.iter().map(|_| Vec::new()).collect();
    for finding in findings.into_iter().map(judged) {
        if finding.severity != Severity::Error {
            validated.warnings.push(finding);
            continue;
        }
        match statement_of(&finding, &spans) {
            Some(at) => errors[at].push(finding),
            None => validated.general.push(finding),
        }
    }
    for (at, (statement, errors)) in statements.into_iter().zip(errors).enumerate() {
        if !errors.is_empty() {
            let line = app.text[..statement.span.start as usize].matches('\n').count() + 1;
            validated.invalid.push(Invalid { number: at + 1, line, name: statement.name, errors });
        }
    }
    validated
}

/// A topic whose columns nobody declares has those of its first records, which a test will publish.
fn judged(mut finding: Diagnostic) -> Diagnostic {
    if finding.code == NO_COLUMNS {
        finding.severity = Severity::Warning;
        finding.message = "the columns of this topic are known when it has records; what reads it is not judged".into();
        finding.hint = Some("declare them: CREATE STREAM name (column TYPE, …) WITH (…)".into());
    }
    finding
}

/// Position of the statement that a finding belongs to: the one it points into, which for a bad declaration is not the one
/// that reads it.
fn statement_of(finding: &Diagnostic, spans: &[Span]) -> Option<usize> {
    let place = finding.primary.as_ref().filter(|label| label.origin.is_none()).map(|label| label.span.start);
    let placed = place.and_then(|at| spans.iter().position(|span| span.start <= at && at < span.end));
    let numbered = || finding.statement.and_then(|number| number.checked_sub(1));
    placed.or_else(numbered).filter(|at| *at < spans.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(text: &str) -> Validated {
        let app = App {
            shown: "a.sql".to_owned(),
            text: text.to_owned(),
            base_dir: std::path::PathBuf::new(),
            name: "a".to_owned(),
        };
        validate(&app, &|_| None)
    }

    const DECLARED: &str = "CREATE STREAM src (id INT) WITH ('type' = 'kafka_source', 'topic' = 't');\n";

    #[test]
    fn errors_are_those_of_their_statements() {
        let text = format!("-- @app: shop\n{DECLARED}SELECT id FROM src;\nSELEC 1;\n\nSELECT\n  usr FROM src;\n");
        let found = validated(&text);
        assert_eq!((found.name.as_str(), found.total), ("shop", 4));
        let invalid: Vec<(usize, usize, &str)> =
            found.invalid.iter().map(|one| (one.number, one.line, one.errors[0].code)).collect();
        assert_eq!(invalid, [(3, 4, "E0102"), (4, 6, "E0203")]);
        assert!(found.general.is_empty() && !found.is_valid());
    }

    #[test]
    fn undeclared_topics_are_not_judged() {
        let text = "CREATE STREAM copy AS SELECT usr FROM src WITH ('src.type' = 'kafka_source', 'src.topic' = 't');";
        let found = validated(text);
        assert!(found.is_valid(), "{found:?}");
        assert!(found.warnings.iter().any(|d| d.code == NO_COLUMNS), "{:?}", found.warnings);
        assert_eq!(found.name, "a", "the file's name");
    }

    #[test]
    fn a_bad_declaration_is_not_the_mistake_of_its_reader() {
        let found = validated("CREATE STREAM src (id INT) WITH ('type' = 'kafkaesque');\nSELECT id FROM src;");
        let numbers: Vec<usize> = found.invalid.iter().map(|one| one.number).collect();
        assert_eq!(numbers, [1]);
    }

    #[test]
    fn files_are_looked_at() {
        let found = validated("SELECT id FROM 'nowhere.csv';");
        assert_eq!(found.invalid.len(), 1, "{found:?}");
    }
}
