//! What is known of values before a graph runs.

use crate::onnx::data;
use crate::onnx::proto::{Tensor, ValueInfo};
use crate::onnx::refusal::{Refusal, quoted};
use std::collections::BTreeMap;

/// What is known of a value.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Its kind of element; 0 where that is not known.
    pub(super) kind: i32,
    /// Its axes, where all are known.
    pub(super) dims: Option<Vec<f64>>,
    /// How many elements it has at least, where not all axes are known.
    pub(super) least: Option<f64>,
    /// Its elements, where they are few.
    pub(super) numbers: Option<Vec<f64>>,
    /// It is a constant whose elements lie in another file.
    pub(super) elsewhere: bool,
}

impl Known {
    /// A constant.
    pub(super) fn constant(tensor: &Tensor) -> Self {
        let elsewhere = tensor.data_location != 0;
        let numbers = if elsewhere { None } else { data::numbers(tensor) };
        Self { kind: tensor.data_type, dims: Some(lengths(&tensor.dims)), least: None, numbers, elsewhere }
    }

    /// A value of which its shape is declared, or a part of it.
    fn declared(value: &ValueInfo) -> Self {
        let sound = |shape: &Vec<i64>| shape.len() <= data::NUMBERS && shape.iter().all(|length| *length >= 0);
        let shape = value.shape().filter(sound);
        Self { kind: value.kind(), dims: shape.as_deref().map(lengths), ..Self::default() }
    }

    /// Elements that it has at least; none where nothing is known of its shape.
    pub(super) fn elements(&self) -> Option<f64> {
        self.dims.as_ref().map(|dims| dims.iter().product()).or(self.least)
    }

    /// Bytes that it takes at least.
    pub(super) fn bytes(&self) -> Option<f64> {
        let bits = data::bits(self.kind).and_then(|bits| u32::try_from(bits).ok()).unwrap_or(8);
        self.elements().map(|elements| elements * f64::from(bits) / 8.0)
    }
}

/// Lengths as numbers that do not overflow.
pub(super) fn lengths(dims: &[i64]) -> Vec<f64> {
    dims.iter().map(|&length| data::whole(length)).collect()
}

/// The values that a node can read.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    outer: Option<&'a Scope<'a>>,
    made: BTreeMap<&'a str, Known>,
    declared: BTreeMap<&'a str, &'a ValueInfo>,
}

impl<'a> Scope<'a> {
    /// A scope that sees this one.
    pub(super) fn inside(&'a self) -> Self {
        Self { outer: Some(self), ..Self::default() }
    }

    /// Notes what is declared of values that nodes will make.
    pub(super) fn declare(&mut self, values: &'a [ValueInfo]) {
        self.declared.extend(values.iter().map(|value| (value.name.as_str(), value)));
    }

    /// A value that is there before the first node.
    pub(super) fn given(&mut self, value: &'a ValueInfo) -> Result<(), Refusal> {
        self.insert(&value.name, Known::declared(value))
    }

    /// Adds a value.
    pub(super) fn insert(&mut self, name: &'a str, mut known: Known) -> Result<(), Refusal> {
        if let (None, Some(declared)) = (&known.dims, self.declared.get(name)) {
            let declared = Known::declared(declared);
            known = Known { kind: declared.kind, dims: declared.dims, ..known };
        }
        match self.made.insert(name, known) {
            Some(_) => Err(Refusal::malformed(format!("value {} is made twice", quoted(name)))),
            None => Ok(()),
        }
    }

    /// What is known of a value.
    pub(super) fn find(&self, name: &str) -> Option<&Known> {
        self.made.get(name).or_else(|| self.outer?.find(name))
    }

    /// The same for one that has to be there.
    pub(super) fn require(&self, name: &str) -> Result<&Known, Refusal> {
        self.find(name).ok_or_else(|| Refusal::malformed(format!("value {} is read before it is made", quoted(name))))
    }
}
