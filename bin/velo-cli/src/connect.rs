//! From the command line, a settings file and the environment to client settings, each with the place it came from.

use std::path::Path;

use anyhow::{Context, Result, bail};
use velostream_types::topic::Client;

use crate::args::Connection;

const BROKERS: &str = "bootstrap.servers";
const BROKERS_VARIABLE: &str = "VELOSTREAM_KAFKA_BROKERS";
const DEFAULT_BROKERS: &str = "localhost:9092";

/// The settings; later ones win: default, environment, --brokers, --config, --property.
pub fn client(args: &Connection) -> Result<Client> {
    let mut client = Client::default();
    set(&mut client, BROKERS, DEFAULT_BROKERS, "the default");
    if let Ok(brokers) = std::env::var(BROKERS_VARIABLE)
        && !brokers.trim().is_empty()
    {
        set(&mut client, BROKERS, &brokers, BROKERS_VARIABLE);
    }
    if let Some(brokers) = &args.brokers {
        set(&mut client, BROKERS, brokers, "--brokers");
    }
    if let Some(path) = &args.config {
        read(path, &mut client)?;
    }
    for (key, value) in &args.properties {
        set(&mut client, key, value, "--property");
    }
    if !client.settings.contains_key("client.id") {
        set(&mut client, "client.id", "velo-cli", "the default");
    }
    Ok(client)
}

fn set(client: &mut Client, key: &str, value: &str, origin: &str) {
    // Its second name would stand beside the default.
    let key = if key == "metadata.broker.list" { BROKERS } else { key };
    client.settings.insert(key.to_owned(), value.trim().to_owned());
    client.origins.insert(key.to_owned(), origin.to_owned());
}

/// Reads a file as Java's clients have it: KEY=VALUE lines, `#` and `!` begin comments, a `\` joins the next line.
fn read(path: &Path, client: &mut Client) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut joined = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(part) = line.trim_start().strip_suffix('\\') {
            joined.push_str(part);
            continue;
        }
        joined.push_str(line.trim_start());
        let whole = std::mem::take(&mut joined);
        if whole.is_empty() || whole.starts_with(['#', '!']) {
            continue;
        }
        let origin = format!("{}:{number}", path.display());
        let Some((key, value)) = whole.split_once('=') else {
            bail!("{origin}: expected KEY=VALUE");
        };
        set(client, key.trim(), value, &origin);
    }
    Ok(())
}
