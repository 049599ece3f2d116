//! Apps as SQL text, feeds as JSON lines.

use super::model::{
    Aggregate, App, Bound, Expr, Form, Group, Join, Keeps, Mode, Query, Record, Shape, Source, Statement, SubForm,
    SubValue, Subquery, Watermark,
};
use super::value::{Column, Kind, Value};

/// Name by which a source is fed.
pub fn feed_name(source: &Source) -> String {
    if source.file { format!("{}.jsonl", source.name) } else { source.name.clone() }
}

/// The app.
pub fn sql(app: &App) -> String {
    let sources = app.sources.iter().map(declared);
    sources.chain(app.statements.iter().map(|s| statement(app, s))).collect()
}

/// One record as a line.
pub fn line(source: &Source, record: &Record) -> String {
    let mut fields: Vec<String> =
        source.columns.iter().zip(&record.values).map(|(c, v)| format!("\"{}\":{}", c.name, v.text())).collect();
    if source.is_table() && record.gone {
        fields.push("\"gone\":true".to_owned());
    }
    format!("{{{}}}\n", fields.join(","))
}

/// A row of output.
pub fn output(columns: &[Column], values: &[Value]) -> String {
    let fields: Vec<String> = columns.iter().zip(values).map(|(c, v)| format!("\"{}\":{}", c.name, v.text())).collect();
    format!("{{{}}}", fields.join(","))
}

fn duration(ms: i64) -> String {
    if ms % 1_000 == 0 { format!("{}s", ms / 1_000) } else { format!("{ms}ms") }
}

fn declared(source: &Source) -> String {
    let kind = |c: &Column| match c.kind {
        Kind::Dec => "DECIMAL(9,2)",
        Kind::Text => "STRING",
        Kind::Bool => "BOOLEAN",
        Kind::Int => "INT",
    };
    let mut columns: Vec<String> = source.columns.iter().map(|c| format!("{} {}", c.name, kind(c))).collect();
    let mut properties = match source.file {
        true => vec![format!("path = '{}.jsonl'", source.name)],
        false => vec!["type = 'memory', format = 'json'".to_owned()],
    };
    if let Some(key) = &source.key {
        let names: Vec<&str> = key.iter().map(|k| source.columns[*k].name.as_str()).collect();
        columns.push(format!("PRIMARY KEY ({})", names.join(", ")));
        properties.push("'delete.field' = 'gone'".to_owned());
    }
    if !source.is_table() || source.retention.is_some() {
        properties.push("'event.time.field' = 'ts'".to_owned());
        match source.watermark {
            Watermark::Unsaid => {}
            Watermark::Ascending => properties.push("'watermark.strategy' = 'ascending'".to_owned()),
            Watermark::Bounded(ms) => {
                properties.push("'watermark.strategy' = 'bounded_out_of_orderness'".to_owned());
                properties.push(format!("'watermark.max_out_of_orderness' = '{}'", duration(ms)));
            }
        }
    }
    if let Some(retention) = source.retention {
        properties.push(format!("retention = '{} milliseconds'", retention));
    }
    let what = if source.is_table() { "TABLE" } else { "STREAM" };
    format!("CREATE {what} {} ({}) WITH ({});\n", source.name, columns.join(", "), properties.join(", "))
}

fn statement(app: &App, statement: &Statement) -> String {
    let what = if statement.table { "TABLE" } else { "STREAM" };
    let mut text = format!("CREATE {what} {} AS {}", statement.name, query(app, &statement.query, Dialect::Ours));
    let mut properties = properties(&statement.query);
    if statement.debezium {
        properties.push(format!("'{0}.type' = 'stdout', '{0}.changelog' = 'debezium'", statement.name));
    }
    if let Some(group) = statement.query.group.as_ref().filter(|g| g.lateness > 0) {
        properties.push(format!("'window.allowed.lateness' = '{}'", duration(group.lateness)));
    }
    if !properties.is_empty() {
        text.push_str(&format!(" WITH ({})", properties.join(", ")));
    }
    text + ";\n"
}

