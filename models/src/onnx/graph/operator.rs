//! What ONNX's operators make of what is known of their inputs.
//!
//! Two families: operators whose result is as large as numbers among their inputs say, and the few that exporters compute
//! such numbers with. Of all others nothing is known.

use super::scope::{Known, Scope, lengths};
use crate::onnx::data::{self, NUMBERS};
use crate::onnx::proto::{Attribute, DOUBLE, FLOAT, INT64, Node};

/// What is known of the first output of a node.
///
/// # Errors
/// How much it makes is said by a constant in another file, where nobody looked.
pub(super) fn made(node: &Node, scope: &Scope<'_>) -> Result<Known, String> {
    if !super::own(&node.domain) {
        return Ok(Known::default());
    }
    let node = Inputs { node, scope };
    match grown(&node)? {
        Some(Grown { dims, least }) => {
            Ok(Known { kind: kind(&node), dims: dims.and_then(short), least: Some(least), ..Known::default() })
        }
        None => Ok(computed(&node).unwrap_or_default()),
    }
}

/// How large the result of an operator is.
struct Grown {
    /// Its axes, where all are known.
    dims: Option<Vec<f64>>,
    /// Its elements at least.
    least: f64,
}

impl Grown {
    /// All axes.
    fn exactly(dims: Vec<f64>) -> Self {
        Self { least: dims.iter().product(), dims: Some(dims) }
    }

    /// So many times the elements of an input, or at least so many where nothing is known of it.
    fn times(input: Option<&Known>, factors: &[f64]) -> Self {
        let of = input.and_then(Known::elements).unwrap_or(1.0);
        Self { dims: None, least: of * factors.iter().product::<f64>() }
    }

    /// At least as many elements as these lengths say.
    fn least(lengths: &[f64]) -> Self {
        Self { dims: None, least: lengths.iter().product() }
    }
}

/// A node with what is known of its inputs.
struct Inputs<'a> {
    node: &'a Node,
    scope: &'a Scope<'a>,
}

impl Inputs<'_> {
    fn known(&self, place: usize) -> Option<&Known> {
        self.scope.find(self.node.input.get(place)?)
    }

    fn dims(&self, place: usize) -> Option<&[f64]> {
        self.known(place)?.dims.as_deref()
    }

    fn numbers(&self, place: usize) -> Option<&[f64]> {
        self.known(place)?.numbers.as_deref()
    }

    fn number(&self, place: usize) -> Option<f64> {
        self.numbers(place)?.first().copied()
    }

    fn setting(&self, name: &str) -> Option<&Attribute> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// Whole numbers of an attribute, if they are few.
    fn whole(&self, name: &str) -> Option<Vec<f64>> {
        self.setting(name).and_then(|setting| few(&setting.ints)).map(lengths)
    }

    /// The same for numbers with a fraction.
    fn fractions(&self, name: &str) -> Option<Vec<f64>> {
        let numbers = few(&self.setting(name)?.floats)?;
        Some(numbers.iter().map(|number| f64::from(*number)).collect())
    }

    fn operator(&self) -> &str {
        &self.node.op_type
    }
}

/// Kind of element of what an operator of the first family makes.
fn kind(node: &Inputs<'_>) -> i32 {
    let first = |place| node.known(place).map_or(0, |known| known.kind);
    match node.operator() {
        "ConstantOfShape" => {
            node.setting("value").and_then(|value| value.t.as_ref()).map_or(FLOAT, |value| value.data_type)
        }
        "OneHot" => first(2),
        "RandomNormal" | "RandomUniform" => {
            node.setting("dtype").map_or(FLOAT, |dtype| i32::try_from(dtype.i).unwrap_or(0))
        }
        "HannWindow" | "HammingWindow" | "BlackmanWindow" => {
            node.setting("output_datatype").map_or(FLOAT, |dtype| i32::try_from(dtype.i).unwrap_or(0))
        }
        "AffineGrid" => FLOAT,
        _ => first(0),
    }
}

