//! Somebody else's graph with our names at its ends: `Identity` stands before its input and behind its output, and both are
//! declared with their fixed shapes. Everything between stays as it is, to the byte.

use super::wire::{fields, push};
use ctedge_models::onnx::proto::{FLOAT, Kind, Length, Model, Node, ValueInfo};
use prost::Message;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// What the bundle promises of the graph.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Voxels (z, y, x).
    pub volume: [usize; 3],
    /// Flags.
    pub logits: usize,
}

/// The graph with our names.
#[derive(Debug)]
pub struct Rewired {
    /// The whole model.
    pub bytes: Vec<u8>,
    /// Version of ONNX's operator set.
    pub opset: i64,
    elsewhere: BTreeSet<String>,
}

/// Fields of `ModelProto` and `GraphProto`.
const GRAPH: u32 = 7;
const NODE: u32 = 1;
const INPUT: u32 = 11;
const OUTPUT: u32 = 12;
/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

/// Gives the one input and the one output of a graph our names and fixed shapes.
///
/// # Errors
/// It is no ONNX, or has others than one volume and one row of numbers, in 32 bits.
pub fn rewired(bytes: &[u8], ports: &Ports) -> Result<Rewired, String> {
    let model = Model::decode(bytes).map_err(|error| format!("it is no ONNX: {error}"))?;
    let graph = model.graph.as_ref().ok_or("it is no ONNX: it has no graph")?;
    let own = model.opset_import.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
    let opset = own.ok_or("it imports no operator set of ONNX")?.version;
    // Older exporters list constants among the inputs.
    let constants: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let inputs: Vec<&ValueInfo> = graph.input.iter().filter(|input| !constants.contains(input.name.as_str())).collect();
    let lengths = |shape: &[usize]| shape.iter().map(|&length| i64::try_from(length).unwrap_or(i64::MAX)).collect();
    let [z, y, x] = ports.volume;
    let input = Port { what: "input", ours: "volume", shape: lengths(&[1, 1, z, y, x]) };
    let output = Port { what: "output", ours: "logits", shape: lengths(&[1, ports.logits]) };
    let (input_name, output_name) = (input.single(&inputs)?, output.single(&graph.output.iter().collect::<Vec<_>>())?);

    let mut inner = Vec::new();
    if input_name != input.ours {
        push(&mut inner, NODE, &identity(input.ours, input_name).encode_to_vec());
    }
    let all = fields(bytes)?;
    for part in all.iter().filter(|field| field.number == GRAPH).filter_map(|field| field.inside) {
        let kept = fields(part)?.into_iter().filter(|field| ![INPUT, OUTPUT].contains(&field.number));
        kept.for_each(|field| inner.extend_from_slice(field.whole));
    }
    if output_name != output.ours {
        push(&mut inner, NODE, &identity(output_name, output.ours).encode_to_vec());
    }
    push(&mut inner, INPUT, &input.declared().encode_to_vec());
    push(&mut inner, OUTPUT, &output.declared().encode_to_vec());
    let mut whole = Vec::with_capacity(bytes.len() + 256);
    all.iter().filter(|field| field.number != GRAPH).for_each(|field| whole.extend_from_slice(field.whole));
    push(&mut whole, GRAPH, &inner);

    let external = graph.initializer.iter().filter(|tensor| tensor.data_location == EXTERNAL);
    let places = external.flat_map(|tensor| &tensor.external_data).filter(|entry| entry.key == "location");
    Ok(Rewired { bytes: whole, opset, elsewhere: places.map(|entry| entry.value.clone()).collect() })
}

fn identity(from: &str, to: &str) -> Node {
    Node {
        input: vec![from.to_owned()],
        output: vec![to.to_owned()],
        name: format!("ctedge/{to}"),
        op_type: "Identity".to_owned(),
        ..Node::default()
    }
}

impl Rewired {
    /// Files beside the model that hold weights, by their paths in the bundle.
    ///
    /// # Errors
    /// One lies elsewhere, or has a name that the bundle needs.
    pub(super) fn weights(&self, model: &Path) -> Result<Vec<(String, PathBuf)>, String> {
        let beside = model.parent().unwrap_or(Path::new("."));
        let found = self.elsewhere.iter().map(|name| {
            let is_plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
            if is_plain {
                Ok((name.clone(), beside.join(name)))
            } else {
                Err(format!("its weights lie in {name:?}, not beside it"))
            }
        });
        found.collect()
    }
}

/// One end of the graph, as the bundle wants it.
struct Port {
    what: &'static str,
    ours: &'static str,
    shape: Vec<i64>,
}

impl Port {
    fn declared(&self) -> ValueInfo {
        ValueInfo::tensor(self.ours, &self.shape, FLOAT)
    }

    /// The name of the only one that there is, if it is what it should be. An axis that may have any length gets ours.
    fn single<'a>(&self, found: &[&'a ValueInfo]) -> Result<&'a str, String> {
        let Self { what, shape, .. } = self;
        let [port] = found else {
            let names: Vec<&str> = found.iter().map(|port| port.name.as_str()).collect();
            return Err(format!("it has {} {what}s, {names:?}; export it with one of {shape:?}", names.len()));
        };
        let wrong =
            |is: &str| Err(format!("its {what} {:?} is {is}; export it as 32-bit floats of {shape:?}", port.name));
        let Some(Kind::Tensor(tensor)) = port.r#type.as_ref().and_then(|kind| kind.kind.as_ref()) else {
            return wrong("no tensor");
        };
        if tensor.elem_type != FLOAT {
            return wrong(&format!("of ONNX type {}", tensor.elem_type));
        }
        let Some(axes) = tensor.shape.as_ref() else { return wrong("of no known shape") };
        let fits = |(axis, ours): (&Option<Length>, &i64)| match axis {
            Some(Length::Fixed(length)) => length == ours,
            Some(Length::Named(_)) | None => true,
        };
        let lengths: Vec<Option<Length>> = axes.dim.iter().map(|axis| axis.length.clone()).collect();
        if lengths.len() != shape.len() || !lengths.iter().zip(shape).all(fits) {
            let said = |axis: &Option<Length>| match axis {
                Some(Length::Fixed(length)) => length.to_string(),
                Some(Length::Named(name)) => name.clone(),
                None => "?".to_owned(),
            };
            return wrong(&format!("[{}]", lengths.iter().map(said).collect::<Vec<_>>().join(", ")));
        }
        Ok(&port.name)
    }
}
