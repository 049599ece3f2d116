//! The same app computed by SQLite, as one batch: sources are tables, statements are views over them. What nothing late
//! and no order of arrival touches must be equal.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::eval::Values;
use super::model::{App, Expr, Feed, Join, Keeps, Mode, Query, Shape, Source, Statement};
use super::text::{Dialect, Writer};
use super::value::{Column, Kind, Value};

/// Rows of `out` as SQLite has them; `None` for what it is not asked.
pub fn rows(app: &App, feed: &Feed) -> Result<Option<Vec<Values>>, String> {
    let views: Option<Vec<String>> = app.statements.iter().map(|s| view(app, s)).collect();
    let Some(views) = views else { return Ok(None) };
    // A TABLE of one group begins with its first row, a view before.
    if app.statements.iter().any(|s| s.table && s.query.items.is_empty()) {
        return Ok(None);
    }
    let sqlite = Connection::open_in_memory().map_err(|e| e.to_string())?;
    for (source, partitions) in app.sources.iter().zip(feed) {
        fill(&sqlite, source, partitions).map_err(|e| e.to_string())?;
    }
    for view in &views {
        sqlite.execute_batch(view).map_err(|e| format!("{e}\n{view}"))?;
    }
    let columns = &app.out().columns;
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let query = format!("SELECT {} FROM {}", names.join(", "), app.out().name);
    let told = |e: rusqlite::Error| format!("{e}\n{}", views.join("\n"));
    let mut statement = sqlite.prepare(&query).map_err(told)?;
    let mut found = statement.query([]).map_err(told)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(told)? {
        let value = |(at, column): (usize, &Column)| row.get_ref(at).map(|v| value_of(v, column.kind)).map_err(told);
        rows.push(columns.iter().enumerate().map(value).collect::<Result<Values, String>>()?);
    }
    Ok(Some(rows))
}

fn value_of(value: ValueRef<'_>, kind: Kind) -> Value {
    match (value, kind) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Integer(i), Kind::Bool) => Value::Bool(i != 0),
        (ValueRef::Integer(i), Kind::Dec) => Value::Dec(i * 100),
        (ValueRef::Integer(i), _) => Value::Int(i),
        (ValueRef::Real(f), Kind::Int) => Value::Int(f as i64),
        (ValueRef::Real(f), _) => Value::Dec((f * 100.0).round() as i64),
        (ValueRef::Text(text), _) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        (ValueRef::Blob(_), _) => Value::Null,
    }
}

fn sql_value(value: &Value) -> rusqlite::types::Value {
    use rusqlite::types::Value as Theirs;
    match value {
        Value::Null => Theirs::Null,
        Value::Bool(b) => Theirs::Integer(i64::from(*b)),
        Value::Int(i) => Theirs::Integer(*i),
        // All are quarters, which are exact.
        Value::Dec(d) => Theirs::Real(*d as f64 / 100.0),
        Value::Text(text) => Theirs::Text(text.clone()),
    }
}

/// The rows of a source: of a TABLE its records one after the other in as-if order, by its PRIMARY KEY.
fn fill(sqlite: &Connection, source: &Source, partitions: &[Vec<super::model::Record>]) -> rusqlite::Result<()> {
    let names: Vec<&str> = source.columns.iter().map(|c| c.name.as_str()).collect();
    let key: Vec<&str> = source.key.iter().flatten().map(|k| names[*k]).collect();
    let primary = if key.is_empty() { String::new() } else { format!(", PRIMARY KEY ({})", key.join(", ")) };
    sqlite.execute_batch(&format!("CREATE TABLE {} ({}, _t{primary})", source.name, names.join(", ")))?;
    let places = vec!["?"; names.len() + 1].join(", ");
    let mut insert = sqlite.prepare(&format!("INSERT OR REPLACE INTO {} VALUES ({places})", source.name))?;
    let equal: Vec<String> = key.iter().map(|k| format!("{k} = ?")).collect();
    let mut delete = match key.is_empty() {
        true => None,
        false => Some(sqlite.prepare(&format!("DELETE FROM {} WHERE {}", source.name, equal.join(" AND ")))?),
    };
    let mut records: Vec<(usize, usize)> = Vec::new();
    for (p, of) in partitions.iter().enumerate() {
        records.extend((0..of.len()).map(|offset| (offset, p)));
    }
    records.sort_unstable();
    for (offset, p) in records {
        let record = &partitions[p][offset];
        match (&mut delete, record.gone) {
            (Some(delete), true) => {
                let of_key = source.key.iter().flatten().map(|k| sql_value(&record.values[*k]));
                delete.execute(rusqlite::params_from_iter(of_key))?;
            }
            _ => {
                let time = Value::Int(record.ts);
                let values = record.values.iter().chain([&time]).map(sql_value);
                insert.execute(rusqlite::params_from_iter(values))?;
            }
        }
    }
    Ok(())
}

