//! Random apps with calls over buffers: every function, frame and order, over rows and over the results of windows.

use super::apps::{Agreement, Writer};

impl Writer<'_> {
    /// An app with OVER. What it gives is a function of the rows, whatever partitions they come in.
    pub fn over(&mut self, relation: &str) -> (String, Agreement) {
        let sql = match self.draw.below(10) {
            0 => self.over_windows(relation),
            1 | 2 => self.top(relation),
            3 => self.windows_of_over(relation),
            _ => {
                let items = self.over_items(&["k", "g", "b", "s"], &["ts", "a", "d", "f", "s", "id", "g"], "ts");
                format!("CREATE STREAM out AS SELECT id, {items} FROM {relation};")
            }
        };
        (sql, Agreement::Multiset)
    }

    fn over_windows(&mut self, relation: &str) -> String {
        let items =
            self.over_items_of(&["k"], &["SUM(a)", "COUNT(*)", "MAX(d)"], "_window_start", &["SUM(a)", "COUNT(*)"]);
        format!(
            "CREATE STREAM out AS SELECT k, _window_start AS ws, {items} FROM {relation} GROUP BY k WINDOW TUMBLING(1s);"
        )
    }

    fn windows_of_over(&mut self, relation: &str) -> String {
        let over = self.buffer(&["k", "g"], &["ts", "a", "id"], "ts");
        let (x, size) = (*self.draw.pick(&["a", "d"]), *self.draw.pick(&["1s", "10s"]));
        format!(
            "CREATE STREAM p AS SELECT k, g, a, {x} - LAG({x}) OVER {over} AS step FROM {relation};\n\
             CREATE STREAM out AS SELECT k, COUNT(*) AS n, SUM(step) AS total, MIN(step) AS low, _window_start AS ws FROM p \
             GROUP BY k WINDOW TUMBLING({size});"
        )
    }

    fn top(&mut self, relation: &str) -> String {
        let rank = *self.draw.pick(&["ROW_NUMBER", "RANK", "DENSE_RANK"]);
        let (by, down) =
            (*self.draw.pick(&["a", "d", "s", "ts"]), *self.draw.pick(&["", " DESC", " DESC NULLS FIRST"]));
        let bound = *self.draw.pick(&["n <= 3", "n = 1", "n < 3", "2 >= n", "n <= 2 AND a > 3"]);
        format!(
            "CREATE STREAM out AS SELECT id, k, n FROM (SELECT id, k, a, {rank}() OVER (PARTITION BY k ORDER BY {by}{down}) AS n \
             FROM {relation}) WHERE {bound};"
        )
    }

    fn over_items(&mut self, partition: &[&str], order: &[&str], time: &str) -> String {
        self.over_items_of(partition, order, time, &["a", "d", "s", "f", "k", "b"])
    }

    fn over_items_of(&mut self, partition: &[&str], order: &[&str], time: &str, values: &[&str]) -> String {
        let count = 1 + self.draw.below(4);
        let mut shared = self.buffer(partition, order, time);
        let mut items = Vec::new();
        for i in 0..count {
            if self.draw.once_in(2) {
                shared = self.buffer(partition, order, time);
            }
            let grouped = values.len() == 2;
            items.push(format!("{} OVER {shared} AS x{i}", self.over_call(values, grouped)));
        }
        items.join(", ")
    }

    fn over_call(&mut self, values: &[&str], grouped: bool) -> String {
        let (x, n) = (*self.draw.pick(values), self.draw.below(4));
        let nulls = *self.draw.pick(&["", "", " IGNORE NULLS"]);
        match self.draw.below(16) {
            0 => "ROW_NUMBER()".to_owned(),
            1 => "RANK()".to_owned(),
            2 => "DENSE_RANK()".to_owned(),
            3 => "PERCENT_RANK()".to_owned(),
            4 => "CUME_DIST()".to_owned(),
            5 => format!("NTILE({})", n + 1),
            6 => format!("LAG({x}){nulls}"),
            7 => format!("LAG({x}, {n}){nulls}"),
            8 => format!("LEAD({x}, {n}, {x}){nulls}"),
            9 => format!("FIRST_VALUE({x}){nulls}"),
            10 => format!("LAST_VALUE({x}){nulls}"),
            11 => format!("NTH_VALUE({x}, {}){nulls}", n + 1),
            12 if grouped => format!("SUM({x})"),
            12 => (*self.draw.pick(&["SUM(a)", "SUM(d)", "AVG(d)", "AVG(a)", "MIN(d)", "MAX(s)", "STDDEV_SAMP(d)"]))
                .to_owned(),
            _ if grouped => format!("MAX({x})"),
            _ => self.aggregate_of(&["a", "d", "f", "g"], &["s", "k", "a", "d", "f"], true),
        }
    }

    /// What stands in parentheses behind OVER.
    fn buffer(&mut self, partition: &[&str], order: &[&str], time: &str) -> String {
        let mut parts = Vec::new();
        let buffered = self.draw.once_in(2);
        if buffered {
            parts.push(format!("ROWS WINDOW BUFFER {} ROWS", 1 + self.draw.below(6)));
        }
        if !self.draw.once_in(5) {
            parts.push(format!("PARTITION BY {}", self.draw.pick(partition)));
        }
        let range = self.draw.once_in(4);
        let ordered = range || !self.draw.once_in(5);
        if ordered {
            let key = |writer: &mut Self| {
                let by = if range { time } else { *writer.draw.pick(order) };
                format!("{by}{}", writer.draw.pick(&["", "", " DESC", " ASC NULLS LAST", " DESC NULLS FIRST"]))
            };
            let mut keys = key(self);
            if !range && self.draw.once_in(4) {
                keys += &format!(", {}", key(self));
            }
            parts.push(format!("ORDER BY {keys}"));
        }
        parts.push(self.drawn_frame(range, buffered));
        if buffered {
            parts.push((*self.draw.pick(&["", "", "EMIT EVERY RECORD", "EMIT ON BUFFER FULL"])).to_owned());
            let expire = [
                "",
                "EXPIRE AFTER NEVER",
                "EXPIRE AFTER INTERVAL '1' SECOND INACTIVITY",
                "EXPIRE AFTER INTERVAL '7' SECOND INACTIVITY",
            ];
            parts.push((*self.draw.pick(&expire)).to_owned());
        }
        format!("({})", parts.join(" "))
    }

    fn drawn_frame(&mut self, range: bool, buffered: bool) -> String {
        if range {
            let (x, y) = (self.draw.below(4), self.draw.below(3));
            return (*self.draw.pick(&[
                format!("RANGE BETWEEN INTERVAL '{x}' SECOND PRECEDING AND CURRENT ROW"),
                format!("RANGE BETWEEN INTERVAL '{x}' SECOND PRECEDING AND INTERVAL '{y}' SECOND FOLLOWING"),
                format!("RANGE BETWEEN INTERVAL '{}' SECOND PRECEDING AND INTERVAL '{y}' SECOND PRECEDING", x + y),
                "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned(),
                "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING".to_owned(),
            ]))
            .clone();
        }
        let (x, y) = (self.draw.below(4), self.draw.below(3));
        if buffered && self.draw.once_in(2) {
            return String::new();
        }
        (*self.draw.pick(&[
            format!("ROWS BETWEEN {x} PRECEDING AND CURRENT ROW"),
            format!("ROWS BETWEEN {x} PRECEDING AND {y} FOLLOWING"),
            format!("ROWS BETWEEN {} PRECEDING AND {y} PRECEDING", x + y),
            format!("ROWS BETWEEN {y} FOLLOWING AND {} FOLLOWING", x + y),
            format!("ROWS {x} PRECEDING"),
            "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING".to_owned(),
            "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING".to_owned(),
        ]))
        .clone()
    }
}