/// How large the result of an operator of the first family is; none for others, and where nothing is known.
fn grown(node: &Inputs<'_>) -> Result<Option<Grown>, String> {
    // Where numbers stand that say how much is made.
    let places: &[usize] = match node.operator() {
        "ConstantOfShape" | "HannWindow" | "HammingWindow" | "BlackmanWindow" => &[0],
        "Expand" | "Tile" | "Pad" | "OneHot" | "Upsample" | "CenterCropPad" | "AffineGrid" | "Col2Im" => &[1],
        "Range" => &[0, 1, 2],
        "MaxUnpool" => &[2],
        "Resize" => &[1, 2, 3],
        "RandomNormal" | "RandomUniform" => &[],
        _ => return Ok(None),
    };
    if places.iter().any(|place| node.known(*place).is_some_and(|known| known.elsewhere)) {
        return Err(format!("what operator {} makes of numbers in external data", node.operator()));
    }
    Ok(match node.operator() {
        "ConstantOfShape" => node.numbers(0).map(|shape| Grown::exactly(shape.to_vec())),
        "HannWindow" | "HammingWindow" | "BlackmanWindow" => node.number(0).map(|length| Grown::exactly(vec![length])),
        "Expand" => node.numbers(1).map(|shape| expanded(node.known(0), shape)),
        "Tile" => node.numbers(1).map(|repeats| scaled(node.known(0), repeats)),
        "Pad" => {
            node.numbers(1).map(<[f64]>::to_vec).or_else(|| node.whole("pads")).map(|pads| padded(node.dims(0), &pads))
        }
        "OneHot" => node.number(1).map(|depth| match node.dims(0).filter(|_| node.node.attribute.is_empty()) {
            Some(dims) => Grown::exactly([dims, &[depth]].concat()),
            None => Grown::times(node.known(0), &[depth]),
        }),
        "CenterCropPad" | "Col2Im" => node.numbers(1).map(Grown::least),
        // Of N, C, then lengths: channels do not count, and each place has two or three coordinates.
        "AffineGrid" => node.numbers(1).and_then(|size| match size {
            [samples, _, lengths @ ..] => Some(Grown::least(&[&[*samples, 2.0], lengths].concat())),
            [] | [_] => None,
        }),
        "MaxUnpool" => node.numbers(2).map(Grown::least),
        "Range" => range(node),
        "Resize" | "Upsample" => resized(node),
        _ => node.whole("shape").map(Grown::exactly),
    })
}

/// A value broadcast to a shape.
fn expanded(input: Option<&Known>, shape: &[f64]) -> Grown {
    match input.and_then(|known| known.dims.as_deref()) {
        Some(dims) => {
            let (long, few) = if dims.len() >= shape.len() { (dims, shape) } else { (shape, dims) };
            let mut dims = long.to_vec();
            for (dim, other) in dims.iter_mut().rev().zip(few.iter().rev()) {
                *dim = dim.max(*other);
            }
            Grown::exactly(dims)
        }
        None => Grown::least(shape),
    }
}

/// Axes times factors.
fn scaled(input: Option<&Known>, factors: &[f64]) -> Grown {
    match input.and_then(|known| known.dims.as_deref()).filter(|dims| dims.len() == factors.len()) {
        Some(dims) => Grown::exactly(dims.iter().zip(factors).map(|(dim, factor)| (dim * factor).floor()).collect()),
        None => Grown::times(input, factors),
    }
}

/// Axes with what is put before and behind each.
fn padded(dims: Option<&[f64]>, pads: &[f64]) -> Grown {
    let (before, behind) = pads.split_at(pads.len() / 2);
    let added = before.iter().zip(behind).map(|(before, behind)| before + behind);
    match dims.filter(|dims| dims.len() == before.len()) {
        Some(dims) => Grown::exactly(dims.iter().zip(added).map(|(dim, added)| (dim + added).max(0.0)).collect()),
        None => Grown::least(&added.map(|added| added.max(1.0)).collect::<Vec<f64>>()),
    }
}

fn range(node: &Inputs<'_>) -> Option<Grown> {
    let (start, limit, step) = (node.number(0)?, node.number(1)?, node.number(2)?);
    let count = ((limit - start) / step).ceil();
    // `max` would turn what is no number into nothing.
    Some(Grown::exactly(vec![if count < 0.0 { 0.0 } else { count }]))
}

/// Axes by sizes, or else by factors; of some axes only where the operator names them.
fn resized(node: &Inputs<'_>) -> Option<Grown> {
    let filled = |place| node.numbers(place).filter(|numbers| !numbers.is_empty());
    if let Some(sizes) = filled(3) {
        return Some(Grown::least(sizes));
    }
    // Up to operator set 10, factors are the second input or an attribute; later the third input.
    let early = || node.numbers(1).filter(|_| node.node.input.len() == 2);
    let factors = filled(2).or_else(early).map(<[f64]>::to_vec).or_else(|| node.fractions("scales"))?;
    Some(scaled(node.known(0), &factors))
}

