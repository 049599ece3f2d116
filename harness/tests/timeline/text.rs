//! Apps as SQL text, feeds as JSON lines.

use super::model::{
    Aggregate, App, Bound, Buffer, Call, Condition, Emit, Expire, Frame, MS, Op, Over, Place, Record, Select, Shape,
    Source, Stage, Top, Watermark, Window,
};
use super::value::{Column, Kind};

/// Names by which the sources are fed.
pub fn feed_names(source: &Source) -> Vec<&'static str> {
    let names = if source.file { ["t.jsonl", "u.jsonl"] } else { ["t", "u"] };
    names[..source.parts().len()].to_vec()
}

/// The name by which a partition is fed, and its number there.
pub fn fed_as(source: &Source, partition: usize) -> (&'static str, usize) {
    let mut parts = feed_names(source).into_iter().zip(source.parts());
    let of = parts.find(|(_, part)| part.contains(&partition));
    of.map_or(("t", partition), |(name, part)| (name, partition - part.start))
}

/// The app.
pub fn sql(app: &App) -> String {
    let mut text = source(&app.source, "t", app.source.watermark);
    let mut from = "t";
    if let Some(second) = app.source.second {
        text.push_str(&source(&app.source, "u", second.watermark));
        let names: Vec<&str> = app.source.columns.iter().map(|c| c.name.as_str()).collect();
        let names = names.join(", ");
        text.push_str(&format!("CREATE STREAM b AS SELECT {names} FROM t UNION ALL SELECT {names} FROM u;\n"));
        from = "b";
    }
    for (at, stage) in app.stages.iter().enumerate() {
        text.push_str(&statement(stage, app.input(at), from));
        from = &stage.name;
    }
    text
}

/// One record as a line.
pub fn line(columns: &[Column], record: &Record) -> String {
    let fields: Vec<String> =
        columns.iter().zip(&record.values).map(|(c, v)| format!("\"{}\":{}", c.name, v.text())).collect();
    format!("{{{}}}\n", fields.join(","))
}

/// A row of output.
pub fn output(columns: &[Column], values: &[super::value::Value]) -> String {
    let fields: Vec<String> = columns.iter().zip(values).map(|(c, v)| format!("\"{}\":{}", c.name, v.text())).collect();
    format!("{{{}}}", fields.join(","))
}

fn duration(ns: i64) -> String {
    const DAY: i64 = 86_400_000 * MS;
    match ns {
        0 => "0s".to_owned(),
        ns if ns % DAY == 0 => format!("{}d", ns / DAY),
        ns if ns % (1_000 * MS) == 0 => format!("{}s", ns / (1_000 * MS)),
        ns => format!("{}ms", ns / MS),
    }
}

fn source(source: &Source, name: &str, watermark: Watermark) -> String {
    let columns: Vec<String> = source
        .columns
        .iter()
        .map(|c| {
            let kind = match c.kind {
                Kind::Dec => "DECIMAL(9,2)",
                Kind::Text => "STRING",
                Kind::Int | Kind::Fraction => "INT",
            };
            format!("{} {kind}", c.name)
        })
        .collect();
    let mut properties = match source.file {
        true => vec![format!("path = '{name}.jsonl'")],
        false => vec!["type = 'memory', format = 'json'".to_owned()],
    };
    if source.names_time {
        properties.push("'event.time.field' = 'ts'".to_owned());
    }
    let strategy = |name: &str| format!("'watermark.strategy' = '{name}'");
    let bound = |ns: i64| format!("'watermark.max_out_of_orderness' = '{}'", duration(ns));
    match watermark {
        Watermark::Unsaid => {}
        Watermark::None => properties.push(strategy("none")),
        Watermark::Ascending => properties.push(strategy("ascending")),
        Watermark::Bounded(ns) => properties.extend([strategy("bounded_out_of_orderness"), bound(ns)]),
        Watermark::BoundAlone(ns) => properties.push(bound(ns)),
        Watermark::BoundUnsaid => properties.push(strategy("bounded_out_of_orderness")),
    }
    if let Some(late) = source.late {
        properties.push(format!("'late.data.strategy' = '{}'", late.name()));
    }
    if let Some(lateness) = source.lateness {
        properties.push(format!("'window.allowed.lateness' = '{}'", duration(lateness)));
    }
    format!("CREATE STREAM {name} ({}) WITH ({});\n", columns.join(", "), properties.join(", "))
}

