//! Random apps as SQL text over the columns of `feeds`.

use super::draw::Draw;
use super::feeds::{DECLARED, Shape};
use super::nested;
pub use super::nested_apps::COUNTED as NESTED_PARTS;

/// How the outputs must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The same rows in the same order.
    Ordered,
    /// The same rows.
    Multiset,
    /// The same last row per value of these columns, deletes removed.
    Last(Vec<String>),
}

/// One app.
#[derive(Clone, Debug)]
pub struct App {
    pub sql: String,
    /// Name its source is fed by.
    pub source: &'static str,
    pub agreement: Agreement,
}

pub struct Writer<'d> {
    pub(super) draw: &'d mut Draw,
    pub(super) shape: Shape,
}

/// A random app of the kind that `kind` says.
pub fn app(draw: &mut Draw, shape: Shape, kind: u64) -> App {
    let mut writer = Writer { draw, shape };
    let bound = *writer.draw.pick(&["", "0s", "500ms", "3s"]);
    let late = *writer.draw.pick(&["", "drop", "dead_letter"]);
    let memory = !shape.csv && !shape.inferred && writer.draw.once_in(2);
    let relation = writer.relation(bound, late);
    let (statements, agreement) = match kind {
        0 => writer.stateless(&relation),
        1 => writer.group_final(&relation),
        2 => writer.group_changes(&relation),
        3 => writer.group_table(&relation),
        4 => writer.window_final(&relation),
        5 => writer.window_changes(&relation),
        6 => writer.chain(&relation),
        kind if NESTED.contains(&kind) => writer.nested(&relation),
        OVER => writer.over(&relation),
        _ => writer.changing(&relation),
    };
    // A statement that waits for the end of its input needs an input that ends; memory never does.
    let waits =
        statements.split(';').any(|s| (s.contains("EMIT FINAL") || s.contains("ORDER BY")) && !s.contains("WINDOW"));
    let (source, create) = writer.source(bound, late, memory && !waits);
    App { sql: create + &statements, source, agreement }
}

/// Kinds of app.
pub const KINDS: u64 = 12;

/// Those among them whose aggregates may emit at every row.
pub const CHANGING: [u64; 3] = [2, 3, 5];

/// Statements that read each other.
pub const CHAIN: u64 = 6;

/// TABLEs with keys of their own, and what is made of their changes.
pub const OF_CHANGES: u64 = 7;

/// Queries over nested columns.
pub const NESTED: [u64; 3] = [8, 9, 10];

/// Calls with OVER.
pub const OVER: u64 = 11;

/// Properties of the source: event time, how far rows may be out of order, what becomes of late ones.
fn properties(bound: &str, late: &str) -> Vec<String> {
    let mut properties = vec!["'event.time.field' = 'ts'".to_owned()];
    if !bound.is_empty() {
        properties.push(format!("'watermark.max_out_of_orderness' = '{bound}'"));
    }
    if !late.is_empty() {
        properties.push(format!("'late.data.strategy' = '{late}'"));
    }
    properties
}

