//! The part of ONNX's protobuf schema that we write and read back, by field numbers of `onnx.proto3` (ONNX 1.12, IR
//! version 8). Hand-written, so that no `protoc` is needed; names follow the schema.

use prost::Message;

/// IR version that goes with operator set 17.
pub const IR_VERSION: i64 = 8;
/// Operator set: the newest whose primitives every TensorRT of the supported `JetPacks` parses.
pub const OPSET: i64 = 17;
/// `TensorProto.DataType.FLOAT`.
pub const FLOAT: i32 = 1;
/// `TensorProto.DataType.INT8`.
pub const INT8: i32 = 3;
/// `TensorProto.DataType.INT64`.
pub const INT64: i32 = 7;
/// `TensorProto.DataType.FLOAT16`.
pub const FLOAT16: i32 = 10;

/// `ModelProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    /// Version of the format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// Program that wrote it.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// The computation.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// Operator sets it uses.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
    /// Free key-value pairs.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringPair>,
}

/// `OperatorSetIdProto`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct OperatorSet {
    /// Empty for ONNX's own operators.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Version of the set.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// `StringStringEntryProto`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct StringPair {
    /// Name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Content.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `GraphProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    /// Operators in an order in which each finds its inputs made.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    /// Name of the graph.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    /// What the caller gives.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    /// What the caller gets.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

/// `NodeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    /// Names of the values it reads.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of the values it makes.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Its own name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Operator, e.g. `MatMul`.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Settings.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}

/// `AttributeProto`, with the kinds that our operators need.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// Name of the setting.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value of kind 1.
    #[prost(float, tag = "2")]
    pub f: f32,
    /// Value of kind 2.
    #[prost(int64, tag = "3")]
    pub i: i64,
    /// Value of kind 7.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Which of the above holds the value.
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

impl Attribute {
    /// A number with a fraction.
    pub fn float(name: &str, value: f32) -> Self {
        Self { name: name.into(), f: value, r#type: 1, ..Self::default() }
    }

    /// A whole number.
    pub fn int(name: &str, value: i64) -> Self {
        Self { name: name.into(), i: value, r#type: 2, ..Self::default() }
    }

    /// A list of whole numbers.
    pub fn ints(name: &str, values: &[i64]) -> Self {
        Self { name: name.into(), ints: values.to_vec(), r#type: 7, ..Self::default() }
    }
}

/// `TensorProto` with its values in `raw_data`, little endian.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Tensor {
    /// Lengths of its axes.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// Kind of element, e.g. [`FLOAT`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Name of the value.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Elements in C order.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

/// `ValueInfoProto`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct ValueInfo {
    /// Name of the value.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
}

/// `TypeProto`, tensors only.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Type {
    /// The tensor's type.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct TensorType {
    /// Kind of element.
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// Lengths of its axes.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Shape {
    /// The axes.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension` with a fixed length. The length must be written even when it is zero (it is part of a
/// oneof), which an optional field does.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Dimension {
    /// Length of the axis.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
}

impl Tensor {
    /// Its values, if it holds floats.
    pub fn floats(&self) -> Option<Vec<f32>> {
        let (values, _) = self.raw_data.as_chunks::<4>();
        (self.data_type == FLOAT).then(|| values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

impl ValueInfo {
    /// A tensor of a fixed shape and kind of element.
    pub fn tensor(name: &str, shape: &[i64], elem_type: i32) -> Self {
        let dim = shape.iter().map(|&length| Dimension { dim_value: Some(length) }).collect();
        let tensor_type = TensorType { elem_type, shape: Some(Shape { dim }) };
        Self { name: name.into(), r#type: Some(Type { tensor_type: Some(tensor_type) }) }
    }

    /// Its kind of element; 0 where the type is missing.
    pub fn kind(&self) -> i32 {
        let tensor = self.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        tensor.map_or(0, |tensor| tensor.elem_type)
    }

    /// Its axes; empty where the type or a length is missing.
    pub fn shape(&self) -> Vec<i64> {
        let tensor = self.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        shape.map_or_else(Vec::new, |shape| shape.dim.iter().filter_map(|axis| axis.dim_value).collect())
    }
}
