//! The judge is judged by hand-made inputs and by the limit programs.

use super::*;
use crate::generate::{GenOptions, Table, generate, trades_name};
use crate::mixed::Faults;
use clap::ValueEnum;

/// A folder of this process, empty.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("velostream-perf-check-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).expect("folder");
    path
}

const ORDERS: &str = "order_id,trader_id,order_symbol,limit_price,order_time\n1,7,A,2.5000,1000\n2,7,A,3.5000,1000\n\
    3,7,A,4.5000,1301\n";

fn expect_of(workload: Workload, bound_ms: i64, files: &[&str]) -> Expected {
    let folder = folder(&format!("{}-{bound_ms}-{}", workload.name(), files.concat().len()));
    let inputs = files
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let path = folder.join(format!("{i}.csv"));
            let columns = "order_id,symbol,price,quantity,event_time";
            let columns =
                if workload == Workload::W5 { columns.replace("event_time", "trader_id") } else { columns.to_owned() };
            std::fs::write(&path, format!("{columns}\n{text}")).expect("write");
            path
        })
        .collect();
    let beside = workload.beside().map(|table| {
        let path = folder.join(table.file(Format::Csv));
        let text = match table {
            Table::Traders => "trader_id,desk,tier,credit_limit\n7,rates,gold,1\n8,macro,silver,2\n",
            _ => ORDERS,
        };
        std::fs::write(&path, text).expect("write");
        path
    });
    let options = CheckOptions { workload, format: Format::Csv, inputs, beside, bound_ms };
    let expected = expect(&options).expect("expect");
    std::fs::remove_dir_all(folder).expect("clean up");
    expected
}

fn lines(expected: &Expected) -> Vec<&str> {
    expected.lines.iter().map(|l| std::str::from_utf8(l).expect("text")).collect()
}

#[test]
fn projection_keeps_tokens_and_widens_products() {
    let text =
        "1,A,100.5000,600,0\n2,A,100.0000,600,0\n3,A,100.0001,500.5,0\n10000000000000000000,B,200.000150,501.5,0\n";
    let expected = expect_of(Workload::W1, 0, &[text]);
    assert_eq!(
        lines(&expected),
        [
            "1,A,100.5000,600,60300.0000",
            "10000000000000000000,B,200.000150,501.5,100300.075225",
            "3,A,100.0001,500.5,50050.05005",
        ]
    );
}

#[test]
fn totals_are_exact_and_averages_round_half_away() {
    let expected = expect_of(Workload::W2, 0, &["1,A,0.0001,1,0\n2,A,0.0002,1.5,0\n", "3,A,0.0002,1,0\n"]);
    assert_eq!(lines(&expected), ["A,3,3.5,0.0006,0.00016667"]);
}

#[test]
fn each_file_judges_its_own_rows() {
    // The second file is far ahead of the first; the first file's rows are late only by its own watermark.
    let expected = expect_of(
        Workload::W3,
        100,
        &["1,A,1,1,500\n2,A,1,1,1099\n3,A,1,1,999\n4,A,1,1,1100\n5,A,1,1,998\n", "6,A,1,1,9000\n"],
    );
    assert_eq!(
        lines(&expected),
        ["A,0,2,2,2.0000,1.00000000", "A,1000,2,2,2.0000,1.00000000", "A,9000,1,1,1.0000,1.00000000"]
    );
    assert_eq!(expected.late.keys().collect::<Vec<_>>(), [&(0, 4)]);
}

#[test]
fn a_trade_has_its_trader_if_the_table_does() {
    let expected = expect_of(Workload::W5, 0, &["1,A,1.0,5,7\n2,A,1,5,9\n", "3,B,2.50,1,8\n"]);
    assert_eq!(lines(&expected), ["1,A,1.0,5,rates,gold", "3,B,2.50,1,macro,silver"]);
}

#[test]
fn an_order_is_of_a_trade_up_to_its_300th_millisecond() {
    let trades = "1,A,1,5,999\n1,A,1,5,1000\n1,A,2,5,1300\n1,A,3,5,1301\n3,B,1,1,1301\n";
    assert_eq!(lines(&expect_of(Workload::W6, 0, &[trades])), ["1,A,1,5,2.5000", "1,A,2,5,2.5000", "3,B,1,1,4.5000"]);
}

#[test]
fn a_trade_that_its_order_cannot_wait_for_has_none() {
    let trades = "9,A,1,5,1310\n1,A,1,5,1200\n9,A,1,5,1311\n2,A,1,5,1250\n";
    let of = |bound| expect_of(Workload::W6, bound, &[trades]);
    assert_eq!(lines(&of(10)), ["1,A,1,5,2.5000"]);
    assert_eq!(lines(&of(11)), ["1,A,1,5,2.5000", "2,A,1,5,3.5000"]);
}

