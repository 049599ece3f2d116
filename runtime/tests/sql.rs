//! From SQL text to files: the real front, the real shards and the real backends give the same rows on every layout.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::io::Write;
use std::path::Path;

use velostream_runtime::backend::{Backend, BackendChoice};
use velostream_runtime::catalog::FileCatalog;
use velostream_runtime::clock::RunClock;
use velostream_runtime::job::{Event, RunOptions, RunReport, run};
use velostream_runtime::stop::StopHandle;
use velostream_sql::plan::{AppPlan, SinkFormat};
use velostream_sql::props::Resolver;
use velostream_sql::{BindOptions, compile};

/// Symbols in the feed.
const SYMBOLS: i64 = 100;

fn plan(dir: &Path, sql: &str) -> AppPlan {
    let env = |_: &str| None;
    let mut endpoints = Resolver::new(dir.to_path_buf(), &env, Vec::new(), false);
    let mut catalog = FileCatalog::default();
    let options = BindOptions {
        app_name: "test".into(),
        base_dir: dir.to_path_buf(),
        stdout_format: SinkFormat::JsonLines,
        follow: false,
        until_end: false,
        strict: false,
    };
    let compiled = compile(sql, &options, &mut endpoints, &mut catalog);
    compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

/// Row `n` of the feed: id, symbol, price in cents, quantity, event time in ms.
fn row(n: i64) -> (i64, i64, i64, i64, i64) {
    let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15u64 as i64) as u64 >> 33;
    let (symbol, price, quantity) = (mixed as i64 % SYMBOLS, 5000 + mixed as i64 % 9999, 1 + mixed as i64 % 1000);
    (n, symbol, price, quantity, 1_700_000_000_000 + n / 10)
}

/// Four files of the feed, rows dealt round; every thousandth row is broken.
fn feed(dir: &Path, rows: i64, csv: bool) {
    let mut files = vec![String::new(); 4];
    if csv {
        files.iter_mut().for_each(|file| file.push_str("id,symbol,price,quantity,event_time\n"));
    }
    for n in 0..rows {
        let (id, symbol, price, quantity, time) = row(n);
        let price = format!("{}.{:02}", price / 100, price % 100);
        let file = &mut files[(n % 4) as usize];
        match (csv, n % 1000 == 999) {
            (true, false) => file.push_str(&format!("{id},S{symbol},{price},{quantity},{time}\n")),
            (false, false) => file.push_str(&format!(
                "{{\"id\":{id},\"symbol\":\"S{symbol}\",\"price\":{price},\"quantity\":{quantity},\"event_time\":{time}}}\n"
            )),
            (true, true) => file.push_str("broken\n"),
            (false, true) => file.push_str("{\"id\":\n"),
        }
    }
    let extension = if csv { "csv" } else { "jsonl" };
    for (i, text) in files.iter().enumerate() {
        std::fs::write(dir.join(format!("trades-{i}.{extension}")), text).unwrap();
    }
}

