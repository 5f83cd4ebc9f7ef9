//! What a graph is held against, and the checks of what it says of itself.

use super::proto::{FLOAT, INT64, Length, Model, OperatorSet, ValueInfo};
use super::refusal::{Refusal, quoted};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Formats that are read. Below 4, constants have to be inputs as well; 13 is the newest of ONNX Runtime 1.28.
const IR_VERSIONS: RangeInclusive<i64> = 4..=13;
/// Operator sets that are read: ONNX Runtime promises 7 and later; 26 is the newest that 1.28 supports.
const OPSETS: RangeInclusive<i64> = 7..=26;

/// What a bundle says of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract<'a> {
    /// ONNX's operator set.
    pub opset: i64,
    /// Inputs in their order.
    pub inputs: Vec<ValueInfo>,
    /// Outputs in their order.
    pub outputs: Vec<ValueInfo>,
    /// Which of `If`, `Loop`, `Scan` and `SequenceMap` it may use.
    pub control_flow: &'a [String],
    /// Memory that the bundle asks for.
    pub memory_bytes: u64,
    /// Length of each file of the bundle by its path, in bytes.
    pub files: BTreeMap<&'a str, u64>,
}

impl Contract<'_> {
    /// Format and operator set are the manifest's, and ones that ONNX Runtime reads.
    pub(super) fn versions(&self, model: &Model) -> Result<(), Refusal> {
        let wrong = |what, found: String, expected: String| Err(Refusal::Version { what, found, expected });
        let within = |range: &RangeInclusive<i64>| format!("{} to {}", range.start(), range.end());
        if !IR_VERSIONS.contains(&model.ir_version) {
            return wrong("IR version", model.ir_version.to_string(), within(&IR_VERSIONS));
        }
        let own: Vec<i64> = own_sets(&model.opset_import).collect();
        if own != [self.opset] {
            return wrong("operator set", format!("{own:?}"), self.opset.to_string());
        }
        if !OPSETS.contains(&self.opset) {
            return wrong("operator set", self.opset.to_string(), within(&OPSETS));
        }
        let other = model.functions.iter().flat_map(|function| own_sets(&function.opset_import));
        match other.into_iter().find(|&version| version != self.opset) {
            Some(version) => wrong("operator set of a function", version.to_string(), self.opset.to_string()),
            None => Ok(()),
        }
    }

    /// Inputs and outputs are the manifest's, by name, kind of element and shape; a length has a name only where the manifest gives
    /// it this one.
    pub(super) fn ports(&self, inputs: &[ValueInfo], outputs: &[ValueInfo]) -> Result<(), Refusal> {
        for (what, found, expected) in [("inputs", inputs, &self.inputs), ("outputs", outputs, &self.outputs)] {
            let stated = |port: &ValueInfo| port.axes().map(|axes| (port.name.clone(), port.kind(), axes));
            let same = found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| {
                    let found = stated(found);
                    found.is_some() && found == stated(expected)
                });
            if !same {
                return Err(Refusal::Shape { what, found: list(found), expected: list(expected) });
            }
        }
        Ok(())
    }
}

/// Versions of ONNX's own operator set among these.
fn own_sets(sets: &[OperatorSet]) -> impl Iterator<Item = i64> {
    sets.iter().filter(|set| own(&set.domain)).map(|set| set.version)
}

/// Whether a domain is ONNX's own.
pub(super) fn own(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// Most inputs or outputs that a refusal lists.
const LISTED: usize = 8;

fn list(ports: &[ValueInfo]) -> String {
    let kind = |port: &ValueInfo| match port.kind() {
        FLOAT => "f32".to_owned(),
        INT64 => "int64".to_owned(),
        other => format!("of ONNX type {other}"),
    };
    let length = |length: &Length| match length {
        Length::Fixed(length) => length.to_string(),
        Length::Named(name) => quoted(name),
    };
    let shape = |port: &ValueInfo| match port.axes() {
        Some(axes) if axes.len() <= LISTED => format!("[{}]", axes.iter().map(length).collect::<Vec<_>>().join(", ")),
        Some(axes) => format!("of {} axes", axes.len()),
        None => "without a fixed shape".to_owned(),
    };
    let words = ports.iter().take(LISTED).map(|port| format!("{} {} {}", quoted(&port.name), shape(port), kind(port)));
    let rest = if ports.len() > LISTED { format!(" and {} more", ports.len() - LISTED) } else { String::new() };
    format!("{}{rest}", words.collect::<Vec<_>>().join(", "))
}
