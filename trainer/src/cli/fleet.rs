//! `fleet`: what every device runs.

use super::broker::BrokerArgs;
use super::{Outcome, Progress};
use crate::fleet::{Line, Overview, Row, Slot};
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Show every device of a broker: whether it is there, which models it has, and what failed.
///
/// It is read from what devices leave on the broker; nothing is sent.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ctedge-trainer fleet --broker mqtt.site\n  ctedge-trainer fleet --broker mqtt.site --watch"
)]
pub(super) struct Fleet {
    #[command(flatten)]
    broker: BrokerArgs,
    /// Again every second until it is interrupted; with --json one object a line.
    #[arg(long)]
    watch: bool,
}

const REFRESH: Duration = Duration::from_secs(1);

impl Fleet {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let (broker, topics) = (self.broker.broker()?, self.broker.topics()?);
        progress.say("asking the broker");
        let mut line = Line::open(broker, Overview::filters(&topics))?;
        let mut overview = Overview::new(topics);
        overview.gather(&mut line);
        if self.watch {
            progress.finish();
            while shown(progress, &outcome(&overview.rows())) {
                listen(&mut line, &mut overview);
            }
        }
        Ok(outcome(&overview.rows()))
    }
}

/// Shows it once more; returns whether somebody still reads.
fn shown(progress: &Progress, outcome: &Outcome) -> bool {
    let written = if !progress.speaks() {
        writeln!(io::stdout(), "{}", outcome.json)
    } else if io::stdout().is_terminal() {
        // Clears the screen and begins at its top.
        writeln!(io::stdout(), "\u{1b}[2J\u{1b}[H{}", outcome.text)
    } else {
        writeln!(io::stdout(), "{}\n", outcome.text)
    };
    written.is_ok()
}

fn listen(line: &mut Line, overview: &mut Overview) {
    let begin = Instant::now();
    while let Some(rest) = REFRESH.checked_sub(begin.elapsed()) {
        if let Some(heard) = line.hear(rest) {
            overview.heard(&heard);
        }
    }
}

/// Stands where a device has not said something.
const UNKNOWN: &str = "-";

fn outcome(rows: &[Row]) -> Outcome {
    let slots: BTreeSet<&String> = rows.iter().flat_map(|row| row.slots.keys()).collect();
    let mut table = Table::new();
    let heads = ["device", "state", "since", "health", "group"].map(str::to_owned).into_iter();
    let tails = ["agreement", "failed", "last seen"].map(str::to_owned);
    let header: Vec<String> = heads.chain(slots.iter().map(|slot| format!("slot {slot}"))).chain(tails).collect();
    table.load_preset(NOTHING).set_header(header);
    let said = |text: &Option<String>| text.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    for row in rows {
        let mut cells =
            vec![row.device.clone(), said(&row.state), moment(row.since.as_ref()), said(&row.health), said(&row.group)];
        cells.extend(slots.iter().map(|slot| row.slots.get(*slot).map_or_else(|| UNKNOWN.to_owned(), model)));
        cells.extend([agreement(row), failed(row), moment(row.last_seen.as_ref())]);
        table.add_row(cells);
    }
    let text = if rows.is_empty() { "no device has left a word on this broker".to_owned() } else { table.trim_fmt() };
    Outcome { text, json: json!({ "devices": rows }) }
}

/// To the second.
fn moment(text: Option<&String>) -> String {
    let moment = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let whole = moment.and_then(|moment| jiff::Timestamp::from_second(moment.as_second()).ok());
    whole.map_or_else(|| UNKNOWN.to_owned(), |whole| whole.to_string())
}

fn model(slot: &Slot) -> String {
    let words = [&slot.name, &slot.version, &slot.state].map(|word| word.as_deref().unwrap_or(UNKNOWN));
    if slot.name.is_none() && slot.version.is_none() {
        return slot.state.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    }
    words.join(" ")
}

/// How a model in shadow agrees with the one that counts.
fn agreement(row: &Row) -> String {
    let share = |slot: &Slot| {
        let series = slot.series.map(|series| format!(" of {series} series")).unwrap_or_default();
        slot.agreement.map(|share| format!("{:.1} %{series}", share * 100.0))
    };
    let shares: Vec<String> = row.slots.values().filter_map(share).collect();
    if shares.is_empty() { UNKNOWN.to_owned() } else { shares.join(", ") }
}

/// What failed, and why.
fn failed(row: &Row) -> String {
    let reason = |(name, slot): (&String, &Slot)| {
        let code = slot.reason_code.as_ref()?;
        let detail = slot.reason_detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        Some(format!("{name} {code}{detail}"))
    };
    let reasons: Vec<String> = row.slots.iter().filter_map(reason).collect();
    if reasons.is_empty() { UNKNOWN.to_owned() } else { reasons.join("; ") }
}
