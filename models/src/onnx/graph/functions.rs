//! Functions: operators that the model makes of others.

use super::{Graph, inner, own};
use crate::onnx::proto::{Function, Node};
use crate::onnx::refusal::{Refusal, quoted};
use std::collections::BTreeMap;

/// Most nodes with what they read, make and are set to, constants and declared values, calls replaced by what they call.
/// Networks for volumes have some ten thousands.
const PARTS: u64 = 1 << 19;
/// How deep functions may call functions. Exporters write two or three levels.
const CALLS: u32 = 32;
/// Domains whose operators a runtime has of its own; a function must not look like one of them.
const TAKEN: [&str; 4] = ["ai.onnx", "com.microsoft", "com.ms", "org.pytorch.aten"];

/// Domain, name and overload of an operator.
type Name<'a> = (&'a str, &'a str, &'a str);

/// The functions of a model.
#[derive(Debug)]
pub(super) struct Functions<'a>(BTreeMap<Name<'a>, &'a Function>);

/// What a list of nodes comes to.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    parts: u64,
    calls: u32,
}

impl<'a> Functions<'a> {
    /// Each by its name.
    pub(super) fn of(functions: &'a [Function]) -> Result<Self, Refusal> {
        let mut named = BTreeMap::new();
        for function in functions {
            let domain = function.domain.as_str();
            let below =
                |taken: &str| domain.strip_prefix(taken).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            if own(domain) || TAKEN.into_iter().any(below) {
                return Err(Refusal::Domain { domain: quoted(domain), operator: quoted(&function.name) });
            }
            if named.insert(defined(function), function).is_some() {
                return Err(Refusal::malformed(format!("function {} is there twice", quoted(&function.name))));
            }
        }
        Ok(Self(named))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &'a Function> {
        self.0.values().copied()
    }

    /// The one that a node calls.
    pub(super) fn called(&self, node: &Node) -> Option<&'a Function> {
        self.0.get(&name(node)).copied()
    }

    /// Refuses a graph that is too large once every call is replaced by what it calls, and functions that call themselves.
    pub(super) fn bounded(&self, graph: &Graph) -> Result<(), Refusal> {
        let mut known = BTreeMap::new();
        let whole = self.graph_cost(graph, &mut known, 0)?;
        for function in self.all() {
            self.call_cost(function, &mut known, 0)?;
        }
        if whole.parts > PARTS {
            return Err(Refusal::Complex { what: "nodes, values and settings", most: PARTS });
        }
        Ok(())
    }

    fn graph_cost(&self, graph: &Graph, known: &mut Known<'a>, depth: u32) -> Result<Cost, Refusal> {
        let nodes = self.nodes_cost(&graph.node, known, depth)?;
        let lists =
            [graph.initializer.len(), graph.sparse_initializer.len(), graph.value_info.len(), graph.input.len()];
        Ok(Cost { parts: total(&lists).saturating_add(nodes.parts), ..nodes })
    }

    fn nodes_cost(&self, nodes: &[Node], known: &mut Known<'a>, depth: u32) -> Result<Cost, Refusal> {
        let mut sum = Cost::default();
        for node in nodes {
            let mut add = |cost: Cost, calls: u32| {
                sum.parts = sum.parts.saturating_add(cost.parts);
                sum.calls = sum.calls.max(cost.calls.saturating_add(calls));
            };
            let lists = [node.input.len(), node.output.len(), node.attribute.len()];
            add(Cost { parts: total(&lists).saturating_add(1), calls: 0 }, 0);
            for graph in inner(node) {
                add(self.graph_cost(graph, known, depth)?, 0);
            }
            if let Some(function) = self.called(node) {
                add(self.call_cost(function, known, depth)?, 1);
            }
        }
        if sum.calls > CALLS {
            return Err(Refusal::Complex { what: "levels of functions", most: u64::from(CALLS) });
        }
        Ok(sum)
    }

    fn call_cost(&self, function: &'a Function, known: &mut Known<'a>, depth: u32) -> Result<Cost, Refusal> {
        let name = defined(function);
        match known.get(&name) {
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => return Err(Refusal::malformed(format!("function {} calls itself", quoted(name.1)))),
            None if depth >= CALLS => {
                return Err(Refusal::Complex { what: "levels of functions", most: u64::from(CALLS) });
            }
            None => {}
        }
        known.insert(name, None);
        let lists = [function.input.len(), function.output.len(), function.value_info.len()];
        let nodes = self.nodes_cost(&function.node, known, depth.saturating_add(1))?;
        let cost = Cost { parts: nodes.parts.saturating_add(total(&lists)), ..nodes };
        known.insert(name, Some(cost));
        Ok(cost)
    }
}

fn total(lists: &[usize]) -> u64 {
    lists.iter().map(|length| u64::try_from(*length).unwrap_or(u64::MAX)).fold(0, u64::saturating_add)
}

/// Costs of functions; none of those that are being counted.
type Known<'a> = BTreeMap<Name<'a>, Option<Cost>>;

fn defined(function: &Function) -> Name<'_> {
    (&function.domain, &function.name, &function.overload)
}

fn name(node: &Node) -> Name<'_> {
    (&node.domain, &node.op_type, &node.overload)
}
