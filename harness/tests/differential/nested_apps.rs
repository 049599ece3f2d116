//! Random apps over nested columns: parts of them in any place, groups, DISTINCT and order by them, and their elements.

use super::apps::{Agreement, Writer};

/// Parts of queries that the suite counts.
pub const COUNTED: [&str; 16] = [
    "arr[",
    "m['",
    "st.l[",
    "st.y",
    "j.",
    "ARRAY_CONTAINS(",
    "SELECT DISTINCT ",
    "ORDER BY arr",
    "ORDER BY st.l",
    "GROUP BY arr",
    "GROUP BY st",
    "UNNEST(arr)",
    "UNNEST(st.l)",
    "UNNEST(j)",
    "LEFT JOIN UNNEST(",
    "WITH ORDINALITY",
];

impl Writer<'_> {
    /// An app of the nested kind.
    pub fn nested(&mut self, relation: &str) -> (String, Agreement) {
        match self.draw.below(14) {
            0 | 1 => self.parts(relation),
            2 | 3 => self.nested_groups(relation),
            4 => self.nested_table(relation),
            5 => self.nested_distinct(relation),
            6..=8 => self.nested_order(relation),
            9..=11 => self.unnested(relation),
            12 => self.unnested_groups(relation),
            _ => self.unnested_changes(relation),
        }
    }

    /// In the order of the rows, where one partition has them all.
    fn in_order(&self) -> Agreement {
        if self.one_partition() { Agreement::Ordered } else { Agreement::Multiset }
    }

    fn integer_part(&mut self) -> &'static str {
        self.draw.pick::<&str>(&[
            "arr[1]",
            "arr[2]",
            "arr[g]",
            "arr[a]",
            "m['a']",
            "m['b']",
            "st.x",
            "st.l[1].p",
            "st.l[g].p",
            "CARDINALITY(arr)",
            "CARDINALITY(st.l)",
        ])
    }

    fn whole_part(&mut self) -> &'static str {
        self.draw.pick::<&str>(&[
            "arr",
            "st",
            "st.l",
            "st.l[1]",
            "m",
            "j",
            "j.a",
            "j.a",
            "j.b",
            "j['b']",
            "j[1]",
            "st.l[2].t",
            "st.y",
        ])
    }

    fn nested_condition(&mut self) -> String {
        let part = self.integer_part();
        match self.draw.below(8) {
            0 => "arr = ARRAY[1, 2]".to_owned(),
            1 => "arr < ARRAY[2, 0]".to_owned(),
            2 => "st.l[1] IS NOT DISTINCT FROM st.l[2]".to_owned(),
            3 => "ARRAY_CONTAINS(arr, 3)".to_owned(),
            4 => "st.y = 'x' OR j IS NULL".to_owned(),
            5 => "st.l >= st.l AND arr IN (ARRAY[1], ARRAY[2], ARRAY[g])".to_owned(),
            6 => format!("{part} + 1 > 2"),
            _ => format!("COALESCE({part}, a) <> 1"),
        }
    }

    fn nested_filter(&mut self) -> String {
        if self.draw.once_in(3) { format!(" WHERE {}", self.nested_condition()) } else { String::new() }
    }

    fn parts(&mut self, relation: &str) -> (String, Agreement) {
        let mut items = vec!["id".to_owned()];
        for i in 0..2 + self.draw.below(4) {
            let item = match self.draw.below(6) {
                0 | 1 => self.whole_part().to_owned(),
                2 => self.integer_part().to_owned(),
                3 => format!("{} * 2", self.integer_part()),
                4 => format!("CAST({} AS STRING)", self.whole_part()),
                _ => self.nested_condition(),
            };
            items.push(format!("{item} AS x{i}"));
        }
        let filter = self.nested_filter();
        (format!("CREATE STREAM out AS SELECT {} FROM {relation}{filter};", items.join(", ")), self.in_order())
    }

    fn nested_keys(&mut self) -> (String, String, Vec<String>) {
        let mut keys: Vec<&str> = Vec::new();
        for _ in 0..1 + self.draw.below(2) {
            let key = *self.draw.pick(&["arr", "st.l", "st", "st.l[1]", "m", "j", "arr[1]", "st.y", "m['a']"]);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let items: Vec<String> = keys.iter().enumerate().map(|(i, key)| format!("{key} AS key{i}")).collect();
        let names = (0..keys.len()).map(|i| format!("key{i}")).collect();
        (items.join(", "), keys.join(", "), names)
    }

    fn nested_calls(&mut self) -> String {
        let calls = [
            "COUNT(*)",
            "SUM(arr[1])",
            "MAX(st.x)",
            "MAX(arr)",
            "MIN(st.l)",
            "COUNT(DISTINCT st.l)",
            "COUNT(j)",
            "ARRAY_AGG(arr[1])",
            "ARRAY_AGG(st.l)",
            "FIRST(st.y)",
            "LAST(arr)",
            "EARLIEST_BY_OFFSET(j)",
        ];
        let calls = (0..1 + self.draw.below(3)).map(|i| format!("{} AS x{i}", self.draw.pick(&calls)));
        calls.collect::<Vec<_>>().join(", ")
    }

    fn nested_groups(&mut self, relation: &str) -> (String, Agreement) {
        let (filter, (items, keys, _), calls) = (self.nested_filter(), self.nested_keys(), self.nested_calls());
        let window = if self.draw.once_in(3) { self.window() } else { String::new() };
        let sql = format!(
            "CREATE STREAM out AS SELECT {items}, {calls} FROM {relation}{filter} GROUP BY {keys}{window} EMIT FINAL;"
        );
        (sql, self.in_order())
    }

    fn nested_table(&mut self, relation: &str) -> (String, Agreement) {
        let (filter, (items, keys, names), calls) = (self.nested_filter(), self.nested_keys(), self.nested_calls());
        let sql = format!(
            "CREATE TABLE out AS SELECT {items}, {calls} FROM {relation}{filter} GROUP BY {keys} WITH ('out.type' = \
             'stdout');"
        );
        (sql, Agreement::Last(names))
    }

    fn nested_distinct(&mut self, relation: &str) -> (String, Agreement) {
        let items: Vec<String> =
            (0..1 + self.draw.below(2)).map(|i| format!("{} AS x{i}", self.whole_part())).collect();
        let filter = self.nested_filter();
        let sql = format!("CREATE STREAM out AS SELECT DISTINCT {} FROM {relation}{filter};", items.join(", "));
        (sql, Agreement::Multiset)
    }

    fn nested_order(&mut self, relation: &str) -> (String, Agreement) {
        let key = *self.draw.pick(&["arr", "st.l", "st.l[1]", "arr[1]", "st.y"]);
        let down = *self.draw.pick(&["", " DESC", " NULLS LAST", " DESC NULLS FIRST"]);
        let limit = *self.draw.pick(&["", " LIMIT 5"]);
        let filter = self.nested_filter();
        let sql = format!(
            "CREATE STREAM out AS SELECT id, {key} AS x, arr FROM {relation}{filter} ORDER BY {key}{down}{limit};"
        );
        (sql, Agreement::Ordered)
    }

    /// Elements of something: what stands behind the relation, names of integers and of other values among the columns.
    fn elements(&mut self) -> (String, Vec<&'static str>, Vec<&'static str>) {
        let declared = !self.shape.inferred;
        let (of, mut integers, mut others, columns) = match self.draw.below(if declared { 6 } else { 5 }) {
            0 => ("arr", vec!["e"], Vec::new(), "u(e"),
            1 => ("st.l", vec!["e.p"], vec!["e.t", "e"], "u(e"),
            2 => ("j", Vec::new(), vec!["e", "e.a", "e[1]"], "u(e"),
            3 => ("ARRAY[g, a, NULL]", vec!["e"], Vec::new(), "u(e"),
            4 => ("st.l", vec!["u.e.p"], vec!["u.e"], "u(e"),
            _ => ("m", vec!["value"], vec!["key"], "u(key, value"),
        };
        let join = *self.draw.pick(&[", ", " CROSS JOIN ", " LEFT JOIN "]);
        let on = if join == " LEFT JOIN " { " ON TRUE" } else { "" };
        let numbered = self.draw.once_in(2);
        let (number, with) = if numbered { (", n", " WITH ORDINALITY") } else { ("", "") };
        if numbered {
            integers.push("n");
        }
        let mut text = format!("{join}UNNEST({of}){with} AS {columns}{number}){on}");
        if self.draw.once_in(3) {
            text.push_str(", UNNEST(arr) AS second");
            integers.push("second");
        }
        if integers.is_empty() {
            integers.push("g");
        }
        others.push("k");
        (text, integers, others)
    }

    fn unnested(&mut self, relation: &str) -> (String, Agreement) {
        let (elements, integers, others) = self.elements();
        let (x, y) = (*self.draw.pick(&integers), *self.draw.pick(&others));
        let mut items = format!("id, {x} AS x, {y} AS y, {x} + g AS z, arr");
        if self.draw.once_in(4) {
            items.push_str(", _offset AS o, _event_time AS et");
        }
        let filter = match self.draw.below(4) {
            0 => format!(" WHERE {x} > 1"),
            1 => format!(" WHERE {}", self.nested_condition()),
            _ => String::new(),
        };
        let (order, agreement) = match self.draw.below(5) {
            0 => (format!(" ORDER BY {x}"), Agreement::Ordered),
            // The oracle takes rows as they are fed, not as they would come out of several partitions.
            1 if self.one_partition() => (" LIMIT 7".to_owned(), Agreement::Ordered),
            _ => (String::new(), self.in_order()),
        };
        (format!("CREATE STREAM out AS SELECT {items} FROM {relation}{elements}{filter}{order};"), agreement)
    }

    fn unnested_groups(&mut self, relation: &str) -> (String, Agreement) {
        let (elements, integers, others) = self.elements();
        let (x, y) = (*self.draw.pick(&integers), *self.draw.pick(&others));
        let key = if self.draw.once_in(2) { x } else { y };
        let all = [
            "COUNT(*)".to_owned(),
            format!("SUM({x})"),
            format!("ARRAY_AGG({x})"),
            format!("FIRST({x})"),
            format!("LAST({x})"),
            format!("EARLIEST_BY_OFFSET({x})"),
            format!("LATEST_BY_OFFSET({x})"),
            format!("COUNT(DISTINCT {x})"),
        ];
        let calls: Vec<String> = (0..2).map(|i| format!("{} AS x{i}", self.draw.pick(&all))).collect();
        let tail = match self.draw.below(3) {
            0 => self.window() + " EMIT FINAL",
            _ => " EMIT FINAL".to_owned(),
        };
        let filter = self.nested_filter();
        let sql = format!(
            "CREATE STREAM out AS SELECT {key} AS key, {} FROM {relation}{elements}{filter} GROUP BY {key}{tail};",
            calls.join(", ")
        );
        (sql, self.in_order())
    }

    /// Elements of a TABLE's rows, of lists that groups made, of what was taken apart before.
    fn unnested_changes(&mut self, relation: &str) -> (String, Agreement) {
        let last = |keys: &[&str]| Agreement::Last(keys.iter().map(|k| (*k).to_owned()).collect());
        let filter = self.nested_filter();
        match self.draw.below(4) {
            0 => (
                format!(
                    "CREATE TABLE per AS SELECT k, LAST(arr) AS arr, COUNT(*) AS n FROM {relation}{filter} GROUP BY k;\n\
                     CREATE TABLE out AS SELECT e, COUNT(*) AS c, SUM(n) AS n FROM per, UNNEST(arr) AS e GROUP BY e WITH \
                     ('out.type' = 'stdout');"
                ),
                last(&["e"]),
            ),
            1 => (
                format!(
                    "CREATE TABLE per AS SELECT k, LAST(st.l) AS l FROM {relation}{filter} GROUP BY k;\n\
                     CREATE TABLE out AS SELECT k PRIMARY KEY, n PRIMARY KEY, e.p, e FROM per LEFT JOIN UNNEST(l) WITH \
                     ORDINALITY AS u(e, n) ON TRUE WITH ('out.type' = 'stdout');"
                ),
                last(&["k", "n"]),
            ),
            2 => (
                format!(
                    "CREATE STREAM per AS SELECT k, ARRAY_AGG(arr) AS l FROM {relation}{filter} GROUP BY k EMIT FINAL;\n\
                     CREATE STREAM out AS SELECT k, e, f FROM per, UNNEST(l) AS e LEFT JOIN UNNEST(e) AS f ON TRUE;"
                ),
                self.in_order(),
            ),
            _ => (
                format!(
                    "CREATE STREAM parts AS SELECT k, g, e FROM {relation}, UNNEST(st.l) AS e{filter};\n\
                     CREATE STREAM out AS SELECT k, e.t, COUNT(*) AS n, ARRAY_AGG(e.p) AS ps FROM parts GROUP BY k, e.t \
                     EMIT FINAL;"
                ),
                self.in_order(),
            ),
        }
    }
}
