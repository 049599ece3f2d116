//! Statements about a running server: jobs, and what it holds. They are parsed in full, so that their mistakes are told,
//! and then answered with "needs a server": an app that is run by itself has none.

use velostream_types::Span;

use super::cursor::{Failed, Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;

/// First words of these statements.
pub const WORDS: [&str; 9] = ["SHOW", "LIST", "DESCRIBE", "START", "STOP", "PAUSE", "RESUME", "DEPLOY", "ROLLBACK"];

/// What SHOW lists.
const LISTS: [&str; 7] = ["STREAMS", "TABLES", "TOPICS", "FUNCTIONS", "JOBS", "QUERIES", "VERSIONS"];
/// How DEPLOY replaces what runs.
pub const STRATEGIES: [&str; 4] = ["BLUE_GREEN", "CANARY", "ROLLING", "REPLACE"];

impl Parser<'_> {
    /// A statement that one of [`WORDS`] begins; never one to run.
    pub fn server_statement(&mut self) -> Failed {
        let start = self.span();
        match self.server_body() {
            Err(failed) => failed,
            Ok(instead) if matches!(self.peek(), Tok::End | Tok::Sym(Sym::Semicolon)) => {
                let span = start.to(self.last_span());
                let message = format!(
                    "{} needs a server",
                    self.slice(span).to_uppercase().split(' ').take(2).collect::<Vec<_>>().join(" ")
                );
                self.fail(Diagnostic::error("E0112", span, message).hint(instead))
            }
            Ok(_) => self.expected("\";\" or the end of the statement"),
        }
    }

    /// Takes the statement; answers what to do without a server.
    fn server_body(&mut self) -> Parse<&'static str> {
        let word = self.word(0).unwrap_or_default().to_uppercase();
        self.bump();
        match word.as_str() {
            "SHOW" | "LIST" => self.show(),
            "DESCRIBE" => {
                self.name("the object to describe")?;
                Ok("velo-sql explain shows every object with its columns")
            }
            "START" => self.start_job(),
            "DEPLOY" => self.deploy(),
            "ROLLBACK" => {
                self.job()?;
                if self.take_word("VERSION") {
                    self.text("the version, in quotes")?;
                }
                Ok("run the earlier version of the app's file")
            }
            _ => {
                self.job()?;
                if word == "STOP" {
                    self.take_word("FORCE");
                }
                Ok("signals stop a run: TERM ends it, and the next one goes on where it was")
            }
        }
    }

    fn show(&mut self) -> Parse<&'static str> {
        if self.is_any(0, &["SCHEMA", "PARTITIONS"]) {
            self.bump();
            self.name("an object")?;
            return Ok("velo-sql explain shows every object with its columns");
        }
        if self.take_word("PROPERTIES") {
            if !self.is_any(0, &["STREAM", "TABLE"]) {
                return Err(self.expected("STREAM or TABLE and its name"));
            }
            self.bump();
            self.name("an object")?;
            return Ok("velo-sql explain shows where every property comes from");
        }
        if self.is_any(0, &["STATUS", "METRICS"]) {
            self.bump();
            if self.is_name(0) {
                self.name("a job")?;
            }
            return Ok("a run tells its figures while it goes on and at its end");
        }
        let functions = self.is_word("FUNCTIONS");
        if !self.is_any(0, &LISTS) {
            return Err(
                self.expected("what to show: STREAMS, TABLES, TOPICS, FUNCTIONS, JOBS, SCHEMA name, PROPERTIES …")
            );
        }
        let of_a_job = self.is_word("VERSIONS");
        self.bump();
        if of_a_job {
            self.name("a job")?;
        }
        if self.take_word("LIKE") || matches!(self.peek(), Tok::Text(_)) {
            self.text("a pattern, in quotes")?;
        }
        Ok(if functions { "velo-sql functions lists them" } else { "velo-sql explain shows the objects of an app" })
    }

    /// JOB or QUERY, and its name.
    fn job(&mut self) -> Parse<()> {
        if !self.take_word("JOB") && !self.take_word("QUERY") {
            return Err(self.expected("JOB and its name"));
        }
        self.name("the job's name").map(|_| ())
    }

    fn text(&mut self, what: &str) -> Parse<String> {
        let Tok::Text(text) = self.peek() else { return Err(self.expected(what)) };
        self.bump();
        Ok(text.to_string())
    }

    /// `AS` and what the job runs, with or without parentheses.
    fn job_query(&mut self) -> Parse<()> {
        self.expect_word("AS")?;
        let wrapped = self.take(Sym::LParen);
        if self.is_word("CREATE") {
            self.create(&mut Vec::new())?;
        } else {
            self.query(false)?;
        }
        if wrapped {
            self.expect(Sym::RParen, "\")\" behind the query")?;
        }
        if self.is_word("WITH") {
            self.with_clause()?;
        }
        Ok(())
    }

    fn start_job(&mut self) -> Parse<&'static str> {
        self.job()?;
        self.job_query()?;
        Ok("write the query alone: velo-sql run starts it")
    }

    fn deploy(&mut self) -> Parse<&'static str> {
        self.job()?;
        self.expect_word("VERSION")?;
        self.text("the version, in quotes")?;
        self.job_query()?;
        if self.take_word("STRATEGY") {
            let span = self.span();
            if !self.is_any(0, &STRATEGIES) {
                return Err(self.expected("BLUE_GREEN, CANARY(percent), ROLLING or REPLACE"));
            }
            let canary = self.is_word("CANARY");
            self.bump();
            if canary {
                self.percent(span)?;
            }
        }
        Ok("write the query alone: velo-sql run starts it")
    }

    fn percent(&mut self, span: Span) -> Parse<()> {
        self.expect(Sym::LParen, "( and the percentage")?;
        let Tok::Number(digits) = self.peek() else { return Err(self.expected("a percentage")) };
        if !digits.parse::<f64>().is_ok_and(|percent| (0.0..=100.0).contains(&percent)) {
            let message = format!("CANARY({digits}) is no percentage");
            return Err(self.fail(Diagnostic::error("E0111", span.to(self.span()), message).hint("write 0 to 100")));
        }
        self.bump();
        self.expect(Sym::RParen, "\")\"")
    }
}
