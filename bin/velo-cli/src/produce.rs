//! `velo-cli topic produce`: a record per line of standard input or a file, bytes as they are.

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};

use anyhow::{Context, Result, bail};
use serde_json::json;
use velostream_kafka::admin::{Admin, Outgoing};

use crate::args::{Output, ProduceArgs};
use crate::show;

/// Writes the lines and waits for all acknowledgements.
pub fn produce(admin: &Admin, args: &ProduceArgs, output: Output) -> Result<()> {
    let (name, mut input): (String, Box<dyn BufRead>) = match &args.file {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            (path.display().to_string(), Box::new(BufReader::new(file)))
        }
        None => ("standard input".to_owned(), Box::new(stdin().lock())),
    };
    let partitions = admin.topic(&args.topic)?.partitions.len();
    if let Some(partition) = args.partition.filter(|partition| *partition as usize >= partitions) {
        bail!("topic \"{}\" has no partition {partition}: they are 0 to {}", args.topic, partitions.saturating_sub(1));
    }
    let writer = admin.write(&args.topic)?;
    let headers: Vec<(String, Option<Vec<u8>>)> =
        args.headers.iter().map(|(name, value)| (name.clone(), Some(value.clone().into_bytes()))).collect();
    let (mut line, mut number) = (Vec::new(), 0u64);
    loop {
        line.clear();
        number += 1;
        let read = input.read_until(b'\n', &mut line).with_context(|| format!("cannot read {name}"))?;
        if read == 0 {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let Some((key, value)) = split(&line, args.key_separator.as_deref()) else {
            let written = writer.finish()?;
            bail!(
                "{name}, line {number}: no separator \"{}\" between key and value; what stood before was written ({})",
                args.key_separator.as_deref().unwrap_or_default(),
                show::plural(written, "record")
            );
        };
        let is_null = args.null.as_ref().is_some_and(|null| null.as_bytes() == value);
        writer.send(&Outgoing {
            key,
            value: (!is_null).then_some(value),
            headers: &headers,
            partition: args.partition,
            timestamp_ms: args.timestamp,
        })?;
    }
    let written = writer.finish()?;
    match output {
        Output::Json => show::print_json(&json!({ "topic": args.topic, "records": written }))?,
        Output::Text => show::print(&format!("wrote {} to {}\n", show::plural(written, "record"), args.topic))?,
    };
    Ok(())
}

/// Key and value of a line; `None` when there should be a separator and is none.
fn split<'a>(line: &'a [u8], separator: Option<&str>) -> Option<(Option<&'a [u8]>, &'a [u8])> {
    let Some(separator) = separator.map(str::as_bytes) else { return Some((None, line)) };
    let at = line.windows(separator.len()).position(|part| part == separator)?;
    Some((Some(&line[..at]), &line[at + separator.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_counts() {
        let check = |line: &'static [u8], separator, expect| assert_eq!(split(line, separator), expect);
        check(b"a:b:c", Some(":"), Some((Some(&b"a"[..]), &b"b:c"[..])));
        check(b"a:b", None, Some((None, &b"a:b"[..])));
        check(b":", Some(":"), Some((Some(&b""[..]), &b""[..])));
        check(b"a => b", Some(" => "), Some((Some(&b"a"[..]), &b"b"[..])));
        check(b"ab", Some(":"), None);
    }
}