fn statement(stage: &Stage, input: &[Column], from: &str) -> String {
    let filter = stage.filter.as_ref().map_or(String::new(), |c| format!(" WHERE {}", condition(c, input)));
    let query = match &stage.op {
        Op::Select(select) => format!("SELECT {} FROM {from}{filter}", selected(select, input)),
        Op::Window(window) => windowed(window, stage, input, &format!("{from}{filter}")),
        Op::Group { keys, aggregates, at_end } => {
            let mut items: Vec<String> = keys.iter().map(|k| input[*k].name.clone()).collect();
            items.extend(aggregated(aggregates, &stage.columns[keys.len()..], input));
            let emit = if *at_end { "FINAL" } else { "CHANGES" };
            format!("SELECT {} FROM {from}{filter}{} EMIT {emit}", items.join(", "), group_by(keys, input))
        }
        Op::Over(over) => {
            let mut items: Vec<String> = over.items.iter().map(|i| input[*i].name.clone()).collect();
            let calls = over.calls.iter().zip(&stage.columns[over.items.len()..]);
            items.extend(calls.map(|(call, column)| over_call(*call, over, input, &column.name)));
            format!("SELECT {} FROM {from}{filter}", items.join(", "))
        }
    };
    format!("CREATE STREAM {} AS {query};\n", stage.name)
}

fn selected(select: &Select, input: &[Column]) -> String {
    let mut items: Vec<String> = select.items.iter().map(|i| input[*i].name.clone()).collect();
    items.extend(select.restamp.map(|(column, shift)| format!("{} + {shift} AS _event_time", input[column].name)));
    items.join(", ")
}

fn condition(condition: &Condition, columns: &[Column]) -> String {
    match condition {
        Condition::Above(c, than) => format!("{} > {than}", columns[*c].name),
        Condition::NotEqual(c, to) => format!("{} <> {to}", columns[*c].name),
        Condition::Remainder(c, by) => format!("{} % {by} = 0", columns[*c].name),
        Condition::Present(c) => format!("{} IS NOT NULL", columns[*c].name),
    }
}

fn group_by(keys: &[usize], input: &[Column]) -> String {
    let names: Vec<&str> = keys.iter().map(|k| input[*k].name.as_str()).collect();
    if names.is_empty() { String::new() } else { format!(" GROUP BY {}", names.join(", ")) }
}

fn aggregate(aggregate: Aggregate, input: &[Column]) -> String {
    let name = |c: usize| input[c].name.as_str();
    match aggregate {
        Aggregate::Rows => "COUNT(*)".to_owned(),
        Aggregate::Count(c) => format!("COUNT({})", name(c)),
        Aggregate::Distinct(c) => format!("COUNT(DISTINCT {})", name(c)),
        Aggregate::Sum(c) => format!("SUM({})", name(c)),
        Aggregate::Min(c) => format!("MIN({})", name(c)),
        Aggregate::Max(c) => format!("MAX({})", name(c)),
        Aggregate::Delta(c) => format!("DELTA({})", name(c)),
        Aggregate::First(c) => format!("FIRST({})", name(c)),
        Aggregate::Last(c) => format!("LAST({})", name(c)),
        Aggregate::Joined(c) => format!("STRING_AGG({}, '-')", name(c)),
        Aggregate::Average(c) => format!("AVG({})", name(c)),
    }
}

fn aggregated(aggregates: &[Aggregate], columns: &[Column], input: &[Column]) -> Vec<String> {
    aggregates.iter().zip(columns).map(|(a, c)| format!("{} AS {}", aggregate(*a, input), c.name)).collect()
}

/// Keys, aggregates, and the bounds, which the last two columns hold.
fn windowed(window: &Window, stage: &Stage, input: &[Column], from: &str) -> String {
    let mut items: Vec<String> = window.keys.iter().map(|k| input[*k].name.clone()).collect();
    items.extend(aggregated(&window.aggregates, &stage.columns[window.keys.len()..], input));
    let (start, end) = (&stage.columns[stage.columns.len() - 2].name, &stage.columns[stage.columns.len() - 1].name);
    items.push(format!("_window_start AS {start}, _window_end AS {end}"));
    items.extend(window.restamp.map(|c| format!("MIN({}) AS _event_time", input[c].name)));
    let mut text = format!("SELECT {} FROM {from}{}", items.join(", "), group_by(&window.keys, input));
    text.push_str(&format!(" WINDOW {}", shape(window)));
    if let Some(having) = &window.having {
        text.push_str(&format!(" HAVING {}", condition(having, &stage.columns)));
    }
    if let Some(top) = &window.top {
        text.push_str(&ordered(top, &stage.columns));
    }
    match window.emit {
        Emit::Unsaid => {}
        Emit::Final => text.push_str(" EMIT FINAL"),
        Emit::Changes => text.push_str(" EMIT CHANGES"),
        Emit::Every(d) => text.push_str(&format!(" EMIT CHANGES EVERY {}", duration(d))),
    }
    let mut properties = Vec::new();
    if let Some((lateness, Place::Statement)) = window.lateness {
        properties.push(format!("'window.allowed.lateness' = '{}'", duration(lateness)));
    }
    if let Some((late, Place::Statement)) = window.late {
        properties.push(format!("'late.data.strategy' = '{}'", late.name()));
    }
    if !properties.is_empty() {
        text.push_str(&format!(" WITH ({})", properties.join(", ")));
    }
    text
}

