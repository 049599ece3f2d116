//! Every diagnostic code with its title and an explanation; `docs/diagnostics.md` is generated from here.
//!
//! Codes are stable: one that was published is never given another meaning. Hundreds tell the area: 01 text, 02 names,
//! 03 types, 04 streaming rules, 05 sources and sinks, 06 config files, 07 annotations, 08 recommendations, 09 what is not
//! supported yet.
//! `R` codes are bad records and live in `velostream_types::ErrorCode`.
//!
//! To add a code: one line in [`CODES`], then `BLESS=1 cargo test -p velostream-sql`.

use std::fmt::Write;

/// A diagnostic code and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `E` for errors, `W` for warnings, `A` for recommendations (advice), then four digits.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// One paragraph: when it comes up and what to do.
    pub explanation: &'static str,
}

const fn code(code: &'static str, title: &'static str, explanation: &'static str) -> Code {
    Code { code, title, explanation }
}

/// All codes; the order here does not matter.
#[rustfmt::skip]
pub const CODES: &[Code] = &[
    code("E0100", "app cannot be read", "A file or folder given to `velo-sql validate` is not there, cannot be opened, is not UTF-8, or holds no *.sql file. The others are validated all the same."),
    code("E0101", "text without an end", "A string, a quoted name or a comment is opened and never closed. Close it; a quote inside a string is written twice."),
    code("E0102", "unexpected token", "The statement cannot be read at this place. The message says what was expected and what stands there."),
    code("E0103", "no such operator", "`==` is no operator of SQL; equality is written `=`."),
    code("E0104", "unreadable text", "The text holds a character that starts no token."),
    code("E0105", "clauses out of order", "In a bare SELECT the clauses stand in a fixed order: FROM, WHERE, GROUP BY, WINDOW, HAVING, ORDER BY, LIMIT, EMIT, INTO, WITH. The message names the two that are exchanged."),
    code("E0106", "written twice", "A clause, key or window may stand once in a statement."),
    code("E0107", "too large or too deep", "The text exceeds a limit of the parser: 2 million tokens, 64 MiB, or nesting 256 deep."),
    code("E0108", "bad duration", "A duration is a number and a unit: `5s`, `500ms`, `INTERVAL '5' MINUTE`. Units are ns, us, ms, s, m, h, d and w; months and years are no window sizes."),
    code("E0109", "EMIT without a rule", "EMIT is followed by CHANGES or FINAL."),
    code("E0110", "PRIMARY without KEY", "The key of a column or item is marked PRIMARY KEY."),
    code("E0111", "bad number", "A number is out of range or not written as one."),
    code("E0112", "statement for a server", "The statement is about jobs and objects that a running server holds; an app that is run by itself has none."),
    code("E0201", "defined twice", "Two statements create an object of the same name. The other place is shown."),
    code("E0202", "statements depend on each other in a circle", "An object is read, through others, by the statement that makes it. The detail shows the chain."),
    code("E0203", "unknown column", "No relation in scope has a column of this name. The detail lists the columns that are there, the hint the nearest one."),
    code("E0204", "unknown relation name", "The name before the dot is neither the relation nor its alias."),
    code("E0205", "unknown relation", "An INSERT, UPDATE or DELETE names no object that a statement of the app creates or declares, or it names a view, whose rows are computed. What FROM names is E0501."),
    code("E0206", "unknown function", "There is no function of this name; the hint names similar ones."),
    code("E0207", "wrong number of arguments", "The function takes another number of arguments; the message says how many."),
    code("E0208", "column twice", "Two columns of one relation have the same name."),
    code("E0209", "ambiguous column", "Several of the joined relations have a column of this name. Write the relation's name before it."),
    code("E0211", "two relations of one name", "Two relations of one query have the same name, so nothing could tell their columns apart. Give one of them an alias."),
    code("E0210", "header changed outside the select list", "SET_HEADER and REMOVE_HEADER change the row that a query gives, so they stand in its select list. HEADER reads one anywhere."),
    code("E0301", "unknown type", "The name is no type. Types are INTEGER, FLOAT, DECIMAL(p,s), STRING, BOOLEAN, TIMESTAMP, DATE, TIME and BYTES with their usual other spellings."),
    code("E0302", "operator does not fit the types", "The operator is not defined for operands of these types. CAST one of them."),
    code("E0303", "no common type", "Branches or list members have types that do not meet. CAST them to one."),
    code("E0304", "bad date or time text", "A text compared with a date or timestamp is not one itself."),
    code("E0305", "impossible CAST", "No value of the one type is a value of the other."),
    code("E0306", "aggregate does not fit the type", "The aggregate is not defined for values of this type; SUM and AVG take numbers."),
    code("E0307", "argument does not fit the function", "The function takes another type of value here; the hint shows how it is called."),
    code("E0308", "impossible constant", "A constant argument can never be right: a pattern that does not compile, a unit that does not exist."),
    code("E0309", "queries of a UNION do not match", "The queries have different numbers of columns, or columns whose types have no common one."),
    code("E0310", "INSERT of another width", "An INSERT gives as many values as its column list, or else its object, has columns, and all rows of VALUES are equally long. Columns outside the list are NULL."),
    code("E0311", "value does not fit the column", "An INSERT or UPDATE changes the type of a value only from integer to decimal to float, where nothing is lost. Anything else takes a CAST."),
    code("E0312", "NULL in a NOT NULL column", "The column was declared NOT NULL or is part of the key, and the statement gives it no value."),
    code("E0313", "change of what is no TABLE", "UPDATE and DELETE change rows that have a key, which only those of a TABLE have."),
    code("E0314", "key column is set", "The key tells which row is meant, so an UPDATE cannot set it."),
    code("E0401", "aggregate in the wrong clause", "WHERE and GROUP BY see single rows, so they hold no aggregate. Filter groups with HAVING."),
    code("E0402", "aggregate inside an aggregate", "An aggregate's argument is computed from single rows. Compute the inner one in a statement of its own."),
    code("E0403", "bad window", "Size, slide and gap of a window are above 0, the slide is at most the size, grace is at least 0, and TZ is for windows of whole days."),
    code("E0404", "window without event time", "A window needs event time: a time column as its first argument, or `event.time.field` on the source. The column is an INTEGER of milliseconds or a TIMESTAMP."),
    code("E0405", "window bound without a window", "`_window_start`, `_window_end` and their functions exist only in queries with WINDOW."),
    code("E0406", "position outside the select list", "A number in GROUP BY is the position of a select item, from 1."),
    code("E0407", "* with groups", "`SELECT *` has no meaning per group. Name the columns."),
    code("E0408", "FINAL never comes", "EMIT FINAL without WINDOW waits for the end of its input, and this input has none. Add WINDOW or write EMIT CHANGES."),
    code("E0409", "TABLE without its key", "A TABLE's rows are told apart by its group columns (and window start), so they must be selected."),
    code("E0410", "no order", "Only a result that is complete can be ordered: that of a bounded input, or of each window. A table has no order, nor have windows that are corrected row by row."),
    code("E0411", "DISTINCT ordered by what is not selected", "Rows that DISTINCT makes one may differ in what is not selected, so they cannot be ordered by it."),
    code("E0412", "EVERY without use", "EMIT CHANGES EVERY tells at every so much of event time which groups have changed. It needs groups, and a span above 0."),
    code("E0420", "modifier that does not fit", "DISTINCT, ORDER BY and FILTER belong to aggregates; ORDER BY only to those that list values or take percentiles, DISTINCT not to statistics of pairs."),
    code("E0421", "rows that cannot be taken back", "The rows of a TABLE change, and this aggregate keeps too little to take a row back. Use an exact one, or read a STREAM."),
    code("E0422", "OVER in the wrong clause", "A call with OVER is computed of the rows that a query selects, so it stands in SELECT and ORDER BY. To filter or group by it, compute it in a query of its own."),
    code("E0423", "function that takes no OVER", "OVER belongs to aggregates and analytic functions; other functions are computed of one row."),
    code("E0424", "bad frame or buffer", "A frame begins before it ends, ROWS counts rows, RANGE measures along one ORDER BY column, and a buffer holds at least one row."),
    code("E0426", "EMIT FINAL with OVER", "OVER gives each row once, when it came, so there is nothing final to wait for."),
    code("E0427", "analytic function without OVER", "The function is computed of several rows; OVER says of which and in which order."),
    code("E0430", "no such join", "Relations are joined with INNER, LEFT, RIGHT, FULL, CROSS and ASOF JOIN; a comma and NATURAL are not among them, and ASOF is INNER or LEFT. The hint is the rewrite."),
    code("E0431", "streams joined without an equality", "Rows of two streams meet where columns of both are equal; without that every row would have to be kept and compared with every other."),
    code("E0432", "WHERE bounds an outer join", "WHERE comes behind the join, so a bound of the times there would drop the rows without a match, which an outer join is for. The bound belongs to ON or WITHIN."),
    code("E0433", "tables joined outside a TABLE", "The join of two tables changes whenever one of them does, so it is a table itself."),
    code("E0434", "clause that does not fit the join", "WITHIN is for two streams; FOR SYSTEM_TIME AS OF is for a stream that is joined to a table, at a time of the stream."),
    code("E0435", "bounds that exclude each other", "The conditions on the times of a join allow no pair of rows."),
    code("E0436", "UNNEST that gives no rows", "UNNEST, or EXPLODE, takes one collection of each row apart and stands in FROM: `FROM t, UNNEST(t.items) AS item`, or behind LEFT JOIN with ON TRUE. A name list names every column it gives."),
    code("E0440", "subquery in the wrong place", "A subquery is computed for each row that is read, so it stands in SELECT, WHERE, HAVING and ORDER BY, and not where rows are joined or grouped. Compute it in a query of its own."),
    code("E0441", "clause that a subquery does not have", "A subquery gives its value to the row it is computed for and writes nothing: WINDOW, EMIT, WITH and PRIMARY KEY belong to whole statements."),
    code("E0442", "subquery of several columns", "What is compared or taken as a value is one column. EXISTS takes any number of columns."),
    code("E0502", "properties in the wrong place", "Properties of a declared source belong to its declaration."),
    code("E0503", "declared TABLE without PRIMARY KEY", "Rows of a declared TABLE replace each other by key. Mark the key columns PRIMARY KEY, or declare a STREAM."),
    code("E0504", "file not found", "No file matches the path of a source. Relative paths resolve from the folder of the SQL file, those of a config file from its own folder first; the detail says what was searched."),
    code("E0505", "file cannot be read", "A source's file exists but cannot be opened. The detail is the system's reason."),
    code("E0506", "file in another format", "The first records of a source are not in the format it is said to be in."),
    code("E0507", "sink without a place", "INTO names a sink that no property describes."),
    code("E0508", "raw format with other columns", "A record of format `string` or `bytes` is one column: a source declares one of that type or none at all, and a sink is given one."),
    code("E0509", "topic not found", "A source's topic does not exist on the brokers that were asked. Sources are never created; `topic.wait.timeout` waits for a topic that others will create."),
    code("E0510", "topic without records", "A topic without declared columns has no record whose columns could be taken. Declare the columns, or let the run wait for a record with `schema.wait.timeout`."),
    code("E0801", "state beyond its limit", "Told by a run: its operators hold more than `max.memory.mb`, or 75 % of the memory of the machine or its cgroup. Bound the state with a WINDOW or `state.ttl`, give the run more memory, or raise the limit."),
    code("E0901", "not supported yet", "The statement is understood, but this version does not run this part of it yet."),
    code("W0901", "valid, not run yet", "The text is right, and this version does not run this part of it yet: `run` and `explain` answer E0901 at the same place."),
    code("W0201", "double quotes taken as a column", "A text in double quotes names a column in scope, so it is read as that column. Write backticks for a name, single quotes for a text."),
    code("W0202", "column hidden by a system column", "A column has the name of a system column and is hidden by it."),
    code("W0203", "alias is a system column's name", "The alias hides nothing but will be read as the system column elsewhere."),
    code("W0204", "header of the engine", "The engine writes the header itself, so a change of it is lost."),
    code("W0205", "name with odd characters", "The name of an object starts with a digit or has characters that are no letters, digits or `_`. It has to be quoted wherever it stands, and topics and metrics of that name may not be allowed."),
    code("W0301", "integer as a condition", "An integer stands where a boolean is expected; not 0 counts as TRUE."),
    code("W0302", "DECIMAL without a scale", "DECIMAL without digits keeps 18 behind the point. Write DECIMAL(p,s)."),
    code("W0303", "seconds taken as milliseconds", "A constant becomes a TIMESTAMP as milliseconds since 1970 and is so small that it looks like seconds. FROM_UNIXTIME takes seconds."),
    code("W0401", "column is not grouped", "A column that is no group key takes its value from the last row seen of the group."),
    code("W0402", "aggregate without GROUP BY", "The query has an aggregate and neither GROUP BY nor WINDOW: all rows are one group."),
    code("W0403", "groups without a bound", "GROUP BY without WINDOW keeps every group of an unbounded input for ever. Group by WINDOW, or give `state.ttl`."),
    code("W0404", "EMIT FINAL without effect", "The query has nothing that waits: its rows are final as they come."),
    code("W0405", "time column replaces event.time.field", "The window's time column is the event time of the query; the source's event.time.field has no effect on it."),
    code("W0407", "HAVING without groups", "HAVING without GROUP BY and aggregates filters rows as WHERE does."),
    code("W0408", "many windows for each row", "A hopping window is more than a hundred times as long as it slides, so each row counts in that many windows."),
    code("W0409", "lateness without effect", "late.data.strategy include_in_next adds late rows to the next open window however late they are, so windows wait for none."),
    code("W0420", "values kept for ever", "An aggregate that has to keep its values (DISTINCT, percentiles, lists) runs without WINDOW over an input that never ends."),
    code("E0437", "ASOF JOIN without its comparison", "ASOF JOIN gives each row of a stream the one row of another that is nearest in time: ON has equalities of their columns and one comparison of their event times, `s.ts >= t.ts` for the latest at or before it, `<=` for the earliest at or behind it, `>` and `<` without equal times."),
    code("W0430", "join of streams without a bound", "Nothing says how far apart in time rows of two streams may be, so rows up to one hour apart meet. Write WITHIN or a condition on `_event_time`."),
    code("W0431", "join without an equality", "Every row of one side is compared with every row of the other."),
    code("W0432", "outer join on the side of a table", "RIGHT and FULL would give the rows of a table that never matched, which is known at the end of a bounded input only."),
    code("W0440", "LEAD never waits", "A row is computed when it comes, so LEAD sees only later rows that came before it, and gives its default for the newest one."),
    code("W0441", "frame of rows that follow", "A row is computed when it comes; rows that follow it count only where they came earlier."),
    code("W0442", "large buffer", "A buffer of more than 10,000 rows is kept for each partition."),
    code("W0443", "OVER without a bound", "Neither a buffer nor a frame bounds the rows OVER keeps: the last 1,000 of each partition are."),
    code("W0450", "subquery keeps a stream", "The rows of a stream that a subquery reads are kept, and nothing says for how long. A condition of its WHERE on the event times of both bounds it, and so does a TABLE, which keeps one row for each key."),
    code("W0451", "subquery without an equality", "No equality connects the rows of a subquery with the row it is computed for, so all of them are looked at each time, on one shard. IN as a condition of WHERE or HAVING is an equality; NOT IN, and IN whose value is used, are none."),
    code("W0452", "NOT IN with a NULL", "Once a subquery gives a NULL, NOT IN is TRUE for no row any more: a value may be equal to what is not known. NOT EXISTS does not mind."),
    code("W0453", "value of several rows", "A subquery that is taken as a value may give several rows. A row for which it does fails and goes to the dead letters."),
    code("W0501", "source without records", "The source has no record to infer types from: every column is NULL of no type."),
    code("W0502", "TABLE without a key", "A TABLE without GROUP BY or PRIMARY KEY appends its rows."),
    code("E0501", "no source", "Nothing says where the records of a relation come from: it is not created in the app, is no path or URI, and no property names a path or type for it. Declare it with `CREATE STREAM name (…) WITH (path = '…')`, give `<name>.path`, or read the file directly: `FROM 'trades.csv'`."),
    code("E0511", "unknown connector", "The `type` of a source or sink is not a connector, or is one for the other direction (a sink type on a source). The detail lists the types that fit."),
    code("E0512", "required property is missing", "The connector of a source or sink needs a property that no WITH clause, SET statement or config file gives."),
    code("E0513", "bad property value", "A property has a value outside its domain: not a number, not a duration, not one of the listed words, or too small or too large. The detail says what is expected."),
    code("E0514", "misspelt property", "A property key is unknown and differs by one or two letters from a known one. Keys further from every known key only give the warning W0514."),
    code("E0515", "unknown format", "The format of a file cannot be told: its name has none of the extensions .csv, .json, .jsonl and .ndjson (also in front of .gz and .zst) and no `format` property is given, or the format given is none."),
    code("E0516", "malformed URI", "A relation is written as a URI, but its scheme, path or query cannot be read. Files are written `file://path?key=value&key=value`."),
    code("E0517", "path leaves the app's folder", "A relative path in a URI climbs above the folder of the SQL file with `..`. Use an absolute path, or a plain path instead of a URI."),
    code("E0518", "variable without a value", "A value refers to an environment variable that is not set and gives no default. Set it, or write a default: `${NAME:default}`. With `${NAME:?message}` the message is yours."),
    code("E0519", "malformed variable", "A value has `${` without its `}`, or a name in between that is no variable name. Variables are written `${NAME}`, `${NAME:default}` or `${NAME:?message}`; a literal `${` is written `$${`."),
    code("E0520", "properties contradict each other", "Two properties of one source or sink exclude each other, or two spellings of one property have different values at the same place."),
    code("E0521", "format does not fit the connector", "`string` and `bytes` take whole records, which files do not have; `table` is for people and not for topics."),
    code("E0522", "brokers cannot be asked", "The columns of a topic without a declaration come from its first records, and the brokers cannot be reached for them. The detail is the client's reason."),
    code("W0505", "PRIMARY KEY without effect", "Records of a file have no key, so PRIMARY KEY changes nothing in a STREAM that is written to one. It has an effect in a TABLE, whose rows replace each other, and where records have keys: in topics."),
    code("W0503", "name taken for a topic", "Nothing says what a relation is, but brokers are given, so it is read as the Kafka topic of its name. Say so with `<name>.type` and `<name>.topic`."),
    code("W0504", "placeholder as a topic", "A topic has a name that examples use. It is used as it is."),
    code("E0601", "config file not found", "A `config_file`, or a file it names under `extends`, does not exist. Paths count from the folder of the file that names them; the detail says what was looked for."),
    code("E0602", "config file cannot be read", "A config file exists but cannot be opened, is no file, or is not UTF-8."),
    code("E0603", "malformed config file", "A config file is not well-formed YAML. The place is where the reader gave up; the mistake is there or on the line before."),
    code("E0604", "config files extend each other in a circle", "Following `extends` leads back to a file already being read. The detail shows the chain."),
    code("E0605", "config file has the wrong shape", "A config file must be a map of keys to values at its top, and `extends` in it a file name or a list of file names."),
    code("E0701", "annotation without a colon", "Annotations are comment lines of the form `-- @name: value`."),
    code("E0702", "bad annotation value", "An annotation has a value outside its domain. The detail says what is expected."),
    code("E0703", "metric defined twice", "Two `@metric` annotations of the app have the same name. Metric names are shared by all statements of an app."),
    code("E0704", "metric detail without a metric", "A `@metric_…` annotation stands before the first `@metric` of its statement, so it belongs to none."),
    code("E0705", "incomplete metric", "A metric lacks a part it needs: every metric a `@metric_type`, gauges and histograms also a `@metric_field`."),
    code("E0706", "metric of something else than the result", "A part of a metric does not fit: a `@metric_field` that is no number or time, a label without text, or a name that is no column of the result, such as a system column or a header. Metrics look at one row of the result at a time."),
    code("E0902", "not supported yet", "A connector, format or property value is known but not built yet. Nothing is ignored silently, so the app does not start with it."),
    code("W0511", "event time without a watermark strategy", "`event.time.field` is given, but no `watermark.strategy`. The bound is then 0: every row older than the newest one of its partition is late for windows that have ended. Give `watermark.strategy` and, for disordered input, `watermark.max_out_of_orderness`."),
    code("W0512", "property overridden by another spelling", "Two spellings of one property stand at the same place with the same meaning but different values; the first in the key table wins."),
    code("W0514", "unknown property", "A property key is not known and resembles no known one. It has no effect."),
    code("W0513", "property without effect", "A property is known but has no effect here: it tunes something this engine does not have, or belongs to another kind of connector."),
    code("W0515", "kept for more than 30 days", "`state.ttl` keeps groups and rows of tables for longer than 30 days after they last changed, all of them in memory. Keep them for a shorter time, or group by WINDOW."),
    code("A0801", "LIKE that starts with %", "A pattern that starts with `%` looks at the whole text of every row. ENDS_WITH and CONTAINS say the same in words and cannot be read as patterns."),
    code("A0802", "pattern or part of a text in WHERE", "Regular expressions and parts of texts cost more than comparisons of columns. AND stops at the first condition that is FALSE, so cheap ones belong in front. The beginning of a text is STARTS_WITH."),
    code("A0803", "CASE of many arms", "A CASE with more than 10 arms compares each row up to as many times and is hard to read. Put frequent values first, or keep the values in a table."),
    code("A0804", "UNION keeps rows", "UNION without ALL keeps every row it gave, to leave out its equals. UNION ALL keeps nothing."),
    code("A0805", "LIMIT without ORDER BY", "LIMIT without ORDER BY takes the first rows in the order of their input, not the best ones."),
    code("A0806", "ORDER BY of everything", "ORDER BY without LIMIT or WINDOW holds all rows until the input ends. With LIMIT only the best rows are held."),
    code("A0807", "topic without compression", "Records go to a topic uncompressed. `compression.type = 'zstd'` usually halves what network and brokers carry, at little CPU."),
    code("A0808", "window by the time of writing", "A window over a topic without `event.time.field` goes by the timestamps of the records, which is when they were written unless the producer set them. Name a column to go by the time of the events."),
    code("W0701", "unknown annotation", "A comment line looks like an annotation (`-- @name`), but the name is not known. It has no effect."),
    code("W0702", "annotation in the wrong place", "An annotation has no effect where it stands: it names the app but does not stand at the head of the file, or it stands behind the last statement."),
    code("W0703", "metric that counts nothing", "Metrics count the rows that a statement writes. This one writes none of its own: it has no sink, or its rows go to the sink of another statement."),
];

