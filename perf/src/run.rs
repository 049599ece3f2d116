//! `perf run`: the engine and its limits on the same rows, alternating, each its own process.
//!
//! Per workload and format the programs take turns, small and large input, `--runs` times over; a noisy minute hits
//! all of them. A program's speed is marginal: the difference in rows over the difference in (median) time between the
//! two inputs, so start-up counts for nothing. The engine's output has to equal the limit program's before any figure
//! is printed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::blocks::for_each_block;
use crate::engine::{EngineRun, build_folder, cached_beside, cached_trades, find_velo_sql, trades_pattern};
use crate::generate::Format;
use crate::measure::{self, Place, Usage, mb};
use crate::mixed::Faults;
use crate::workload::{BAR_OF_LIMIT, GOAL_OF_LIMIT, Workload, bar_decode_over_tree};

/// What to measure.
#[derive(clap::Args)]
pub struct RunArgs {
    /// Workloads
    #[arg(long, value_enum, value_delimiter = ',', default_value = "w1,w2,w3,w4,w5,w6,w7")]
    workloads: Vec<Workload>,
    /// Formats
    #[arg(long, value_enum, value_delimiter = ',', default_value = "csv,jsonl")]
    formats: Vec<Format>,
    /// A small and a large input; speeds are those of the rows between them
    #[arg(long, value_delimiter = ',', default_value = "1000000,5000000")]
    rows: Vec<u64>,
    /// Shards of the engine; with more than one the same rows come in four files
    #[arg(long, default_value_t = 1)]
    shards: u32,
    /// Backend of the engine
    #[arg(long, default_value = "auto")]
    runtime: String,
    /// Turns of every program; medians count
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Which market
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The engine; default: beside this program
    #[arg(long)]
    velo_sql: Option<PathBuf>,
    /// Results are appended to this file as JSON lines
    #[arg(long, default_value = "perf/results.jsonl")]
    results: PathBuf,
}

/// Who takes a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Program {
    /// velo-sql
    Engine,
    /// serde_json into a tree, on the JSONL of the same rows
    Tree,
    /// The hand-written program
    Limit,
    /// The engine's decoder alone, all columns
    Decode,
}

const PROGRAMS: [Program; 4] = [Program::Engine, Program::Tree, Program::Limit, Program::Decode];

/// A program's figures between the two inputs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Speed {
    rows_per_s: f64,
    rows_per_cpu_s: f64,
    rss_bytes_max: u64,
    anon_bytes_small: u64,
    anon_bytes_large: u64,
}

/// One line of the results file.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    place: &'a Place,
    workload: &'static str,
    format: &'static str,
    rows: [u64; 2],
    shards: u32,
    runtime: &'a str,
    runs: u32,
    speeds: BTreeMap<Program, Speed>,
    over_tree: f64,
    of_limit: f64,
    decode_over_tree: f64,
}

struct Bench {
    args: RunArgs,
    velo_sql: PathBuf,
    own: PathBuf,
    cache: PathBuf,
    small: u64,
    large: u64,
}

/// Measures everything asked for, prints the table and appends the results.
pub fn run(args: RunArgs) -> Result<()> {
    let (Some(small), Some(large)) = (args.rows.iter().min().copied(), args.rows.iter().max().copied()) else {
        bail!("--rows takes two numbers");
    };
    if small == large || args.runs == 0 {
        bail!("--rows takes two different numbers and --runs at least 1");
    }
    let velo_sql = find_velo_sql(args.velo_sql.clone())?;
    let own = std::env::current_exe().context("where is this program")?;
    let bench = Bench { velo_sql, own, cache: build_folder()?.join("perf-data"), small, large, args };
    let place = Place::here();
    println!("{} · {} CPUs · {} · {}", place.cpu, place.cpus, place.commit, place.date);
    println!("marginal between {small} and {large} rows, {} shards, medians of {}", bench.args.shards, bench.args.runs);
    println!("{HEADER}");
    for format in &bench.args.formats {
        for workload in &bench.args.workloads {
            let speeds = bench.measure(*workload, *format)?;
            bench.report(&place, *workload, *format, &speeds)?;
        }
    }
    Ok(())
}

const HEADER: &str = "workload format    k rows/s  k rows/CPU-s     x tree  (bar)   of limit  (bar, goal)   \
                      RSS MB   RssAnon MB small/large";