/// What an operator of the second family makes.
fn computed(node: &Inputs<'_>) -> Option<Known> {
    let of = |kind, numbers: Vec<f64>| Some(Known { kind, numbers: short(numbers), ..Known::default() });
    match node.operator() {
        "Constant" => constant(node),
        "Identity" => node.known(0).cloned(),
        "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" => {
            let known = node.known(0)?;
            Some(Known { dims: None, least: known.elements(), ..known.clone() })
        }
        "Cast" => {
            let to = i32::try_from(node.setting("to")?.i).ok()?;
            let known = node.known(0)?;
            let numbers = known
                .numbers
                .as_ref()
                .map(|numbers| if to == FLOAT || to == DOUBLE { numbers.clone() } else { truncated(numbers) });
            Some(Known { kind: to, numbers, ..known.clone() })
        }
        "Shape" if node.node.attribute.is_empty() => of(INT64, node.dims(0)?.to_vec()),
        "Concat" => {
            let places = Some(0..node.node.input.len()).filter(|places| places.len() <= NUMBERS)?;
            let all: Option<Vec<&[f64]>> = places.map(|place| node.numbers(place)).collect();
            of(node.known(0)?.kind, all?.concat())
        }
        "Gather" => {
            let (from, places) = (node.numbers(0)?, node.numbers(1)?);
            let taken: Option<Vec<f64>> = places.iter().map(|place| at(from, *place)).collect();
            of(node.known(0)?.kind, taken?)
        }
        "Add" => pairwise(node, |a, b| a + b),
        "Sub" => pairwise(node, |a, b| a - b),
        "Mul" => pairwise(node, |a, b| a * b),
        "Div" if node.known(0)?.kind == FLOAT => pairwise(node, |a, b| a / b),
        "Div" => pairwise(node, |a, b| (a / b).trunc()),
        "Max" => pairwise(node, f64::max),
        "Min" => pairwise(node, f64::min),
        "Pow" => pairwise(node, f64::powf),
        _ => None,
    }
}

fn constant(node: &Inputs<'_>) -> Option<Known> {
    let setting = node.node.attribute.first()?;
    let numbers = |kind, numbers| Some(Known { kind, numbers: short(numbers), ..Known::default() });
    match setting.name.as_str() {
        "value" => setting.t.as_deref().map(Known::constant),
        "value_int" => numbers(INT64, vec![data::whole(setting.i)]),
        "value_ints" => numbers(INT64, node.whole("value_ints")?),
        "value_float" => numbers(FLOAT, vec![f64::from(setting.f)]),
        "value_floats" => numbers(FLOAT, node.fractions("value_floats")?),
        "sparse_value" => {
            let tensor = setting.sparse_tensor.as_deref()?;
            let kind = tensor.values.as_ref().map_or(0, |values| values.data_type);
            Some(Known { kind, dims: Some(lengths(&tensor.dims)), ..Known::default() })
        }
        _ => None,
    }
}

/// Numbers, unless there are more than anybody takes for lengths.
fn short(numbers: Vec<f64>) -> Option<Vec<f64>> {
    Some(numbers).filter(|numbers| numbers.len() <= NUMBERS)
}

/// The same for those that are not yet copied.
fn few<T>(numbers: &[T]) -> Option<&[T]> {
    Some(numbers).filter(|numbers| numbers.len() <= NUMBERS)
}

fn truncated(numbers: &[f64]) -> Vec<f64> {
    numbers.iter().map(|number| number.trunc()).collect()
}

/// An element by its place, from the end where that is negative.
fn at(numbers: &[f64], place: f64) -> Option<f64> {
    let count = numbers.iter().fold(0.0, |count, _| count + 1.0);
    let place = if place < 0.0 { place + count } else { place };
    numbers.iter().scan(0.0, |at, number| Some((std::mem::replace(at, *at + 1.0), *number))).find_map(|(at, number)| {
        let here = (at - place).abs() < 0.5;
        here.then_some(number)
    })
}

/// Two inputs of the same length, or one of a single number.
fn pairwise(node: &Inputs<'_>, join: impl Fn(f64, f64) -> f64) -> Option<Known> {
    let (a, b) = (node.numbers(0)?, node.numbers(1)?);
    let numbers = match (a, b) {
        (_, [b]) => a.iter().map(|a| join(*a, *b)).collect(),
        ([a], _) => b.iter().map(|b| join(*a, *b)).collect(),
        _ if a.len() == b.len() => a.iter().zip(b).map(|(a, b)| join(*a, *b)).collect(),
        _ => return None,
    };
    Some(Known { kind: node.known(0)?.kind, numbers: short(numbers), ..Known::default() })
}