fn sorted(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn layouts() -> Vec<(BackendChoice, u16, Option<Vec<usize>>)> {
    let mut backends = vec![BackendChoice::Threads];
    if Backend::choose(BackendChoice::Glommio).is_ok() {
        backends.push(BackendChoice::Glommio);
    }
    backends.into_iter().flat_map(|b| [1, 2, 4].map(|shards| (b, shards, None))).collect()
}

/// Runs `sql` over the feed on every layout and both formats; all outputs must be `expect`.
fn check(query: &str, rows: i64, mut expect: Vec<String>) {
    expect.sort();
    for csv in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        feed(dir.path(), rows, csv);
        let (pattern, format) = if csv { ("trades-*.csv", "csv") } else { ("trades-*.jsonl", "jsonl") };
        let sql = query.replace("TRADES", "trades")
            + &format!(
                " WITH ('trades.type' = 'file_source', 'trades.path' = '{pattern}', 'trades.format' = '{format}',
               'trades.event.time.field' = 'event_time', 'trades.watermark.strategy' = 'ascending',
               'out.type' = 'file_sink', 'out.path' = 'out.csv', 'out.format' = 'csv')"
            );
        for (backend, shards, cores) in layouts() {
            let options =
                RunOptions { backend, shards: Some(shards), cores, clock: RunClock::Fixed(0), ..RunOptions::default() };
            let report: RunReport = run(plan(dir.path(), &sql), options, &StopHandle::new()).unwrap();
            let got = sorted(&dir.path().join("out.csv"));
            let name = format!("{format} on {} with {shards} shards", report.backend);
            assert_eq!(got.len(), expect.len(), "{name}: rows");
            for (got, expect) in got.iter().zip(&expect) {
                assert_eq!(got, expect, "{name}");
            }
            let bad = rows / 1000;
            assert_eq!((report.rows_in, report.rows_dead_lettered), (rows as u64, bad as u64), "{name}");
            let letters = std::fs::read_to_string(dir.path().join("trades-dlq.jsonl")).unwrap();
            assert_eq!(letters.lines().count(), bad as usize, "{name}: dead letters");
            std::fs::remove_file(dir.path().join("trades-dlq.jsonl")).unwrap();
        }
    }
}

fn good(rows: i64) -> impl Iterator<Item = (i64, i64, i64, i64, i64)> {
    (0..rows).filter(|n| n % 1000 != 999).map(row)
}

#[test]
fn projection_and_filter() {
    let keep = |r: &(i64, i64, i64, i64, i64)| r.3 > 500 && r.2 > 10_000;
    let line = |(id, symbol, price, quantity, _): (i64, i64, i64, i64, i64)| {
        let total = price * quantity;
        format!("{id},S{symbol},{}.{:02},{quantity},{}.{:02}", price / 100, price % 100, total / 100, total % 100)
    };
    let expect = good(20_000).filter(keep).map(line).collect();
    let sql = "CREATE STREAM out AS SELECT id, symbol, price, quantity, price * quantity AS total FROM TRADES
               WHERE quantity > 500 AND price > 100";
    check(sql, 20_000, expect);
}

#[test]
fn groups_and_windows() {
    let mut groups = std::collections::BTreeMap::new();
    let mut windows = std::collections::BTreeMap::new();
    for (_, symbol, price, quantity, time) in good(50_000) {
        let group: &mut (i64, i64) = groups.entry(symbol).or_default();
        *group = (group.0 + 1, group.1 + price * quantity);
        let window: &mut (i64, i64) = windows.entry((time / 1000, symbol)).or_default();
        *window = (window.0 + 1, window.1.max(price));
    }
    let money = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
    let expect = groups.iter().map(|(symbol, (n, total))| format!("S{symbol},{n},{}", money(*total))).collect();
    let sql = "CREATE STREAM out AS SELECT symbol, COUNT(*) AS n, SUM(price * quantity) AS total FROM TRADES
               GROUP BY symbol EMIT FINAL";
    check(sql, 50_000, expect);
    let expect = windows
        .iter()
        .map(|((second, symbol), (n, high))| format!("{}000,S{symbol},{n},{}", second, money(*high)))
        .collect();
    let sql =
        "CREATE STREAM out AS SELECT _window_start AS start, symbol, COUNT(*) AS n, MAX(price) AS high FROM TRADES
               GROUP BY symbol WINDOW TUMBLING(1s) EMIT FINAL";
    check(sql, 50_000, expect);
}