/// A statement as a view; `None` where a batch has no words for it.
fn view(app: &App, statement: &Statement) -> Option<String> {
    let query = &statement.query;
    let writer = Writer::new(app, query, Dialect::Sqlite);
    let by_key = query.group.is_none() && query.items.iter().any(|item| item.key);
    if by_key && query.rels.iter().any(|rel| !app.is_table(rel.object)) {
        // The last row of a key is no matter of a batch.
        return None;
    }
    let mut items: Vec<String> =
        query.items.iter().map(|item| format!("{} AS {}", writer.expr(&item.expr), item.name)).collect();
    let mut text = String::new();
    for (at, join) in query.joins.iter().enumerate() {
        text.push_str(&joined(&writer, at, join)?);
    }
    if let Some(filter) = &query.filter {
        text.push_str(&format!(" WHERE {}", writer.expr(filter)));
    }
    let mut time = writer.time(query.rels.len());
    if let Some(group) = &query.group {
        items.extend(group.aggregates.iter().map(|(a, name)| format!("{} AS {name}", writer.aggregate(a))));
        let mut keys: Vec<String> = query.items.iter().map(|item| writer.expr(&item.expr)).collect();
        match group.window {
            Some(Shape::Tumbling(size)) => {
                let start = format!("(({time}) - ((({time}) % {size}) + {size}) % {size})");
                items.push(format!("{start} AS ws, {start} + {size} AS we"));
                time = format!("{start} + {size} - 1");
                keys.push(start);
            }
            Some(_) => return None,
            None => time = "NULL".to_owned(),
        }
        if !keys.is_empty() {
            text.push_str(&format!(" GROUP BY {}", keys.join(", ")));
        }
    }
    let rel = &query.rels[0];
    let from = format!("FROM {} AS {}{text}", app.name(rel.object), rel.alias);
    let select = format!("SELECT {}, {time} AS _t {from}", items.join(", "));
    // A name means the column of the result in HAVING.
    let having = query.group.as_ref().and_then(|group| group.having.as_ref());
    let select = match having {
        Some(Expr::Compare(op, a, b)) => {
            let Expr::Column(_, column) = **a else { return None };
            let name = &statement.columns[column].name;
            format!("SELECT * FROM ({select}) WHERE {name} {} {}", op.sign(), writer.expr(b))
        }
        Some(_) => return None,
        None => select,
    };
    Some(format!("CREATE VIEW {} AS {select};", statement.name))
}

fn joined(writer: &Writer<'_>, at: usize, join: &Join) -> Option<String> {
    let mut on = writer.conditions(join);
    let right = &writer.query.rels[at + 1];
    let (left_time, right_time) = (writer.time(at + 1), format!("{}._t", right.alias));
    match &join.mode {
        Mode::Interval { bound, .. } => {
            on.push(format!(
                "{right_time} BETWEEN {left_time} - {} AND {left_time} + {}",
                paren(bound.before),
                paren(bound.after)
            ));
        }
        Mode::Window { shape: Shape::Tumbling(size), .. } => {
            let start = |time: &str| format!("({time} - (({time} % {size}) + {size}) % {size})");
            on.push(format!("{} = {}", start(&left_time), start(&right_time)));
        }
        Mode::Lookup { version: false, .. } | Mode::Tables => {}
        Mode::Window { .. } | Mode::AsOf { .. } | Mode::Lookup { .. } => return None,
    }
    let on = if on.is_empty() { "1".to_owned() } else { on.join(" AND ") };
    let word = match join.keeps {
        Keeps::Inner => "INNER",
        Keeps::Left => "LEFT",
        Keeps::Right => "RIGHT",
        Keeps::Full => "FULL",
    };
    Some(format!(" {word} JOIN {} AS {} ON {on}", writer.app.name(right.object), right.alias))
}

fn paren(ms: i64) -> String {
    format!("({ms})")
}

/// TRUE where what a row meets depends on when it comes: tables that change after their first reader's first row, and
/// streams in subqueries.
pub fn depends_on_arrival(app: &App, feed: &Feed) -> bool {
    let feed = &super::simulate::loaded(app, feed);
    let reads_live = |query: &Query| {
        let lookups = query.joins.iter().any(|join| matches!(join.mode, Mode::Lookup { .. }));
        lookups || !query.subqueries().is_empty()
    };
    let live: Vec<&Statement> = app.statements.iter().filter(|s| reads_live(&s.query)).collect();
    let in_tables = |source: usize| {
        live.iter().any(|statement| {
            let query = &statement.query;
            let tables = query.rels.iter().map(|rel| rel.object).filter(|object| app.is_table(*object));
            let inner = query.subqueries().into_iter().map(|sub| sub.object);
            tables.chain(inner).any(|object| app.roots(object).contains(&source))
        })
    };
    let (mut last_of_tables, mut first_of_streams) = (None, None);
    for (source, partitions) in feed.iter().enumerate() {
        let steps = || partitions.iter().flatten().map(|record| record.step);
        if live.is_empty() {
            return false;
        }
        if in_tables(source) {
            last_of_tables = last_of_tables.max(steps().max());
        } else {
            first_of_streams = [first_of_streams, steps().min()].into_iter().flatten().min();
        }
    }
    matches!((last_of_tables, first_of_streams), (Some(table), Some(stream)) if stream <= table)
}
