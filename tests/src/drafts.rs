//! What a device says of its drafts, computed again from its messages.

use anyhow::Context;
use ctedge_models::labels::Label;
use ctedge_models::report::{self, Claim, Reading};
use serde_json::Value;
use std::collections::BTreeSet;

/// Findings with how the draft contradicts them.
pub type Disagreements = BTreeSet<(String, String)>;

/// What a draft says, as the reader of reports reads it.
pub fn read(report: &Value) -> anyhow::Result<Reading> {
    let section = |name: &str| report.pointer(&format!("/draft/{name}")).and_then(Value::as_str).context("a section");
    Ok(report::read(&format!("{} {}", section("findings")?, section("impression")?)))
}

/// What a device says that its draft contradicts.
pub fn disagreeing(report: &Value) -> anyhow::Result<Disagreements> {
    let list = report.get("disagreements").and_then(Value::as_array).context("disagreements")?;
    list.iter().map(|one| Ok((text(one, "code")?, text(one, "kind")?))).collect()
}

/// The same from the messages alone: the draft's own words against the result's flags. What is said of sides and zones is taken from
/// the device, since a result names the place of positive flags in the patient, not in the scan.
pub fn offline(result: &Value, report: &Value) -> anyhow::Result<Disagreements> {
    let read = read(report)?;
    let is_place = |(_, kind): &(String, String)| kind == "side" || kind == "zone";
    let mut found: Disagreements = disagreeing(report)?.into_iter().filter(is_place).collect();
    for flag in result.get("flags").and_then(Value::as_array).context("flags")? {
        let code = text(flag, "code")?;
        let label = Label::from_name(&code).context("a label")?;
        let is = |key: &str| flag.get(key) == Some(&Value::Bool(true));
        let kind = match (read.says(label), is("positive")) {
            (Some(Claim::Present), false) => "not_flagged",
            (Some(Claim::Present), true) if is("possible") => "overstated",
            (Some(Claim::Absent), true) => "denied",
            (None | Some(Claim::Historical), true) => "omitted",
            _ => continue,
        };
        found.insert((code, kind.to_owned()));
    }
    Ok(found)
}

fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    Ok(value.get(key).and_then(Value::as_str).with_context(|| format!("no {key}"))?.to_owned())
}