impl Bench {
    fn measure(&self, workload: Workload, format: Format) -> Result<BTreeMap<Program, Speed>> {
        let mut samples: BTreeMap<(Program, u64), Vec<Usage>> = BTreeMap::new();
        for turn in 0..self.args.runs {
            for rows in [self.small, self.large] {
                for program in PROGRAMS {
                    let usage = self.turn(program, workload, format, rows)?;
                    samples.entry((program, rows)).or_default().push(usage);
                }
                if turn == 0 {
                    self.same_results(workload)?;
                }
            }
        }
        let speed = |program| {
            let of = |rows| samples.get(&(program, rows)).map_or(&[][..], Vec::as_slice);
            Ok((program, speed(self.large - self.small, of(self.small), of(self.large))?))
        };
        PROGRAMS.into_iter().map(speed).collect()
    }

    fn folder(&self, program: Program) -> PathBuf {
        self.cache.join(match program {
            Program::Engine => "run-engine",
            Program::Tree => "run-tree",
            Program::Limit => "run-limit",
            Program::Decode => "run-decode",
        })
    }

    fn turn(&self, program: Program, workload: Workload, format: Format, rows: u64) -> Result<Usage> {
        let folder = self.folder(program);
        std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let plain = |format| -> Result<PathBuf> {
            let data = cached_trades(&self.cache, self.args.seed, rows, &[format], &Faults::NONE)?;
            Ok(trades_pattern(&data, format, 1))
        };
        let mut command = match program {
            Program::Engine => self.engine(workload, format, rows)?.command()?,
            Program::Tree => {
                let mut command = Command::new(&self.own);
                command.arg("tree").arg(plain(Format::Jsonl)?);
                command
            }
            Program::Decode => {
                let mut command = Command::new(&self.own);
                command.arg("decode").arg(plain(format)?);
                command
            }
            Program::Limit => {
                let mut command = Command::new(&self.own);
                command.args(["limit", workload.name()]).arg(plain(format)?);
                command.arg("--out").arg(folder.join("result.csv"));
                if let Some(beside) = self.beside(workload, format, rows)? {
                    command.arg("--beside").arg(beside);
                }
                command
            }
        };
        measure::run(&mut command, &folder.join("log"))
    }

    fn engine(&self, workload: Workload, format: Format, rows: u64) -> Result<EngineRun<'_>> {
        let files = if self.args.shards > 1 { 4 } else { 1 };
        let faults = Faults { files, ..Faults::NONE };
        let data = cached_trades(&self.cache, self.args.seed, rows, &[format], &faults)?;
        Ok(EngineRun {
            velo_sql: &self.velo_sql,
            workload,
            format,
            trades: trades_pattern(&data, format, files),
            beside: self.beside(workload, format, rows)?,
            folder: self.folder(Program::Engine),
            bound_ms: 0,
            shards: self.args.shards,
            runtime: &self.args.runtime,
        })
    }

    fn beside(&self, workload: Workload, format: Format, rows: u64) -> Result<Option<PathBuf>> {
        cached_beside(&self.cache, self.args.seed, rows, format, workload)
    }

    /// A fast wrong result is no result.
    fn same_results(&self, workload: Workload) -> Result<()> {
        let engine = self.folder(Program::Engine).join(format!("{}.csv", workload.name()));
        let limit = self.folder(Program::Limit).join("result.csv");
        if digest(&engine)? != digest(&limit)? {
            bail!("{} and {} differ: run `perf check` on the first", engine.display(), limit.display());
        }
        Ok(())
    }

    fn report(
        &self,
        place: &Place,
        workload: Workload,
        format: Format,
        speeds: &BTreeMap<Program, Speed>,
    ) -> Result<()> {
        let cpu = |program| speeds.get(&program).map_or(f64::NAN, |s: &Speed| s.rows_per_cpu_s);
        let over_tree = cpu(Program::Engine) / cpu(Program::Tree);
        let of_limit = cpu(Program::Engine) / cpu(Program::Limit);
        let decode_over_tree = cpu(Program::Decode) / cpu(Program::Tree);
        for (program, s) in speeds {
            let name = match program {
                Program::Engine => format!("{:8} {:6}", workload.name(), format.name()),
                Program::Tree => format!("{:15}", "  tree"),
                Program::Limit => format!("{:15}", "  limit"),
                Program::Decode => format!("{:15}", "  decode only"),
            };
            print!("{name} {:>11.0} {:>13.0}", s.rows_per_s / 1e3, s.rows_per_cpu_s / 1e3);
            if *program == Program::Decode {
                let bar = bar_decode_over_tree(format);
                print!(
                    " {decode_over_tree:>10.2}  ({bar:.1}) {:>9.2} of it by the query",
                    cpu(Program::Engine) / s.rows_per_cpu_s
                );
            }
            if *program == Program::Engine {
                let bar = workload.bar_over_tree(format);
                print!(" {over_tree:>10.2}  ({bar:.1}) {of_limit:>9.2}  ({BAR_OF_LIMIT}, {GOAL_OF_LIMIT})   ");
                print!("{:>8.1}", mb(s.rss_bytes_max));
                print!("   {:.1} / {:.1}", mb(s.anon_bytes_small), mb(s.anon_bytes_large));
                print!("{}", if over_tree < bar { "   BELOW THE BAR" } else { "" });
            }
            println!();
        }
        let line = Line {
            place,
            workload: workload.name(),
            format: format.name(),
            rows: [self.small, self.large],
            shards: self.args.shards,
            runtime: &self.args.runtime,
            runs: self.args.runs,
            speeds: speeds.clone(),
            over_tree,
            of_limit,
            decode_over_tree,
        };
        measure::append(&self.args.results, &line)
    }
}

