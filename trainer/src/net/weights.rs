//! The parameters of a network as plain named arrays: what is drawn, stored, counted and exported.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// One parameter in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Lengths of its axes.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Vec<f32>,
}

/// All parameters of a network by their path, e.g. `vision.blocks.0.attention.qkv.weight`; a linear layer's
/// weight is `[in, out]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights(pub BTreeMap<String, Array>);

/// Weights that do not fit a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// The network has a parameter that is not among the weights.
    #[error("the weights lack {name}")]
    Missing {
        /// Path of the parameter.
        name: String,
    },
    /// The weights hold something that the network has no place for.
    #[error("the network has no parameter {name}")]
    Unknown {
        /// Path of the array.
        name: String,
    },
    /// Same name, other shape.
    #[error("{name} is {given:?} in the weights, and {expected:?} in the network")]
    Shape {
        /// Path of the parameter.
        name: String,
        /// Shape in the network.
        expected: Vec<usize>,
        /// Shape in the weights.
        given: Vec<usize>,
    },
    /// A tensor could not be read back from the device.
    #[error("{name} could not be read from the device: {reason}")]
    Read {
        /// Path of the parameter.
        name: String,
        /// What burn says.
        reason: String,
    },
}

impl Weights {
    /// Reads all parameters of a network.
    pub fn of(network: &impl Module) -> Result<Self, WeightsError> {
        let mut reader = Reader { path: Vec::new(), found: Ok(Self::default()) };
        network.visit(&mut reader);
        reader.found
    }

    /// Puts the arrays in the place of a network's parameters; names and shapes must agree one to one.
    pub fn fill<M: Module>(&self, network: M) -> Result<M, WeightsError> {
        let mut writer = Writer { path: Vec::new(), weights: self, used: 0, problem: None };
        let network = network.map(&mut writer);
        if let Some(problem) = writer.problem {
            return Err(problem);
        }
        if writer.used == self.0.len() {
            return Ok(network);
        }
        let places = Self::of(&network)?;
        let spare = self.0.keys().find(|name| !places.0.contains_key(*name));
        Err(WeightsError::Unknown { name: spare.cloned().unwrap_or_default() })
    }

    /// The weights under one path, without it: those of `vision` are the volume tower's alone.
    #[must_use]
    pub fn part(&self, path: &str) -> Self {
        let inside = |name: &str| name.strip_prefix(path)?.strip_prefix('.').map(str::to_owned);
        Self(self.0.iter().filter_map(|(name, array)| Some((inside(name)?, array.clone()))).collect())
    }

    /// Pieces that the report tower has a vector for; 0 without one.
    pub fn vocabulary(&self) -> usize {
        let table = self.0.get("text.embeddings.word.weight");
        table.and_then(|table| table.shape.first()).copied().unwrap_or(0)
    }

    /// Number of values.
    pub fn count(&self) -> usize {
        self.0.values().map(|array| array.values.len()).sum()
    }

    /// SHA-256 over names, shapes and values (little endian), lower-case hex: the same whatever file they lie in.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for (name, array) in &self.0 {
            hash.update(format!("{name} {:?}\n", array.shape));
            hash.update(little_endian(&array.values));
        }
        HEXLOWER.encode(&hash.finalize())
    }
}

/// The bytes of f32 values, little endian.
pub(crate) fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

struct Reader {
    path: Vec<String>,
    found: Result<Weights, WeightsError>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.join(".");
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        match (tensor.try_into_vec_as::<f32>(), &mut self.found) {
            (Ok(values), Ok(weights)) => {
                weights.0.insert(name, Array { shape, values });
            }
            (Err(error), Ok(_)) => self.found = Err(WeightsError::Read { name, reason: error.to_string() }),
            (_, Err(_)) => {}
        }
    }
}

struct Writer<'a> {
    path: Vec<String>,
    weights: &'a Weights,
    used: usize,
    problem: Option<WeightsError>,
}

impl ModuleMapper for Writer<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let expected: Vec<usize> = param.lazy_shape().to_vec();
        match self.weights.0.get(&name) {
            None => self.problem = self.problem.take().or(Some(WeightsError::Missing { name })),
            Some(array) if array.shape != expected => {
                let given = array.shape.clone();
                self.problem = self.problem.take().or(Some(WeightsError::Shape { name, expected, given }));
            }
            Some(array) => {
                self.used += 1;
                let data = TensorData::new(array.values.clone(), array.shape.clone());
                let device = param.lazy_device();
                // A parameter learns, or does not, as before.
                return param.map(|old| Tensor::from_data(data, &device).set_require_grad(old.is_require_grad()));
            }
        }
        param
    }
}
