//! `ctedge send`: commands the device over the broker, as any other operator's software would.

use super::{complain, say};
use crate::config::Config;
use crate::floor::{clock, durable};
use crate::message::{CommandRequest, Topics, Writer};
use crate::publish::{self, Asked, Heard, Patience};
use anyhow::{Context, ensure};
use serde_json::{Map, Value};
use std::process::ExitCode;
use std::time::Duration;

/// What to ask for.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 when the command succeeded (without --wait: was accepted), 1 when it failed, was \
                        rejected, expired or was cancelled, 2 when no answer came. Other credentials than the device's own are given by \
                        --set mqtt.username=NAME --set mqtt.password_file=FILE."
)]
pub(crate) struct Args {
    /// reprocess, replay, pause, resume, selftest, diag, restart, `model_activate`, `model_rollback` or cancel
    command: String,
    /// A parameter; the value is JSON, or else a text. May be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    param: Vec<String>,
    /// Seconds after which the command is not to be begun any more
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400), value_name = "N")]
    expires_s: u32,
    /// Only asks what would be done
    #[arg(long)]
    dry_run: bool,
    /// Who asks
    #[arg(long, default_value = "ctedge-send", value_name = "NAME")]
    issuer: String,
    /// Id of the command [default: a random one]. The same id again only asks what became of it
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Waits until the command has ended
    #[arg(long)]
    wait: bool,
    /// One JSON object a line: each state as it comes
    #[arg(long)]
    json: bool,
}

/// Time for the first answer.
const FIRST: Duration = Duration::from_secs(10);
/// Least time for the end of a command.
const END: Duration = Duration::from_mins(10);
/// Exit status when nothing was heard.
const SILENCE: u8 = 2;

/// Sends the command and follows its states.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let topics = Topics::new(&config.mqtt.prefix, &config.mqtt.device)?;
    let id = match &args.id {
        Some(id) => id.clone(),
        None => durable::random_name().context("a random id")?,
    };
    let below = format!("cmd/{}/{id}", args.command);
    ensure!(
        crate::command::address(&format!("{below}/request")).is_some(),
        "a command is of a-z and _, an id 1 to 64 of letters, digits, - and _"
    );
    let now_ms = clock::now_ms();
    let request = CommandRequest {
        id: &id,
        issued_at: clock::rfc3339(now_ms),
        expires_at: clock::rfc3339(now_ms.saturating_add(i64::from(args.expires_s) * 1000)),
        issuer: &args.issuer,
        params: Some(Value::Object(params(&args.param)?)),
        dry_run: args.dry_run.then_some(true),
    };
    let filter = topics.below(&below);
    let message = Writer::new(topics, &config.mqtt.device).request(&format!("{below}/request"), &request);
    let mut last = String::new();
    let on_message = |heard: &Heard| {
        let state: Value = serde_json::from_slice(&heard.payload).unwrap_or_default();
        state.get("state").and_then(Value::as_str).unwrap_or_default().clone_into(&mut last);
        say(&if args.json { state.to_string() } else { describe(&state) });
        matches!(last.as_str(), "accepted" | "running") && args.wait
    };
    let patience = Patience { first: FIRST, all: END.max(Duration::from_secs(args.expires_s.into())) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(publish::ask(&config.mqtt, &filter, message, patience, on_message));
    Ok(match asked.context("asking the device over the broker")? {
        Asked::Answered if matches!(last.as_str(), "accepted" | "running" | "succeeded") => ExitCode::SUCCESS,
        Asked::Answered => ExitCode::FAILURE,
        Asked::Silence => {
            complain("no answer: the device is not connected, or may not be commanded; it will not do this later");
            ExitCode::from(SILENCE)
        }
        Asked::Unfinished => {
            complain(&format!("the command has not ended; ask again with --id {id} --wait"));
            ExitCode::from(SILENCE)
        }
    })
}

fn params(given: &[String]) -> anyhow::Result<Map<String, Value>> {
    let read = |text: &String| {
        let (key, value) = text.split_once('=').with_context(|| format!("--param {text}: write it as key=value"))?;
        Ok((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_text| value.into())))
    };
    given.iter().map(read).collect()
}

/// A state in one line.
fn describe(state: &Value) -> String {
    let text = |key: &str| state.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut words = vec![format!("{} {}: {}", text("name"), text("id"), text("state"))];
    words.extend(Some(text("stage").to_owned()).filter(|stage| !stage.is_empty()));
    words.extend(state.get("progress").and_then(Value::as_f64).map(|share| format!("{:.0} %", share * 100.0)));
    words.extend(state.get("reason_code").map(|_| format!("{}: {}", text("reason_code"), text("reason_detail"))));
    words.extend(state.get("result").map(Value::to_string));
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_are_json_or_text() {
        let given = ["limit=5", "outcomes=[\"flagged\"]", "since=2026-11-23T21:00:00Z", "when_idle=true", "reason=a=b"];
        let params = params(&given.map(str::to_owned)).unwrap();
        let expected = json!({"limit": 5, "outcomes": ["flagged"], "since": "2026-11-23T21:00:00Z", "when_idle": true,
            "reason": "a=b"});
        assert_eq!(Value::Object(params), expected);
        assert!(super::params(&["limit".to_owned()]).is_err());
    }

    #[test]
    fn a_state_is_told_in_words() {
        let state = json!({"name": "replay", "id": "a", "state": "running", "stage": "sending", "progress": 0.5});
        assert_eq!(describe(&state), "replay a: running, sending, 50 %");
        let state =
            json!({"name": "pause", "id": "b", "state": "rejected", "reason_code": "expired", "reason_detail": "c"});
        assert_eq!(describe(&state), "pause b: rejected, expired: c");
    }
}