fn properties(query: &Query) -> Vec<String> {
    let mut found = Vec::new();
    for join in &query.joins {
        let (Mode::Interval { bound, .. } | Mode::AsOf { bound, .. }) = &join.mode else { continue };
        if bound.form == Form::Properties {
            found.push(format!("'join.lower_bound' = '{}'", duration(bound.before)));
            found.push(format!("'join.upper_bound' = '{}'", duration(bound.after)));
        }
        if let Mode::Interval { retention, .. } = &join.mode
            && *retention > 0
        {
            found.push(format!("'join.retention' = '{}'", duration(*retention)));
        }
    }
    found
}

/// Whose words an expression is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Ours,
    Sqlite,
}

/// Writes expressions of a query.
pub struct Writer<'a> {
    pub app: &'a App,
    pub query: &'a Query,
    pub dialect: Dialect,
    /// Inside a subquery: its relation.
    inner: Option<usize>,
}

impl<'a> Writer<'a> {
    pub fn new(app: &'a App, query: &'a Query, dialect: Dialect) -> Writer<'a> {
        Writer { app, query, dialect, inner: None }
    }

    pub fn column(&self, rel: usize, column: usize) -> String {
        let rel = &self.query.rels[rel];
        let columns = self.app.columns(rel.object);
        match (columns.get(column), self.dialect) {
            (Some(column), _) => format!("{}.{}", rel.alias, column.name),
            (None, Dialect::Ours) => format!("{}._event_time", rel.alias),
            (None, Dialect::Sqlite) => format!("{}._t", rel.alias),
        }
    }

    /// Time of a row of the first so many relations.
    pub fn time(&self, rels: usize) -> String {
        let of = |rel: usize| format!("IFNULL({}._t, -9000000000000000)", self.query.rels[rel].alias);
        let all: Vec<String> =
            (0..rels).filter(|rel| !self.app.is_table(self.query.rels[*rel].object)).map(of).collect();
        match all.as_slice() {
            [] => "NULL".to_owned(),
            [only] => only.clone(),
            all => format!("MAX({})", all.join(", ")),
        }
    }

    pub fn expr(&self, expr: &Expr) -> String {
        let list = |list: &[Expr], between: &str| {
            let parts: Vec<String> = list.iter().map(|e| self.expr(e)).collect();
            format!("({})", parts.join(between))
        };
        match expr {
            Expr::Column(_, column) if self.inner.is_some() => {
                let object = self.inner.unwrap_or_default();
                match (self.app.columns(object).get(*column), self.dialect) {
                    (Some(column), _) => format!("i.{}", column.name),
                    (None, Dialect::Ours) => "i._event_time".to_owned(),
                    (None, Dialect::Sqlite) => "i._t".to_owned(),
                }
            }
            Expr::Column(rel, column) | Expr::Outer(rel, column) => self.column(*rel, *column),
            Expr::Time if self.dialect == Dialect::Ours => "_event_time".to_owned(),
            Expr::Time => self.time(self.query.rels.len()),
            Expr::Edge(start) if self.dialect == Dialect::Ours => {
                (if *start { "_window_start" } else { "_window_end" }).to_owned()
            }
            Expr::Edge(start) => self.edge(*start),
            Expr::Coalesce(parts) => match (&parts[..], self.dialect) {
                // A column of USING.
                ([Expr::Column(rel, column), ..], Dialect::Ours) if self.query.joins.iter().any(|j| j.using) => {
                    self.app.columns(self.query.rels[*rel].object)[*column].name.clone()
                }
                _ => format!("COALESCE{}", list(parts, ", ")),
            },
            Expr::Literal(value) => value.literal(),
            Expr::Plus(a, b) => match &**b {
                Expr::Literal(Value::Int(i)) if *i < 0 => format!("{} - {}", self.expr(a), -i),
                b => format!("{} + {}", self.expr(a), self.expr(b)),
            },
            Expr::Compare(op, a, b) => format!("{} {} {}", self.expr(a), op.sign(), self.expr(b)),
            Expr::And(parts) => list(parts, " AND "),
            Expr::Or(parts) => list(parts, " OR "),
            Expr::Not(e) => format!("NOT ({})", self.expr(e)),
            Expr::IsNull(e) => format!("{} IS NULL", self.expr(e)),
            Expr::Case(a, b, c) => {
                format!("CASE WHEN {} THEN {} ELSE {} END", self.expr(a), self.expr(b), self.expr(c))
            }
            Expr::Sub(sub) => self.sub(sub),
        }
    }

    /// In SQLite's words the bounds of the TUMBLING window that the first relation's row that is there is in.
    fn edge(&self, start: bool) -> String {
        let size = self.query.joins.iter().find_map(|join| match join.mode {
            Mode::Window { shape: Shape::Tumbling(size), .. } => Some(size),
            _ => None,
        });
        let size = size.unwrap_or(1);
        let time = format!("COALESCE({}._t, {}._t)", self.query.rels[0].alias, self.query.rels[1].alias);
        let begin = format!("({time} - (({time} % {size}) + {size}) % {size})");
        if start { begin } else { format!("({begin} + {size})") }
    }

    fn sub(&self, sub: &Subquery) -> String {
        let inner = Writer { inner: Some(sub.object), ..*self };
        let filter = sub.filter.as_ref().map_or(String::new(), |f| format!(" WHERE {}", inner.expr(f)));
        let from = format!("FROM {} AS i{filter}", self.app.name(sub.object));
        let name = |column: usize| inner.expr(&Expr::Column(0, column));
        let select = match &sub.value {
            SubValue::One => format!("SELECT 1 {from}"),
            SubValue::Column(column) => format!("SELECT {} {from}", name(*column)),
            SubValue::Distinct(column) => format!("SELECT DISTINCT {} {from}", name(*column)),
            SubValue::Of(aggregate) => format!("SELECT {} {from}", inner.aggregate(aggregate)),
            SubValue::First(column, by, desc) => {
                let desc = if *desc { " DESC" } else { "" };
                format!("SELECT {} {from} ORDER BY {}{desc} LIMIT 1", name(*column), name(*by))
            }
        };
        let not = |not: bool| if not { "NOT " } else { "" };
        match &sub.form {
            SubForm::Exists(no) => format!("{}EXISTS ({select})", not(*no)),
            SubForm::In(operand, no) => format!("{} {}IN ({select})", self.expr(operand), not(*no)),
            SubForm::Scalar => format!("({select})"),
            SubForm::Compare(operand, op, all) if self.dialect == Dialect::Ours => {
                format!("{} {} {} ({select})", self.expr(operand), op.sign(), if *all { "ALL" } else { "ANY" })
            }
            SubForm::Compare(operand, op, all) => {
                let SubValue::Column(column) = &sub.value else { return "NULL".to_owned() };
                let holds = format!("({} {} {})", self.expr(operand), op.sign(), name(*column));
                let (decides, otherwise) = if *all { (0, 1) } else { (1, 0) };
                format!(
                    "(SELECT CASE WHEN COUNT(*) = 0 THEN {otherwise} WHEN SUM({holds} IS {decides}) > 0 THEN {decides} \
                     WHEN SUM({holds} IS NULL) > 0 THEN NULL ELSE {otherwise} END {from})"
                )
            }
        }
    }

    pub fn aggregate(&self, aggregate: &Aggregate) -> String {
        let argument = aggregate.argument().map_or("*".to_owned(), |e| self.expr(e));
        let name = match aggregate {
            Aggregate::Rows | Aggregate::Count(_) => "COUNT",
            Aggregate::Sum(_) => "SUM",
            Aggregate::Min(_) => "MIN",
            Aggregate::Max(_) => "MAX",
        };
        format!("{name}({argument})")
    }

    /// Keys and residual of a join.
    pub fn conditions(&self, join: &Join) -> Vec<String> {
        let keys = join.keys.iter().map(|(l, r)| format!("{} = {}", self.expr(l), self.expr(r)));
        keys.chain(join.residual.as_ref().map(|e| self.expr(e))).collect()
    }
}

