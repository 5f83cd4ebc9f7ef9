//! `ctedge status`: how the daemon of this device is.

use super::say;
use crate::config::Config;
use crate::{pipeline, web};
use serde_json::Value;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// How to print it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 when all is well, 1 when something is not or no daemon answers. With --monitor, as \
                        Nagios and its kin want it: 0 ok, 1 warming or degraded, 2 failed or no answer, 3 unknown."
)]
pub(crate) struct Args {
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Again every second until it is interrupted
    #[arg(long, conflicts_with = "monitor")]
    watch: bool,
    /// One line and an exit status for a monitoring system
    #[arg(long, conflicts_with = "json")]
    monitor: bool,
}

/// What was found out, and how.
struct Found {
    /// The overview; `Null` where not even the ledger can be read.
    overview: Value,
    /// Why the daemon itself was not heard, if it was not.
    silence: Option<Silence>,
}

/// Why a daemon is not heard.
enum Silence {
    /// It is told not to listen.
    Off,
    /// It should answer and does not.
    NoAnswer(String),
}

const REFRESH: Duration = Duration::from_secs(1);

/// Asks the daemon, or where it does not answer its ledger, and prints what comes.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    loop {
        let found = runtime.block_on(find(config));
        if args.monitor {
            let (status, line) = monitored(&found);
            say(&line);
            return Ok(ExitCode::from(status));
        }
        let text = if args.json { found.overview.to_string() } else { screen(&found) };
        if args.watch && !args.json && std::io::stdout().is_terminal() {
            // Clears the screen and begins at its top.
            say(&format!("\u{1b}[2J\u{1b}[H{text}"));
        } else {
            say(&text);
        }
        if !args.watch {
            return Ok(if word(&found) == "ok" { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        std::thread::sleep(REFRESH);
    }
}

async fn find(config: &Config) -> Found {
    let silence = match config.web.listen.address() {
        None => Silence::Off,
        Some(address) => match web::fetch(address, "/status").await {
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(overview) => return Found { overview, silence: None },
                Err(error) => Silence::NoAnswer(format!("the answer of {address} is not understood: {error}")),
            },
            Err(error) => Silence::NoAnswer(error.to_string()),
        },
    };
    Found { overview: pipeline::of_ledger(config).unwrap_or_default(), silence: Some(silence) }
}

/// Overall health; empty where nobody said.
fn word(found: &Found) -> &str {
    found.overview.get("overall").and_then(Value::as_str).unwrap_or_default()
}

fn reason(silence: &Silence) -> String {
    match silence {
        Silence::Off => "web.listen is off, so that the daemon cannot be asked".to_owned(),
        Silence::NoAnswer(reason) => reason.clone(),
    }
}

/// Exit status and line of a plugin for monitoring systems.
fn monitored(found: &Found) -> (u8, String) {
    let (status, name) = match (word(found), &found.silence) {
        ("ok", _) => (0, "OK"),
        ("warming" | "degraded", _) => (1, "WARNING"),
        ("failed", _) | (_, Some(Silence::NoAnswer(_))) => (2, "CRITICAL"),
        _ => (3, "UNKNOWN"),
    };
    let said = found.silence.as_ref().map_or_else(
        || {
            let wrong: Vec<String> = checks(found).filter(|(_, state, _)| state != "ok").map(told).collect();
            if wrong.is_empty() { word(found).to_owned() } else { wrong.join("; ") }
        },
        reason,
    );
    let number = |path: &str| found.overview.pointer(path).map_or_else(|| "U".to_owned(), plain);
    let numbers = format!(
        "received={}c pending={} failed={}c outbox={}",
        number("/counters/total/received"),
        number("/counters/total/pending"),
        number("/counters/total/failed"),
        number("/outbox/messages")
    );
    // What follows the bar is for machines.
    (status, format!("CTEDGE {name} - {} | {numbers}", said.replace('|', "/")))
}

