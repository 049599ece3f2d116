//! How `velo-sql` is started on a workload, for measuring and for checking alike.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::generate::{Format, GenOptions, Table, generate, trades_name};
use crate::mixed::Faults;
use crate::workload::Workload;

/// One run of a workload.
#[derive(Clone, Debug)]
pub struct EngineRun<'a> {
    /// The binary.
    pub velo_sql: &'a Path,
    /// The query.
    pub workload: Workload,
    /// Format of the input.
    pub format: Format,
    /// Path or glob of the trades.
    pub trades: PathBuf,
    /// File of what the query reads beside them.
    pub beside: Option<PathBuf>,
    /// Folder for SQL, output and dead letters; emptied before.
    pub folder: PathBuf,
    /// Watermark bound, ms.
    pub bound_ms: u64,
    /// `--shards`
    pub shards: u32,
    /// `--runtime`
    pub runtime: &'a str,
}

impl EngineRun<'_> {
    /// The command, with its SQL written and nothing left of earlier runs.
    pub fn command(&self) -> Result<Command> {
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).with_context(|| format!("empty {}", self.folder.display()))?;
        }
        std::fs::create_dir_all(&self.folder).with_context(|| format!("make {}", self.folder.display()))?;
        let app = self.folder.join(format!("{}.sql", self.workload.name()));
        std::fs::write(&app, self.workload.sql()).with_context(|| format!("write {}", app.display()))?;
        let mut command = Command::new(self.velo_sql);
        command
            .arg("run")
            .arg(&app)
            .args(["--shards", &self.shards.to_string(), "--runtime", self.runtime])
            .env("TRADES", &self.trades)
            .env("FORMAT", self.format.name())
            .env("BOUND", format!("{}ms", self.bound_ms))
            .env("OUT", self.output());
        if let (Some(table), Some(file)) = (self.workload.beside(), &self.beside) {
            command.env(table.name().to_ascii_uppercase(), file);
        }
        Ok(command)
    }

    /// The CSV file the run writes.
    pub fn output(&self) -> PathBuf {
        self.folder.join(format!("{}.csv", self.workload.name()))
    }

    /// Records that could not be read.
    pub fn bad_letters(&self) -> PathBuf {
        self.folder.join("trades-dlq.jsonl")
    }

    /// Rows that came too late.
    pub fn late_letters(&self) -> PathBuf {
        self.folder.join(format!("{}-dlq.jsonl", self.workload.name()))
    }
}

/// The given binary, or the one beside this program.
pub fn find_velo_sql(given: Option<PathBuf>) -> Result<PathBuf> {
    let own = std::env::current_exe().context("where is this program")?;
    let path = given.unwrap_or_else(|| own.with_file_name("velo-sql"));
    if !path.is_file() {
        bail!("{} is missing; build it with `cargo build --release --bin velo-sql` or pass --velo-sql", path.display());
    }
    path.canonicalize().with_context(|| format!("resolve {}", path.display()))
}

/// The build folder this program lies in: data is cached there and goes with `cargo clean`.
pub fn build_folder() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where is this program")?;
    own.ancestors().nth(2).map(Path::to_owned).context("this program lies in no build folder")
}

/// Trades of a variant, generated once per seed, size and variant. Answers the folder.
pub fn cached_trades(cache: &Path, seed: u64, rows: u64, formats: &[Format], faults: &Faults) -> Result<PathBuf> {
    let Faults { files, disorder_ms, bad_per_mille, widen_at } = faults;
    let out = cache.join(format!("trades-s{seed}-n{rows}-f{files}-d{disorder_ms}-b{bad_per_mille}-w{widen_at}"));
    for format in formats {
        if !out.join(trades_name(*format, files - 1, *files)).is_file() {
            eprintln!("writing {rows} trades as {} to {}", format.name(), out.display());
            let (formats, tables) = (vec![*format], vec![Table::Trades]);
            generate(&GenOptions { rows, out: out.clone(), seed, formats, tables, faults: faults.clone() })?;
        }
    }
    Ok(out)
}

/// What a workload reads beside the trades of so many rows, generated once; `None` where it reads nothing else.
pub fn cached_beside(
    cache: &Path,
    seed: u64,
    rows: u64,
    format: Format,
    workload: Workload,
) -> Result<Option<PathBuf>> {
    let Some(table) = workload.beside() else { return Ok(None) };
    let out = match table {
        Table::Traders => cache.join(format!("traders-s{seed}")),
        Table::Trades | Table::Orders => cache.join(format!("{}-s{seed}-n{rows}", table.name())),
    };
    let file = out.join(table.file(format));
    if !file.is_file() {
        eprintln!("writing {} as {} to {}", table.name(), format.name(), out.display());
        let (formats, tables) = (vec![format], vec![table]);
        generate(&GenOptions { rows, out, seed, formats, tables, faults: Faults::NONE })?;
    }
    Ok(Some(file))
}

/// Path or glob of the trades in a folder of [`cached_trades`].
pub fn trades_pattern(folder: &Path, format: Format, files: usize) -> PathBuf {
    folder.join(if files == 1 { trades_name(format, 0, 1) } else { format!("trades-*.{}", format.name()) })
}