/// A query in our words.
pub fn query(app: &App, query: &Query, dialect: Dialect) -> String {
    let writer = Writer::new(app, query, dialect);
    let mut items: Vec<String> = match query.star {
        true => vec!["*".to_owned()],
        false => query
            .items
            .iter()
            .map(|item| {
                let key = if item.key { " PRIMARY KEY" } else { "" };
                format!("{} AS {}{key}", writer.expr(&item.expr), item.name)
            })
            .collect(),
    };
    let mut filters: Vec<String> = query.filter.iter().map(|f| writer.expr(f)).collect();
    let mut tail = String::new();
    if let Some(group) = &query.group {
        items.extend(group.aggregates.iter().map(|(a, name)| format!("{} AS {name}", writer.aggregate(a))));
        tail = grouping(&writer, query, group, &mut items);
    }
    let mut text = format!("SELECT {} FROM {}", items.join(", "), relation(app, query, 0));
    for (at, join) in query.joins.iter().enumerate() {
        text.push_str(&joined(&writer, at, join, &mut filters));
        match &join.mode {
            Mode::Window { shape, at_close } => {
                tail.push_str(&format!(" WINDOW {}", window(*shape)));
                tail.push_str(if *at_close { " EMIT FINAL" } else { "" });
            }
            _ => continue,
        }
    }
    if !filters.is_empty() {
        text.push_str(&format!(" WHERE {}", filters.join(" AND ")));
    }
    text + &tail
}