#[test]
fn chained_groups_end_with_one_credit() {
    let dir = tempfile::tempdir().unwrap();
    feed(dir.path(), 100_000, true);
    let sql = "CREATE STREAM per_id AS SELECT id, symbol, COUNT(*) AS n FROM trades GROUP BY id, symbol EMIT CHANGES
                 WITH ('trades.type' = 'file_source', 'trades.path' = 'trades-*.csv', 'trades.format' = 'csv');
               CREATE STREAM per_symbol AS SELECT symbol, COUNT(*) AS n FROM per_id GROUP BY symbol EMIT CHANGES;
               CREATE STREAM out AS SELECT n, COUNT(*) AS symbols FROM per_symbol GROUP BY n EMIT FINAL
                 WITH ('out.type' = 'file_sink', 'out.path' = 'out.csv', 'out.format' = 'csv');";
    // The n-th row of every symbol counts for n: as many symbols as have at least n rows.
    let mut rows = vec![0u64; SYMBOLS as usize];
    good(100_000).for_each(|row| rows[row.1 as usize] += 1);
    let deepest = rows.iter().copied().max().unwrap();
    let mut expect: Vec<String> =
        (1..=deepest).map(|n| format!("{n},{}", rows.iter().filter(|rows| **rows >= n).count())).collect();
    expect.sort();
    for (backend, shards, cores) in layouts() {
        let clock = RunClock::Fixed(0);
        let options = RunOptions {
            backend,
            shards: Some(shards),
            cores,
            clock,
            credits: 1,
            batch_rows: 64,
            ..RunOptions::default()
        };
        let report = run(plan(dir.path(), sql), options, &StopHandle::new()).unwrap();
        assert_eq!(sorted(&dir.path().join("out.csv")), expect, "{} with {shards} shards", report.backend);
        assert!(shards == 1 || report.credit_waits > 1000, "{} waits", report.credit_waits);
    }
}

#[test]
fn a_stop_in_the_middle_emits_no_open_window() {
    let dir = tempfile::tempdir().unwrap();
    feed(dir.path(), 30_000, true);
    let sql = "CREATE STREAM out AS SELECT _window_start AS start, COUNT(*) AS n FROM trades GROUP BY symbol
                 WINDOW TUMBLING(1d) EMIT FINAL
                 WITH ('trades.type' = 'file_source', 'trades.path' = 'trades-*.csv', 'trades.format' = 'csv',
                       'trades.event.time.field' = 'event_time', 'trades.watch' = 'true', 'trades.poll_interval' = '1',
                       'out.type' = 'file_sink', 'out.path' = 'out.csv', 'out.format' = 'csv')";
    for (backend, shards, cores) in layouts() {
        let stop = StopHandle::new();
        let stopper = stop.clone();
        // A watched input never ends: the run is stopped when all rows are read and their window is open.
        let observer = move |event: Event<'_>| match event {
            Event::Progress(progress) if progress.rows_in == 30_000 - 30 => stopper.request(),
            _ => {}
        };
        let options =
            RunOptions { backend, shards: Some(shards), cores, observer: Box::new(observer), ..RunOptions::default() };
        let report = run(plan(dir.path(), sql), options, &stop).unwrap();
        assert!(report.interrupted && !dir.path().join("out.csv").exists());
        let partial = std::fs::read_to_string(report.sinks[0].partial.as_ref().unwrap()).unwrap();
        assert_eq!(partial, "start,n\n", "{} with {shards} shards", report.backend);
    }
}

#[test]
fn records_pass_through_byte_for_byte() {
    let mark = "\u{feff}";
    let cases = [
        (
            "a.jsonl",
            "jsonl",
            format!("{mark}{{\"a\": 1.50}}\r\n\r\n {{\"b\":[ ],\"a\":2e0}}  \r\n\n{{\"a\":3}}\r\r\n{{\"a\":4}}"),
            { "{\"a\": 1.50}\n {\"b\":[ ],\"a\":2e0}  \n{\"a\":3}\r\n{\"a\":4}\n" },
        ),
        ("a.csv", "csv", format!("{mark}\"a\",b\r\n\"1\",007\r\n\r\n2,\"x\r\n\"\"y\"\n3, "), {
            "a,b\n\"1\",007\n2,\"x\r\n\"\"y\"\n3, \n"
        }),
        ("a.json.gz", "jsonl", "{\"a\": 1}\n{\"a\":2 }\n".to_owned(), "{\"a\": 1}\n{\"a\":2 }\n"),
    ];
    for (name, out, bytes, expect) in cases {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = bytes.into_bytes();
        if name.ends_with(".gz") {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(&bytes).unwrap();
            bytes = packed.finish().unwrap();
        }
        std::fs::write(dir.path().join(name), bytes).unwrap();
        let plan = plan(dir.path(), &format!("SELECT * FROM '{name}' WHERE a < 9 INTO 'out.{out}'"));
        assert!(plan.sinks[0].pass_through, "{name}");
        let options = RunOptions { shards: Some(2), clock: RunClock::Fixed(0), ..RunOptions::default() };
        run(plan, options, &StopHandle::new()).unwrap();
        let got = std::fs::read(dir.path().join(format!("out.{out}"))).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), expect, "{name}");
    }
}