/// What is known of a code.
pub fn lookup(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|c| c.code == code)
}

/// `docs/diagnostics.md`.
pub fn page() -> String {
    let mut codes: Vec<&Code> = CODES.iter().collect();
    codes.sort_by_key(|c| (c.code[1..].to_owned(), c.code));
    let mut out = String::from(
        "# Diagnostics\n\n\
         Every finding about SQL, properties, config files and annotations has a stable code. `E` is an error: the app\n\
         does not start. `W` is a warning; `--strict` turns warnings into errors. `A` is a recommendation, which only\n\
         `velo-sql validate` shows and nothing turns into an error. Generated from the registry of codes.\n",
    );
    for c in codes {
        let _ = write!(out, "\n## {}: {}\n\n{}\n", c.code, c.title, c.explanation);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn manifest() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn the_page_is_up_to_date() {
        let path = manifest().join("../../docs/diagnostics.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, page()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == page(), "docs/diagnostics.md is old: BLESS=1 cargo test -p velostream-sql");
    }

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut seen = BTreeSet::new();
        for c in CODES {
            assert!(is_code(c.code), "{}", c.code);
            assert!(seen.insert(c.code), "{} twice", c.code);
            assert!(!c.title.ends_with('.') && c.explanation.ends_with('.') && !c.explanation.contains('\n'));
        }
    }

    /// Codes in the sources of this crate that the registry lacks.
    #[test]
    fn every_code_in_use_is_registered() {
        let mut missing = BTreeSet::new();
        visit(&manifest().join("src"), &mut |text| {
            for quoted in text.split('"').filter(|q| is_code(q)) {
                if lookup(quoted).is_none() {
                    missing.insert(quoted.to_owned());
                }
            }
        });
        assert!(missing.is_empty(), "add to diag/codes.rs: {missing:?}");
    }

    /// Calls `f` with the text of every source file that is not a test.
    fn visit(dir: &Path, f: &mut dyn FnMut(&str)) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, f);
            } else if path.file_name().is_some_and(|n| n != "tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                f(text.split("#[cfg(test)]").next().unwrap_or_default());
            }
        }
    }

    fn is_code(text: &str) -> bool {
        text.len() == 5 && text.starts_with(['E', 'W', 'A']) && text[1..].bytes().all(|b| b.is_ascii_digit())
    }
}