fn grouping(writer: &Writer<'_>, query: &Query, group: &Group, items: &mut Vec<String>) -> String {
    let keys: Vec<String> = query.items.iter().map(|item| writer.expr(&item.expr)).collect();
    let mut tail = match keys.is_empty() {
        true => String::new(),
        false => format!(" GROUP BY {}", keys.join(", ")),
    };
    if let Some(shape) = group.window {
        items.push("_window_start AS ws, _window_end AS we".to_owned());
        tail.push_str(&format!(" WINDOW {}", window(shape)));
    }
    if let Some(having) = &group.having {
        tail.push_str(&format!(" HAVING {}", having_text(query, group, having)));
    }
    tail + if group.at_end { " EMIT FINAL" } else { "" }
}

/// HAVING is over the output, by name.
fn having_text(query: &Query, group: &Group, having: &Expr) -> String {
    let name = |column: usize| match query.items.get(column) {
        Some(item) => item.name.clone(),
        None => group.aggregates[column - query.items.len()].1.clone(),
    };
    match having {
        Expr::Compare(op, a, b) => match (&**a, &**b) {
            (Expr::Column(_, column), Expr::Literal(value)) => {
                format!("{} {} {}", name(*column), op.sign(), value.literal())
            }
            _ => String::new(),
        },
        _ => String::new(),
    }
}

fn window(shape: Shape) -> String {
    match shape {
        Shape::Tumbling(size) => format!("TUMBLING({})", duration(size)),
        Shape::Hopping(size, slide) => format!("HOPPING({}, {})", duration(size), duration(slide)),
        Shape::Session(gap) => format!("SESSION({})", duration(gap)),
    }
}

fn relation(app: &App, query: &Query, at: usize) -> String {
    let rel = &query.rels[at];
    let name = app.name(rel.object);
    if name == rel.alias { name.to_owned() } else { format!("{name} AS {}", rel.alias) }
}