/// One screen for people.
fn screen(found: &Found) -> String {
    let of = |path: &str| found.overview.pointer(path).filter(|value| !value.is_null()).map(plain);
    let text = |path: &str| of(path).unwrap_or_default();
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push(format!("{name:<9} {text}"));
    match &found.silence {
        None => line("ctedge", format!("{} ({} {})", word(found), text("/device"), text("/version"))),
        Some(silence) => line("ctedge", format!("not heard: {}", reason(silence))),
    }
    for check in checks(found) {
        line("", told(check));
    }
    for span in ["total", "today"] {
        let counts = found.overview.pointer(&format!("/counters/{span}")).and_then(Value::as_object);
        if let Some(counts) = counts {
            let counts = counts.iter().map(|(name, value)| format!("{name} {}", plain(value)));
            line(span, counts.collect::<Vec<_>>().join(", "));
        }
    }
    if let (Some(filling), Some(complete)) = (of("/queue/filling"), of("/queue/complete")) {
        line("queue", format!("{filling} filling, {complete} complete"));
    }
    if let (Some(messages), Some(oldest)) = (of("/outbox/messages"), of("/outbox/oldest_s")) {
        line("outbox", format!("{messages} messages, the oldest for {oldest} s"));
    }
    if let Some(name) = of("/model/name") {
        let untrained = if of("/model/trained").as_deref() == Some("false") { ", RANDOM WEIGHTS" } else { "" };
        line("model", format!("{name} {} on {}{untrained}", text("/model/version"), text("/model/provider")));
    }
    if let Some(outcome) = of("/last/outcome") {
        line("last", format!("{outcome} at {}", text("/last/at")));
    }
    lines.join("\n")
}

/// Id, state and detail of each check.
fn checks(found: &Found) -> impl Iterator<Item = (String, String, String)> {
    let all = found.overview.get("checks").and_then(Value::as_array).into_iter().flatten();
    let of = |check: &Value, key: &str| check.get(key).map(plain).unwrap_or_default();
    all.map(move |check| (of(check, "id"), of(check, "state"), of(check, "detail")))
}

fn told((id, state, detail): (String, String, String)) -> String {
    if detail.is_empty() { format!("{id} {state}") } else { format!("{id} {state}: {detail}") }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn heard(overall: &str) -> Found {
        let checks = json!([{"id": "model", "state": "ok", "detail": ""},
            {"id": "broker", "state": overall, "detail": "a | b"}]);
        let overview = json!({"overall": overall, "device": "box", "version": "1.0.0", "checks": checks,
            "counters": {"total": {"received": 3, "pending": 1, "failed": 0}}, "outbox": {"messages": 2, "oldest_s": 9},
            "queue": {"filling": 1, "complete": 0}, "last": {"outcome": "clear", "at": "2026"}, "model": null});
        Found { overview, silence: None }
    }

    #[test]
    fn monitors_get_a_line_and_a_status() {
        let numbers = "received=3c pending=1 failed=0c outbox=2";
        assert_eq!(monitored(&heard("ok")), (0, format!("CTEDGE OK - ok | {numbers}")));
        assert_eq!(monitored(&heard("degraded")).1, format!("CTEDGE WARNING - broker degraded: a / b | {numbers}"));
        assert_eq!([monitored(&heard("warming")).0, monitored(&heard("failed")).0], [1, 2]);
        let silent = |silence| monitored(&Found { overview: Value::Null, silence: Some(silence) });
        assert_eq!(silent(Silence::NoAnswer("x".to_owned())).0, 2);
        let unknown = (3, "received=Uc pending=U failed=Uc outbox=U");
        let (status, line) = silent(Silence::Off);
        assert_eq!((status, line.split(" | ").nth(1).unwrap()), unknown);
    }

    #[test]
    fn people_get_a_screen() {
        let told = screen(&heard("degraded"));
        for line in [
            "ctedge    degraded (box 1.0.0)",
            "          broker degraded: a | b",
            "queue     1 filling, 0 complete",
            "outbox    2 messages, the oldest for 9 s",
            "last      clear at 2026",
        ] {
            assert!(told.lines().any(|have| have == line), "{line:?} is missing:\n{told}");
        }
        for count in ["received 3", "pending 1", "failed 0"] {
            assert!(told.contains(count), "{count:?} is missing:\n{told}");
        }
        assert!(!told.contains("model  "), "no model is loaded:\n{told}");
    }
}