fn shape(window: &Window) -> String {
    let mut arguments = Vec::new();
    if window.names_time {
        arguments.push("ts".to_owned());
    }
    let name = match &window.shape {
        Shape::Tumbling(size) => {
            arguments.push(duration(*size));
            "TUMBLING"
        }
        Shape::Hopping { size, slide } => {
            arguments.extend([duration(*size), duration(*slide)]);
            "HOPPING"
        }
        Shape::Session(gap) => {
            arguments.push(duration(*gap));
            "SESSION"
        }
        Shape::Days { size, slide, zone } => {
            arguments.push(format!("{size}d"));
            if size != slide {
                arguments.push(format!("{slide}d"));
            }
            arguments.push(format!("TZ '{zone}'"));
            if size == slide { "TUMBLING" } else { "HOPPING" }
        }
    };
    if let Some((lateness, Place::Window)) = window.lateness {
        arguments.push(format!("GRACE {}", duration(lateness)));
    }
    format!("{name}({})", arguments.join(", "))
}

fn ordered(top: &Top, columns: &[Column]) -> String {
    let keys: Vec<String> =
        top.order.iter().map(|(c, desc)| format!("{}{}", columns[*c].name, if *desc { " DESC" } else { "" })).collect();
    let order = if keys.is_empty() { String::new() } else { format!(" ORDER BY {}", keys.join(", ")) };
    order + &top.limit.map_or(String::new(), |n| format!(" LIMIT {n}"))
}

fn over_call(call: Call, over: &Over, input: &[Column], alias: &str) -> String {
    let name = |c: usize| input[c].name.as_str();
    let default = |with: bool| if with { ", -1" } else { "" };
    let nulls = |ignore: bool| if ignore { " IGNORE NULLS" } else { "" };
    let call = match call {
        Call::RowNumber => "ROW_NUMBER()".to_owned(),
        Call::Rank => "RANK()".to_owned(),
        Call::DenseRank => "DENSE_RANK()".to_owned(),
        Call::PercentRank => "PERCENT_RANK()".to_owned(),
        Call::CumeDist => "CUME_DIST()".to_owned(),
        Call::Ntile(n) => format!("NTILE({n})"),
        Call::Lag(c, by, with) => format!("LAG({}, {by}{})", name(c), default(with)),
        Call::Lead(c, by, with) => format!("LEAD({}, {by}{})", name(c), default(with)),
        Call::FirstValue(c, ignore) => format!("FIRST_VALUE({}){}", name(c), nulls(ignore)),
        Call::LastValue(c, ignore) => format!("LAST_VALUE({}){}", name(c), nulls(ignore)),
        Call::NthValue(c, n) => format!("NTH_VALUE({}, {n})", name(c)),
        Call::Of(of) => aggregate(of, input),
    };
    format!("{call} OVER ({}) AS {alias}", clause(over, input))
}

fn clause(over: &Over, input: &[Column]) -> String {
    let mut parts = Vec::new();
    if let Buffer::Rows(n) = over.buffer {
        parts.push(format!("ROWS WINDOW BUFFER {n} ROWS"));
    }
    if !over.partition.is_empty() {
        let names: Vec<&str> = over.partition.iter().map(|c| input[*c].name.as_str()).collect();
        parts.push(format!("PARTITION BY {}", names.join(", ")));
    }
    if let Some((column, desc)) = over.order {
        parts.push(format!("ORDER BY {}{}", input[column].name, if desc { " DESC" } else { "" }));
    }
    parts.extend(over.frame.map(frame));
    if over.on_full {
        parts.push("EMIT ON BUFFER FULL".to_owned());
    }
    match over.expire {
        None => {}
        Some(Expire::Never) => parts.push("EXPIRE AFTER NEVER".to_owned()),
        Some(Expire::After(ns)) => {
            parts.push(format!("EXPIRE AFTER INTERVAL '{}' MILLISECOND INACTIVITY", ns / MS));
        }
    }
    parts.join(" ")
}

fn frame(frame: Frame) -> String {
    match frame {
        Frame::Rows(first, last) => {
            let first = first.map_or("UNBOUNDED PRECEDING".to_owned(), |n| format!("{n} PRECEDING"));
            let last = match last {
                Bound::Preceding(n) => format!("{n} PRECEDING"),
                Bound::Current => "CURRENT ROW".to_owned(),
                Bound::Following(n) => format!("{n} FOLLOWING"),
                Bound::Unbounded => "UNBOUNDED FOLLOWING".to_owned(),
            };
            format!("ROWS BETWEEN {first} AND {last}")
        }
        Frame::Range(before, behind) => {
            let last = match behind {
                0 => "CURRENT ROW".to_owned(),
                ms => format!("INTERVAL '{ms}' MILLISECOND FOLLOWING"),
            };
            format!("RANGE BETWEEN INTERVAL '{before}' MILLISECOND PRECEDING AND {last}")
        }
    }
}