/// Marginal figures of one program.
fn speed(rows_between: u64, small: &[Usage], large: &[Usage]) -> Result<Speed> {
    let between = |what: fn(&Usage) -> f64| median(large, what) - median(small, what);
    let (wall_s, cpu_s) = (between(|u| u.wall_s), between(|u| u.cpu_s));
    if wall_s <= 0.0 || cpu_s <= 0.0 {
        bail!("the larger input took no longer than the smaller one: take more rows");
    }
    let most = |of: &[Usage], what: fn(&Usage) -> u64| of.iter().map(what).max().unwrap_or(0);
    Ok(Speed {
        rows_per_s: rows_between as f64 / wall_s,
        rows_per_cpu_s: rows_between as f64 / cpu_s,
        rss_bytes_max: most(large, |u| u.rss_bytes_max),
        anon_bytes_small: most(small, |u| u.anon_bytes_max),
        anon_bytes_large: most(large, |u| u.anon_bytes_max),
    })
}

fn median(of: &[Usage], what: fn(&Usage) -> f64) -> f64 {
    measure::median(of.iter().map(what).collect())
}

/// Lines of a file and the wrapping sum of their FNV-1a hashes: equal for equal sets of lines in any order.
fn digest(path: &Path) -> Result<(u64, u64)> {
    let (mut lines, mut sum) = (0u64, 0u64);
    for_each_block(path, |block| {
        for line in block.strip_suffix(b"\n").unwrap_or(block).split(|b| *b == b'\n') {
            let hash = |h: u64, b: &u8| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
            sum = sum.wrapping_add(line.iter().fold(0xcbf2_9ce4_8422_2325, hash));
            lines += 1;
        }
        Ok(())
    })?;
    Ok((lines, sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(wall_s: f64, cpu_s: f64) -> Usage {
        Usage { wall_s, cpu_s, rss_bytes_max: 7, anon_bytes_max: 5 }
    }

    #[test]
    fn speed_is_marginal_and_of_medians() {
        let small = [usage(1.0, 0.5), usage(9.0, 9.0), usage(1.1, 0.6)];
        let large = [usage(3.1, 1.6), usage(3.0, 1.5), usage(3.2, 1.7)];
        let speed = speed(4_000_000, &small, &large).expect("grows");
        assert!((speed.rows_per_s - 2e6).abs() < 1.0 && (speed.rows_per_cpu_s - 4e6).abs() < 1.0, "{speed:?}");
        assert!(super::speed(1, &large, &small).is_err());
    }

    #[test]
    fn a_digest_does_not_depend_on_the_order_of_lines() {
        let file = |name: &str, text: &str| {
            let path = std::env::temp_dir().join(format!("velostream-perf-digest-{name}-{}", std::process::id()));
            std::fs::write(&path, text).expect("write");
            let digest = digest(&path).expect("read");
            std::fs::remove_file(path).expect("clean up");
            digest
        };
        assert_eq!(file("a", "x\ny\nz\n"), file("b", "z\nx\ny\n"));
        assert_ne!(file("c", "x\ny\nz\n"), file("d", "x\ny\ny\n"));
    }
}