fn joined(writer: &Writer<'_>, at: usize, join: &Join, filters: &mut Vec<String>) -> String {
    let (app, query) = (writer.app, writer.query);
    let mut on = writer.conditions(join);
    let (mut before_on, mut behind_on) = (String::new(), String::new());
    let mut version = String::new();
    let mut word = match join.keeps {
        Keeps::Inner => "JOIN",
        Keeps::Left => "LEFT JOIN",
        Keeps::Right => "RIGHT JOIN",
        Keeps::Full => "FULL JOIN",
    };
    match &join.mode {
        Mode::Interval { bound, .. } => {
            let (within, conditions) = bounded(writer, at, bound);
            let behind = matches!(bound.form, Form::Within(true) | Form::Sides(true));
            *(if behind { &mut behind_on } else { &mut before_on }) = within;
            if bound.form == Form::Where { filters.extend(conditions) } else { on.extend(conditions) }
        }
        Mode::AsOf { bound, strict } => {
            word = if join.keeps == Keeps::Left { "LEFT ASOF JOIN" } else { "ASOF JOIN" };
            if !matches!(bound.form, Form::Default) {
                before_on = format!(" WITHIN {}", duration(bound.before));
            }
            let (left, right) = (time_name(writer, at), time_name(writer, at + 1));
            on.push(format!("{left} {} {right}", if *strict { ">" } else { ">=" }));
        }
        Mode::Lookup { version: true, .. } => {
            version = format!(" FOR SYSTEM_TIME AS OF {}._event_time", query.rels[0].alias);
        }
        Mode::Lookup { .. } | Mode::Tables | Mode::Window { .. } => {}
    }
    let rel = &query.rels[at + 1];
    let right = match version.is_empty() {
        true => relation(app, query, at + 1),
        false => format!("{}{version} AS {}", app.name(rel.object), rel.alias),
    };
    let on = match (join.using, on.is_empty()) {
        (true, _) => match join.keys.first() {
            Some((_, Expr::Column(rel, column))) => {
                format!(" USING ({})", app.columns(query.rels[*rel].object)[*column].name)
            }
            _ => String::new(),
        },
        (false, true) => " ON true".to_owned(),
        (false, false) => format!(" ON {}", on.join(" AND ")),
    };
    format!(" {word} {right}{before_on}{on}{behind_on}")
}

fn time_name(writer: &Writer<'_>, rel: usize) -> String {
    format!("{}.ts", writer.query.rels[rel].alias)
}

/// WITHIN, and conditions.
fn bounded(writer: &Writer<'_>, at: usize, bound: &Bound) -> (String, Vec<String>) {
    let Bound { before, after, form } = *bound;
    let (left, right) = (&writer.query.rels[at].alias, &writer.query.rels[at + 1].alias);
    let plus = |name: String, ms: i64| match ms {
        0 => name,
        ms if ms < 0 => format!("{name} - {}", -ms),
        ms => format!("{name} + {ms}"),
    };
    let interval = |sign: i64, ms: i64| {
        let sign = if sign * ms < 0 { "-" } else { "+" };
        format!("{left}._event_time {sign} INTERVAL '{}' MILLISECOND", ms.abs())
    };
    match form {
        Form::Within(_) => (format!(" WITHIN {}", duration(before)), Vec::new()),
        Form::Sides(_) => (format!(" WITHIN ({}, {})", duration(before), duration(after)), Vec::new()),
        Form::EventTime => {
            let text = format!("{right}._event_time BETWEEN {} AND {}", interval(-1, before), interval(1, after));
            (String::new(), vec![text])
        }
        Form::Pair | Form::Where => {
            let low = format!("{right}.ts >= {}", plus(format!("{left}.ts"), -before));
            let high = format!("{} >= {right}.ts", plus(format!("{left}.ts"), after));
            (String::new(), vec![low, high])
        }
        Form::Turned => {
            let (low, high) = (plus(format!("{right}.ts"), -after), plus(format!("{right}.ts"), before));
            (String::new(), vec![format!("{left}.ts BETWEEN {low} AND {high}")])
        }
        Form::Properties | Form::Default => (String::new(), Vec::new()),
    }
}