#[test]
fn csv_passes_through_from_one_file_only() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("days.csv");
    std::fs::create_dir(&folder).unwrap();
    for (file, text) in [("1.csv", "a,b\n\"1\",x\n"), ("2.csv", "b,a\n\"y\",2\n")] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    let check = |path: &str, passes: bool, expect: &[&str]| {
        let plan = plan(dir.path(), &format!("SELECT * FROM '{path}' INTO 'out.csv'"));
        assert_eq!(plan.sinks[0].pass_through, passes, "{path}");
        run(plan, RunOptions { clock: RunClock::Fixed(0), ..RunOptions::default() }, &StopHandle::new()).unwrap();
        assert_eq!(sorted(&dir.path().join("out.csv")), expect, "{path}");
    };
    check("days.csv/1.csv", true, &["\"1\",x"]);
    check("days.csv/*1.csv", false, &["1,x"]);
    check("days.csv", false, &["1,x", "2,y"]);
    check("days.csv/*.csv", false, &["1,x", "2,y"]);
}

#[test]
fn a_stream_asks_a_table_of_its_own_records() {
    let rows = 20_000;
    let mut totals = vec![0u64; SYMBOLS as usize];
    good(rows).for_each(|(_, symbol, ..)| totals[symbol as usize] += 1);
    let mut expect: Vec<String> =
        good(rows).map(|(id, symbol, ..)| format!("{id},{}", totals[symbol as usize])).collect();
    expect.sort();
    let dir = tempfile::tempdir().expect("a folder of its own");
    feed(dir.path(), rows, true);
    let sql = "CREATE STREAM trades (id INT, symbol STRING) WITH ('path' = 'trades-*.csv', 'format' = 'csv');
         CREATE TABLE totals AS SELECT symbol, COUNT(*) AS n FROM trades GROUP BY symbol;
         CREATE STREAM out AS SELECT t.id, c.n FROM trades t JOIN totals c ON t.symbol = c.symbol
           WITH ('out.type' = 'file_sink', 'out.path' = 'out.csv', 'out.format' = 'csv')";
    for (backend, shards, cores) in layouts() {
        let options =
            RunOptions { backend, shards: Some(shards), cores, clock: RunClock::Fixed(0), ..RunOptions::default() };
        let report: RunReport = run(plan(dir.path(), sql), options, &StopHandle::new()).expect("the app runs");
        let name = format!("{} with {shards} shards", report.backend);
        assert!(sorted(&dir.path().join("out.csv")) == expect, "{name}: rows");
        // Read twice, told once.
        let bad = rows as u64 / 1000;
        assert_eq!((report.rows_in, report.rows_dead_lettered), (rows as u64, bad), "{name}");
        let letters = std::fs::read_to_string(dir.path().join("trades-dlq.jsonl")).expect("its dead letters");
        assert_eq!(letters.lines().count() as u64, bad, "{name}: dead letters");
        std::fs::remove_file(dir.path().join("trades-dlq.jsonl")).expect("they are there");
        let tables: Vec<_> = report.tables.iter().map(|t| (t.name.as_str(), t.rows, t.loaded)).collect();
        assert_eq!(tables, [("trades", rows as u64 - bad, true)], "{name}");
        assert_eq!(report.sources.len(), 1, "{name}");
    }
}