impl Writer<'_> {
    fn path(&self) -> &'static str {
        if self.shape.csv { "t.csv" } else { "t.jsonl" }
    }

    /// What names the source in FROM.
    fn relation(&self, bound: &str, late: &str) -> String {
        if !self.shape.inferred {
            return "t".to_owned();
        }
        format!("'{}' WITH ({})", self.path(), properties(bound, late).join(", "))
    }

    /// Feed name and declaration.
    fn source(&self, bound: &str, late: &str, memory: bool) -> (&'static str, String) {
        let path = self.path();
        if self.shape.inferred {
            return (path, String::new());
        }
        let mut properties = properties(bound, late);
        let name = if memory {
            properties.push("type = 'memory', format = 'json'".to_owned());
            "t"
        } else {
            properties.push(format!("path = '{path}'"));
            path
        };
        let nested = if self.shape.nested { format!(", {}", nested::DECLARED) } else { String::new() };
        (name, format!("CREATE STREAM t ({DECLARED}{nested}) WITH ({});\n", properties.join(", ")))
    }

    pub(super) fn one_partition(&self) -> bool {
        self.shape.partitions == 1
    }

    fn stateless(&mut self, relation: &str) -> (String, Agreement) {
        let mut items = vec!["id".to_owned(), "d".to_owned()];
        for i in 0..1 + self.draw.below(4) {
            let item = match self.draw.below(4) {
                0 | 1 => self.number(3),
                2 => self.text(2),
                _ => self.boolean(2),
            };
            items.push(format!("{item} AS x{i}"));
        }
        if self.draw.once_in(3) {
            items.push("_event_time AS et, _offset AS o, _partition AS p".to_owned());
        }
        let filter = self.filter();
        if self.draw.once_in(4) {
            items = vec!["*".to_owned()];
        }
        let agreement = if self.one_partition() { Agreement::Ordered } else { Agreement::Multiset };
        (format!("CREATE STREAM out AS SELECT {} FROM {relation}{filter};", items.join(", ")), agreement)
    }

    fn filter(&mut self) -> String {
        if self.draw.once_in(2) { format!(" WHERE {}", self.boolean(2)) } else { String::new() }
    }

    /// Key expressions with aliases, and the GROUP BY clause.
    fn keys(&mut self) -> (Vec<String>, Vec<String>) {
        let all = ["k", "g", "b", "s", "a % 3", "CASE WHEN a > 0 THEN 'up' ELSE k END"];
        let count = 1 + self.draw.below(2);
        let mut keys: Vec<String> = Vec::new();
        for _ in 0..count {
            let key = (*self.draw.pick(&all)).to_owned();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let names = (0..keys.len()).map(|i| format!("key{i}")).collect();
        (keys, names)
    }

    fn aggregates(&mut self) -> Vec<String> {
        let count = 1 + self.draw.below(4);
        let mut call = |i: u64| match self.draw.once_in(15) {
            true => format!("{} AS x{i}", self.draw.pick(&["a", "s", "d", "k"])),
            false => format!("{} AS x{i}", self.aggregate()),
        };
        (0..count).map(&mut call).collect()
    }

    /// Any aggregate over the columns of a feed, some of them with DISTINCT, FILTER or an order.
    fn aggregate(&mut self) -> String {
        let numbers = ["a", "a", "d", "f", "CASE WHEN b THEN a END", "g * 2"];
        let others = ["s", "k", "b", "a", "d", "f"];
        let filter = if self.draw.once_in(4) { format!(" FILTER (WHERE {})", self.boolean(1)) } else { String::new() };
        let call = match self.draw.once_in(25) {
            true => format!("APPROX_COUNT_DISTINCT({})", self.draw.pick(&others)),
            false => self.aggregate_of(&numbers, &others, true),
        };
        call + &filter
    }

    /// Any aggregate of these numbers or values; `ordered`: also those whose result depends on the order of rows.
    pub(super) fn aggregate_of(&mut self, numbers: &[&str], others: &[&str], ordered: bool) -> String {
        let (x, y) = (*self.draw.pick(numbers), *self.draw.pick(numbers));
        let any = *self.draw.pick(others);
        let distinct = if self.draw.once_in(4) { "DISTINCT " } else { "" };
        let down = *self.draw.pick(&["", " DESC", " ASC NULLS LAST", " DESC NULLS FIRST"]);
        let p = *self.draw.pick(&["0", "0.5", "0.25", "0.9", "1", "0.333"]);
        let n = 1 + self.draw.below(4);
        let by = *self.draw.pick(others);
        match self.draw.below(if ordered { 34 } else { 26 }) {
            0 => "COUNT(*)".to_owned(),
            1 => format!("COUNT({distinct}{any})"),
            2 => format!("COUNT(DISTINCT {any}, {x})"),
            3 => format!("COUNT_DISTINCT({any})"),
            4 | 5 => format!("SUM({distinct}{x})"),
            6 => format!("AVG({distinct}{x})"),
            7 => format!("MIN({any})"),
            8 => format!("MAX({any})"),
            9 => format!("DELTA({x})"),
            10 => format!("STDDEV_SAMP({distinct}{x})"),
            11 => format!("STDDEV_POP({distinct}{x})"),
            12 => format!("VAR_SAMP({distinct}{x})"),
            13 => format!("VAR_POP({distinct}{x})"),
            14 => format!("MEDIAN({distinct}{x})"),
            15 => format!("PERCENTILE_CONT({p}) WITHIN GROUP (ORDER BY {x}{down})"),
            16 => format!("PERCENTILE_DISC({p}, {any})"),
            17 => format!("COLLECT_SET({any})"),
            18 => format!("TOPK({distinct}{any}, {n})"),
            19 => format!("TOPKDISTINCT({any}, {n})"),
            20 => format!("HISTOGRAM({any})"),
            21 => format!("CORR({y}, {x})"),
            22 => format!("COVAR_POP({y}, {x})"),
            23 => format!("COVAR_SAMP({y}, {x})"),
            24 => format!("REGR_SLOPE({y}, {x})"),
            25 => (*self.draw.pick(&["REGR_INTERCEPT", "REGR_R2"])).to_owned() + &format!("({y}, {x})"),
            26 => format!("FIRST({any})"),
            27 => format!("LAST({any})"),
            28 => format!("EARLIEST_BY_OFFSET({any})"),
            29 => format!("LATEST_BY_OFFSET({any})"),
            30 => format!("STRING_AGG({distinct}{any}, '|')"),
            31 => format!("STRING_AGG({distinct}{any}) WITHIN GROUP (ORDER BY {by}{down}, {x})"),
            32 => format!("ARRAY_AGG({distinct}{any})"),
            _ => format!("ARRAY_AGG({any} ORDER BY {by}{down})"),
        }
    }

    fn having(&mut self) -> String {
        if self.draw.once_in(2) {
            return String::new();
        }
        let most = self.draw.below(60);
        (*self.draw.pick(&[
            format!(" HAVING SUM(a) > {most}"),
            " HAVING COUNT(*) >= 2".to_owned(),
            format!(" HAVING MAX(a) < {most} OR COUNT(d) > 1"),
            format!(" HAVING AVG(d) > {most}"),
        ]))
        .clone()
    }

    fn group(&mut self, relation: &str, window: &str, having: &str, extra: &str) -> (String, Vec<String>) {
        let (keys, names) = self.keys();
        let global = self.draw.once_in(8);
        let mut items: Vec<String> = Vec::new();
        if !global {
            items.extend(keys.iter().zip(&names).map(|(k, n)| format!("{k} AS {n}")));
        }
        items.extend(self.aggregates());
        let mut identity = if global { Vec::new() } else { names };
        if !window.is_empty() {
            items.push("_window_start AS ws".to_owned());
            identity.push("ws".to_owned());
        }
        let filter = self.filter();
        let group = if global { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
        (format!("SELECT {} FROM {relation}{filter}{group}{window}{having}{extra}", items.join(", ")), identity)
    }

    fn group_final(&mut self, relation: &str) -> (String, Agreement) {
        let having = self.having();
        let (query, _) = self.group(relation, "", &having, " EMIT FINAL");
        let agreement = if self.one_partition() { Agreement::Ordered } else { Agreement::Multiset };
        (format!("CREATE STREAM out AS {query};"), agreement)
    }

    fn group_changes(&mut self, relation: &str) -> (String, Agreement) {
        let having = if self.one_partition() { self.having() } else { String::new() };
        let (query, identity) = self.group(relation, "", &having, " EMIT CHANGES");
        let agreement = if self.one_partition() { Agreement::Multiset } else { Agreement::Last(identity) };
        let ttl = self.ttl();
        let with = if ttl.is_empty() { String::new() } else { format!(" WITH ({ttl})") };
        (format!("CREATE STREAM out AS {query}{with};"), agreement)
    }

    /// `state.ttl`, or nothing: rows of several partitions begin groups anew in the order in which they arrive.
    fn ttl(&mut self) -> String {
        if !self.one_partition() {
            return String::new();
        }
        match *self.draw.pick(&["", "", "400ms", "3s", "20s"]) {
            "" => String::new(),
            ttl => format!("'state.ttl' = '{ttl}'"),
        }
    }

    fn group_table(&mut self, relation: &str) -> (String, Agreement) {
        let having = self.having();
        let (query, identity) = self.group(relation, "", &having, "");
        let ttl = match self.ttl() {
            ttl if ttl.is_empty() => ttl,
            ttl => format!(", {ttl}"),
        };
        (format!("CREATE TABLE out AS {query} WITH ('out.type' = 'stdout'{ttl});"), Agreement::Last(identity))
    }

    pub(super) fn window(&mut self) -> String {
        let size = *self.draw.pick(&["1s", "2500ms", "10s", "7ms"]);
        let grace = *self.draw.pick(&["", "", ", GRACE 1s", ", GRACE 300ms"]);
        format!(" WINDOW TUMBLING({size}{grace})")
    }

    /// Windows that may overlap.
    fn any_window(&mut self) -> String {
        if self.draw.once_in(2) {
            return self.window();
        }
        let (size, slide) =
            *self.draw.pick(&[("2s", "1s"), ("10s", "4s"), ("7ms", "3ms"), ("2500ms", "2500ms"), ("3s", "700ms")]);
        let grace = *self.draw.pick(&["", "", ", GRACE 1s", ", GRACE 300ms"]);
        format!(" WINDOW HOPPING({size}, {slide}{grace})")
    }

    fn window_final(&mut self, relation: &str) -> (String, Agreement) {
        let (window, having) = (self.any_window(), self.having());
        let (query, _) = self.group(relation, &window, &having, " EMIT FINAL");
        let agreement = if self.one_partition() { Agreement::Ordered } else { Agreement::Multiset };
        (format!("CREATE STREAM out AS {query};"), agreement)
    }

    fn window_changes(&mut self, relation: &str) -> (String, Agreement) {
        let window = self.any_window();
        let table = self.draw.once_in(3);
        let having = if table { self.having() } else { String::new() };
        let (query, identity) = self.group(relation, &window, &having, " EMIT CHANGES");
        let agreement = if self.one_partition() && !table { Agreement::Multiset } else { Agreement::Last(identity) };
        let (kind, sink) = if table { ("TABLE", " WITH ('out.type' = 'stdout')") } else { ("STREAM", "") };
        (format!("CREATE {kind} out AS {query}{sink};"), agreement)
    }

    /// Two or three statements, one reading the other.
    fn chain(&mut self, relation: &str) -> (String, Agreement) {
        let filter = self.filter();
        let last = |keys: &[&str]| Agreement::Last(keys.iter().map(|k| (*k).to_owned()).collect());
        let events = self.one_partition();
        match self.draw.below(if events { 10 } else { 9 }) {
            0 => {
                let (x, y) = (self.number(2), self.boolean(1));
                (
                    format!(
                        "CREATE STREAM p AS SELECT k, g, {x} AS x, {y} AS y FROM {relation}{filter};\n\
                         CREATE STREAM out AS SELECT k, COUNT(*) AS n, COUNT(x) AS c, MIN(x) AS lo, MAX(x) AS hi \
                         FROM p WHERE y IS NOT NULL GROUP BY k EMIT FINAL;"
                    ),
                    Agreement::Multiset,
                )
            }
            1 => (
                format!(
                    "CREATE TABLE per AS SELECT g, COUNT(*) AS n, SUM(a) AS total FROM {relation}{filter} GROUP BY g;\n\
                     CREATE TABLE out AS SELECT n, COUNT(*) AS ids, AVG(total) AS mean, SUM(total) AS sum FROM per \
                     GROUP BY n WITH ('out.type' = 'stdout');"
                ),
                last(&["n"]),
            ),
            2 => (
                format!(
                    "CREATE STREAM w AS SELECT k, SUM(a) AS total, COUNT(*) AS n FROM {relation}{filter} GROUP BY k \
                     WINDOW TUMBLING(1s);\n\
                     CREATE STREAM out AS SELECT k, SUM(total) AS total, SUM(n) AS n, COUNT(*) AS windows, \
                     _window_start AS ws FROM w GROUP BY k WINDOW TUMBLING(5s);"
                ),
                Agreement::Multiset,
            ),
            3 => (
                format!(
                    "CREATE STREAM p AS SELECT g, d * 2 AS dd, a FROM {relation}{filter};\n\
                     CREATE STREAM w AS SELECT g, AVG(dd) AS m, MAX(a) AS hi, _window_end AS at FROM p GROUP BY g \
                     WINDOW TUMBLING(2s);\n\
                     CREATE STREAM out AS SELECT g, m, hi, at, _event_time AS et FROM w WHERE hi > 10 OR m IS NULL;"
                ),
                Agreement::Multiset,
            ),
            4 => (
                format!(
                    "CREATE TABLE per AS SELECT k, SUM(a) AS total, COUNT(*) AS n FROM {relation}{filter} GROUP BY k;\n\
                     CREATE TABLE out AS SELECT k, total, total + n AS more FROM per WHERE total > 10 \
                     WITH ('out.type' = 'stdout');"
                ),
                last(&["k"]),
            ),
            5 => (
                format!(
                    "CREATE TABLE per AS SELECT k, g, COUNT(*) AS n, SUM(d) AS total FROM {relation} GROUP BY k, g;\n\
                     CREATE TABLE mid AS SELECT g, SUM(n) AS n, COUNT(*) AS ks, SUM(total) AS total FROM per GROUP BY g \
                     HAVING SUM(n) > 2;\n\
                     CREATE TABLE out AS SELECT ks, COUNT(*) AS gs, SUM(n) AS n, SUM(total) AS total FROM mid GROUP BY ks \
                     WITH ('out.type' = 'stdout');"
                ),
                last(&["ks"]),
            ),
            6 => (
                format!(
                    "CREATE STREAM w AS SELECT g, SUM(d) AS total, COUNT(*) AS n FROM {relation}{filter} GROUP BY g \
                     WINDOW TUMBLING(500ms);\n\
                     CREATE STREAM v AS SELECT g, n, total FROM w WHERE n > 0;\n\
                     CREATE STREAM out AS SELECT n, COUNT(*) AS windows, SUM(total) AS total FROM v GROUP BY n \
                     EMIT FINAL;"
                ),
                Agreement::Multiset,
            ),
            7 => self.table_of_table(relation, &filter),
            8 => self.windows_of_windows(relation, &filter),
            _ => (
                format!(
                    "CREATE STREAM c AS SELECT k, SUM(a) AS total, COUNT(*) AS n FROM {relation}{filter} GROUP BY k \
                     EMIT CHANGES;\n\
                     CREATE STREAM out AS SELECT k, n, COUNT(*) AS times, MAX(total) AS hi FROM c GROUP BY k, n \
                     EMIT FINAL;"
                ),
                Agreement::Multiset,
            ),
        }
    }

    /// Any aggregates over a TABLE whose rows change.
    fn table_of_table(&mut self, relation: &str, filter: &str) -> (String, Agreement) {
        let ordered = self.one_partition();
        let numbers = ["n", "total", "g", "mean"];
        let others = ["n", "top", "k", "total", "mean"];
        let key = *self.draw.pick(&["n", "g", "top"]);
        let count = 2 + self.draw.below(4);
        let mut calls: Vec<String> =
            (0..count).map(|i| format!("{} AS x{i}", self.aggregate_of(&numbers, &others, ordered))).collect();
        if ordered && self.draw.once_in(4) {
            calls.push("k AS seen".to_owned());
        }
        let sql = format!(
            "CREATE TABLE per AS SELECT k, g, COUNT(*) AS n, SUM(a) AS total, MAX(s) AS top, AVG(d) AS mean FROM \
             {relation}{filter} GROUP BY k, g;\n\
             CREATE TABLE out AS SELECT {key}, {} FROM per GROUP BY {key} WITH ('out.type' = 'stdout');",
            calls.join(", ")
        );
        (sql, Agreement::Last(vec![key.to_owned()]))
    }

    fn changing(&mut self, relation: &str) -> (String, Agreement) {
        let filter = self.filter();
        match self.draw.below(5) {
            0 | 1 if self.one_partition() => self.stream_of_a_table(relation, &filter),
            0..=2 => self.rekeyed(relation, &filter),
            3 => self.every_of_windows(relation, &filter),
            _ => self.every(relation),
        }
    }

    fn span(&mut self) -> &'static str {
        const SPANS: [&str; 4] = ["1s", "700ms", "10s", "3ms"];
        SPANS[self.draw.below(4) as usize]
    }

    /// EMIT CHANGES EVERY, of groups and of windows, as events or as a TABLE: what is told is a function of the rows.
    fn every(&mut self, relation: &str) -> (String, Agreement) {
        let window = if self.draw.once_in(2) { self.window() } else { String::new() };
        let (having, span, table) = (self.having(), self.span(), self.draw.once_in(3));
        let (query, identity) = self.group(relation, &window, &having, &format!(" EMIT CHANGES EVERY {span}"));
        let agreement = if table { Agreement::Last(identity) } else { Agreement::Multiset };
        let (kind, sink) = if table { ("TABLE", " WITH ('out.type' = 'stdout')") } else { ("STREAM", "") };
        (format!("CREATE {kind} out AS {query}{sink};"), agreement)
    }

    /// EVERY over windows, over a TABLE that changes, and windows over what EVERY tells.
    fn every_of_windows(&mut self, relation: &str, filter: &str) -> (String, Agreement) {
        let span = self.span();
        match self.draw.below(3) {
            0 => (
                format!(
                    "CREATE STREAM w AS SELECT k, SUM(a) AS total, COUNT(*) AS n FROM {relation}{filter} GROUP BY k WINDOW \
                     TUMBLING(1s);\n\
                     CREATE STREAM out AS SELECT k, SUM(total) AS total, SUM(n) AS n, COUNT(*) AS windows FROM w GROUP BY k \
                     EMIT CHANGES EVERY {span};"
                ),
                Agreement::Multiset,
            ),
            1 => (
                format!(
                    "CREATE TABLE per AS SELECT k, g, COUNT(*) AS n, SUM(a) AS total FROM {relation}{filter} GROUP BY k, g \
                     EMIT CHANGES EVERY {span};\n\
                     CREATE TABLE out AS SELECT g, SUM(n) AS n, COUNT(*) AS ks, MAX(total) AS hi FROM per GROUP BY g WITH \
                     ('out.type' = 'stdout');"
                ),
                Agreement::Last(vec!["g".to_owned()]),
            ),
            _ => (
                format!(
                    "CREATE STREAM per AS SELECT k, COUNT(*) AS n, SUM(a) AS total FROM {relation}{filter} GROUP BY k \
                     EMIT CHANGES EVERY {span};\n\
                     CREATE STREAM out AS SELECT k, MAX(n) AS n, SUM(total) AS total, COUNT(*) AS times FROM per GROUP BY k \
                     WINDOW TUMBLING(5s) EMIT FINAL;"
                ),
                Agreement::Multiset,
            ),
        }
    }

    /// TABLEs with another key than their groups: over a stream, a TABLE, a UNION of TABLEs.
    fn rekeyed(&mut self, relation: &str, filter: &str) -> (String, Agreement) {
        let having = self.having();
        let slot = *self.draw.pick(&["SUM(a) % 3", "MAX(s)", "COUNT(*)", "MIN(g)"]);
        let sql = match self.draw.below(3) {
            0 => format!(
                "CREATE TABLE out AS SELECT {slot} AS slot PRIMARY KEY, k, COUNT(*) AS n, MAX(d) AS hi FROM \
                 {relation}{filter} GROUP BY k{having} WITH ('out.type' = 'stdout');"
            ),
            1 => format!(
                "CREATE TABLE per AS SELECT k, g, {slot} AS x, COUNT(*) AS n FROM {relation}{filter} GROUP BY k, g{having};\n\
                 CREATE TABLE out AS SELECT n, x AS slot PRIMARY KEY, k FROM per WHERE n > 1 WITH ('out.type' = 'stdout');"
            ),
            _ => format!(
                "CREATE TABLE per AS SELECT k, {slot} AS x, COUNT(*) AS n FROM {relation}{filter} GROUP BY k;\n\
                 CREATE TABLE other AS SELECT g, {slot} AS x, COUNT(*) AS n FROM {relation} GROUP BY g;\n\
                 CREATE TABLE out AS SELECT x AS slot PRIMARY KEY, n FROM (SELECT x, n FROM per UNION ALL SELECT x, n FROM \
                 other) WITH ('out.type' = 'stdout');"
            ),
        };
        (sql, Agreement::Last(vec!["slot".to_owned()]))
    }

    /// Events of a TABLE that changes, written and grouped again; exact for one partition.
    fn stream_of_a_table(&mut self, relation: &str, filter: &str) -> (String, Agreement) {
        let having = self.having();
        let sql = format!(
            "CREATE TABLE per AS SELECT k, SUM(a) AS total, COUNT(*) AS n FROM {relation}{filter} GROUP BY k{having};\n\
             CREATE STREAM changes AS SELECT k, total, n FROM per WHERE n <> 2;\n\
             CREATE STREAM out AS SELECT k, COUNT(*) AS times, SUM(n) AS n, MAX(total) AS hi FROM changes GROUP BY k \
             EMIT FINAL;"
        );
        (sql, Agreement::Multiset)
    }

    /// Any aggregates over the results of windows, whose rows an aggregate has ordered.
    fn windows_of_windows(&mut self, relation: &str, filter: &str) -> (String, Agreement) {
        let calls: Vec<String> = (0..3)
            .map(|i| format!("{} AS x{i}", self.aggregate_of(&["n", "total", "g"], &["n", "top", "total"], true)))
            .collect();
        let sql = format!(
            "CREATE STREAM w AS SELECT g, k, SUM(a) AS total, COUNT(*) AS n, MAX(s) AS top FROM {relation}{filter} \
             GROUP BY g, k WINDOW TUMBLING(1s);\n\
             CREATE STREAM out AS SELECT g, {}, _window_start AS ws FROM w GROUP BY g WINDOW TUMBLING(10s);",
            calls.join(", ")
        );
        (sql, Agreement::Multiset)
    }

    fn number(&mut self, depth: u32) -> String {
        if depth == 0 || self.draw.once_in(4) {
            return (*self.draw.pick(&["a", "d", "f", "g", "id", "2", "1.5", "-3", "0", "100", "0.125"])).to_owned();
        }
        match self.draw.below(9) {
            0..=3 => {
                let op = *self.draw.pick(&["+", "-", "*", "/", "%", "+", "*"]);
                format!("({} {op} {})", self.number(depth - 1), self.number(depth - 1))
            }
            4 => format!("-({})", self.number(depth - 1)),
            5 => format!(
                "CASE WHEN {} THEN {} ELSE {} END",
                self.boolean(depth - 1),
                self.number(depth - 1),
                self.number(depth - 1)
            ),
            6 => format!("COALESCE({}, {})", self.number(depth - 1), self.number(depth - 1)),
            7 => format!("TRY_CAST({} AS INT)", self.text(depth - 1)),
            _ => {
                let target = *self.draw.pick(&["INT", "DECIMAL(10,1)", "DECIMAL(4,2)", "DECIMAL(20,4)"]);
                format!("CAST({} AS {target})", self.number(depth - 1))
            }
        }
    }

    fn text(&mut self, depth: u32) -> String {
        if depth == 0 || self.draw.once_in(3) {
            return (*self.draw.pick(&["k", "s", "'x'", "''", "'12'"])).to_owned();
        }
        match self.draw.below(4) {
            0 => format!("({} || {})", self.text(depth - 1), self.text(depth - 1)),
            1 => format!("COALESCE({}, 'none')", self.text(depth - 1)),
            2 => format!("CAST({} AS STRING)", self.number(depth - 1)),
            _ => format!("CASE WHEN {} THEN {} END", self.boolean(depth - 1), self.text(depth - 1)),
        }
    }

    fn boolean(&mut self, depth: u32) -> String {
        let op = *self.draw.pick(&["=", "<>", "<", "<=", ">", ">="]);
        if depth == 0 {
            return (*self.draw.pick(&["b", "a > 10", "d < 300", "k = 'a'", "s IS NULL", "f >= 2.5"])).to_owned();
        }
        match self.draw.below(9) {
            0 | 1 => format!("{} {op} {}", self.number(depth - 1), self.number(depth - 1)),
            2 => format!("{} {op} {}", self.text(depth - 1), self.text(depth - 1)),
            3 => format!("({} AND {})", self.boolean(depth - 1), self.boolean(depth - 1)),
            4 => format!("({} OR {})", self.boolean(depth - 1), self.boolean(depth - 1)),
            5 => format!("NOT ({})", self.boolean(depth - 1)),
            6 => format!("g IN (1, 3, {})", self.number(depth - 1)),
            7 => format!("a BETWEEN {} AND {}", self.number(depth - 1), self.number(depth - 1)),
            _ => format!("{} IS DISTINCT FROM {}", self.number(depth - 1), self.number(depth - 1)),
        }
    }
}
