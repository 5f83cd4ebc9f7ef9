//! `ctedge watch`: a subscriber for people.

use super::say;
use crate::config::Config;
use crate::message::Topics;
use crate::publish;
use anyhow::Context;
use serde_json::Value;
use std::process::ExitCode;

/// What to subscribe to and how to print it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Topics below this device's root, e.g. `result/#`
    #[arg(long, default_value = "#", value_name = "FILTER")]
    filter: String,
    /// One JSON object a line: topic, retained and payload
    #[arg(long)]
    json: bool,
    /// Stop after this many results
    #[arg(long, value_name = "N")]
    results: Option<u32>,
}

/// Prints messages until it is stopped, or until enough results have come.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let topics = Topics::new(&config.mqtt.prefix, &config.mqtt.device)?;
    let filter = topics.below(&args.filter);
    let mut results = 0;
    let on_message = |topic: &str, payload: &[u8]| {
        let payload: Value = serde_json::from_slice(payload).unwrap_or(Value::Null);
        say(&if args.json {
            serde_json::json!({"topic": topic, "payload": payload}).to_string()
        } else {
            describe(topic, &payload)
        });
        results += u32::from(payload.get("outcome").is_some());
        args.results.is_none_or(|enough| results < enough)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(publish::watch(&config.mqtt, &filter, on_message)).context("watching the broker")?;
    Ok(ExitCode::SUCCESS)
}

/// A message in words: one line, and a table of flags for a result.
pub(crate) fn describe(topic: &str, payload: &Value) -> String {
    let text = |key: &str| payload.get(key).map(plain).unwrap_or_default();
    let short = topic.splitn(4, '/').nth(3).unwrap_or(topic);
    if payload.get("outcome").is_some() {
        return describe_result(short, payload);
    }
    let words = match short {
        "status" => format!("{} (session {})", text("state"), text("session")),
        "health" => text("overall"),
        "counters" => total(payload),
        "info" => format!("ctedge {}", text("version")),
        event if event.starts_with("event/") => format!("{} {}", text("series_key"), text("complete_by")),
        _ => payload.to_string(),
    };
    format!("{short:<24} {}", words.trim())
}

fn total(payload: &Value) -> String {
    let counts = payload.get("total").and_then(Value::as_object).into_iter().flatten();
    counts.map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(", ")
}

fn describe_result(short: &str, payload: &Value) -> String {
    let text = |key: &str| payload.get(key).map(plain).unwrap_or_default();
    let mut lines = vec![format!("{short:<24} {} revision {} of {}", text("id"), text("revision"), text("series_key"))];
    if let Some(reason) = payload.get("reason_code").filter(|reason| !reason.is_null()) {
        lines.push(format!("    {}: {}", plain(reason), text("reason_detail")));
    }
    let mut flags: Vec<&Value> = payload.get("flags").and_then(Value::as_array).into_iter().flatten().collect();
    flags.sort_by(|a, b| probability(b).total_cmp(&probability(a)));
    for flag in flags {
        let positive = flag.get("positive").and_then(Value::as_bool).unwrap_or_default();
        let code = flag.get("code").map(plain).unwrap_or_default();
        lines.push(format!("    {} {:5.3}  {code}", if positive { "■" } else { "·" }, probability(flag)));
    }
    if let Some(model) = payload.get("model").filter(|model| model.is_object()) {
        let of = |key: &str| model.get(key).map(plain).unwrap_or_default();
        let untrained = if of("trained") == "false" { ": RANDOM WEIGHTS, the flags mean nothing" } else { "" };
        lines.push(format!("    {} {} on {}{untrained}", of("name"), of("version"), of("ep")));
    }
    lines.push("    unverified draft for a physician, no diagnosis".to_owned());
    lines.join("\n")
}

fn probability(flag: &Value) -> f64 {
    flag.get("p").and_then(Value::as_f64).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_are_told_in_words() {
        let status = describe("ctedge/v1/box/status", &json!({"state": "online", "session": 3}));
        assert_eq!(status.split_whitespace().collect::<Vec<_>>(), ["status", "online", "(session", "3)"]);
        let result = json!({"id": "r1_a", "revision": 1, "series_key": "ek1_b", "outcome": "flagged",
            "flags": [{"code": "a", "p": 0.1, "positive": false}, {"code": "b", "p": 0.9, "positive": true}],
            "model": {"name": "m", "version": "1.0.0", "ep": "cpu", "trained": false}});
        let told = describe("ctedge/v1/box/result/flagged", &result);
        assert!(told.find("■ 0.900  b") < told.find("· 0.100  a"), "most probable first: {told}");
        assert!(told.contains("RANDOM WEIGHTS") && told.contains("no diagnosis"));
    }
}