#[test]
fn bad_records_are_told_by_file_and_number() {
    let expected = expect_of(Workload::W2, 0, &["1,A,1,1,0\n2,A,cheap,1,0\n", "3,A,1\n4,A,1,1,0,0\n"]);
    assert_eq!(expected.bad.keys().collect::<Vec<_>>(), [&(0, 1), &(1, 0), &(1, 1)]);
    assert_eq!(expected.records, 4);
}

#[test]
fn what_the_generator_spoils_is_what_the_judge_refuses_in_both_formats() {
    let out = folder("spoiled");
    let faults = Faults { bad_per_mille: 50, ..Faults::MIXED };
    let formats = vec![Format::Csv, Format::Jsonl];
    generate(&GenOptions { rows: 40_000, out: out.clone(), seed: 3, formats, tables: vec![Table::Trades], faults })
        .expect("generate");
    let mut results = Vec::new();
    for format in [Format::Csv, Format::Jsonl] {
        let inputs = (0..4).map(|i| out.join(trades_name(format, i, 4))).collect();
        let options = CheckOptions { workload: Workload::W3, format, inputs, beside: None, bound_ms: 200 };
        let expected = expect(&options).expect("expect");
        let list = std::fs::read(out.join(crate::generate::bad_name(format))).expect("list");
        let spoiled: BTreeMap<(u32, u64), Vec<u8>> = list
            .strip_suffix(b"\n")
            .expect("newline")
            .split(|b| *b == b'\n')
            .map(|line| {
                let parts: Vec<&[u8]> = line.splitn(4, |b| *b == b'\t').collect();
                let number = |i: usize| std::str::from_utf8(parts[i]).expect("text").parse::<u64>().expect("number");
                ((number(0) as u32, number(1)), parts[3].to_vec())
            })
            .collect();
        assert_eq!(expected.bad, spoiled);
        assert!(expected.bad.len() > 1_000 && expected.late.len() > 50, "{}", expected.late.len());
        results.push((expected.lines, expected.late.into_keys().collect::<Vec<_>>()));
    }
    assert_eq!(results[0], results[1]);
    std::fs::remove_dir_all(out).expect("clean up");
}

#[test]
fn limit_programs_and_judge_agree() {
    let out = folder("limit");
    let formats = vec![Format::Csv, Format::Jsonl];
    let faults = Faults::NONE;
    let tables = vec![Table::Trades, Table::Orders, Table::Traders];
    generate(&GenOptions { rows: 30_000, out: out.clone(), seed: 4, formats, tables, faults }).expect("generate");
    for format in [Format::Csv, Format::Jsonl] {
        for workload in Workload::value_variants().iter().copied() {
            let input = out.join(trades_name(format, 0, 1));
            let result = out.join("result.csv");
            let beside = workload.beside().map(|table| out.join(table.file(format)));
            let counts = crate::limit::run(workload, format, &input, beside.as_deref(), &result).expect("limit");
            assert!(counts.rows_in == 30_000 && counts.rows_out > 0, "{counts:?}");
            let options = CheckOptions { workload, format, inputs: vec![input], beside, bound_ms: 0 };
            let expected = expect(&options).expect("expect");
            compare_output(&expected, workload, &result).expect("same");
            let mut bytes = std::fs::read(&result).expect("read");
            let last = bytes.len() - 2;
            bytes[last] ^= 1;
            std::fs::write(&result, bytes).expect("write");
            assert!(compare_output(&expected, workload, &result).is_err(), "one digit off has to be seen");
        }
    }
    std::fs::remove_dir_all(out).expect("clean up");
}

#[test]
fn dead_letters_are_compared_by_position_and_bytes() {
    let out = folder("dead");
    let file = out.join("dlq.jsonl");
    let letter = |offset: u64, record: &str| {
        format!(r#"{{"stage":"deserialize","code":"R0101","message":"m","partition":0,"offset":{offset},{record}}}"#)
    };
    let wanted = BTreeMap::from([((0, 3), b"a,b".to_vec()), ((0, 5), b"\xff".to_vec())]);
    let check = |lines: &[String]| {
        std::fs::write(&file, lines.join("\n")).expect("write");
        compare_dead(&wanted, &file)
    };
    let (text, binary) = (letter(3, r#""record":"a,b""#), letter(5, r#""record_base64":"/w==""#));
    check(&[text.clone(), binary.clone()]).expect("same");
    for wrong in [
        vec![text.clone()],
        vec![text.clone(), binary.clone(), text.clone()],
        vec![letter(3, r#""record":"a,c""#), binary.clone()],
        vec![text, binary, letter(6, r#""record":"x""#)],
    ] {
        assert!(check(&wrong).is_err(), "{wrong:?}");
    }
    std::fs::remove_dir_all(out).expect("clean up");
    assert!(compare_dead(&BTreeMap::new(), &file).is_ok());
}
