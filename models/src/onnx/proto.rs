//! The part of ONNX's protobuf schema that we write and read, by field numbers of `onnx.proto3` (ONNX 1.20). Hand-written,
//! so that no `protoc` is needed; names follow the schema. What a field is for stands there; what we do not name is passed
//! over, unread. Elements of tensors are never copied: they are slices of the file.

use prost::Message;
use prost::bytes::Bytes;

/// `TensorProto.DataType.FLOAT`.
pub const FLOAT: i32 = 1;
/// `TensorProto.DataType.INT8`.
pub const INT8: i32 = 3;
/// `TensorProto.DataType.INT32`.
pub const INT32: i32 = 6;
/// `TensorProto.DataType.INT64`.
pub const INT64: i32 = 7;
/// `TensorProto.DataType.STRING`.
pub const STRING: i32 = 8;
/// `TensorProto.DataType.FLOAT16`.
pub const FLOAT16: i32 = 10;
/// `TensorProto.DataType.DOUBLE`.
pub const DOUBLE: i32 = 11;

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
    /// How it is trained further.
    #[prost(message, repeated, tag = "20")]
    pub training_info: Vec<Other>,
    /// Operators that the model itself defines.
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<Function>,
}

/// A message of which we only ask whether it is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub struct Other {}

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

/// `FunctionProto`: an operator made of others.
#[derive(Clone, PartialEq, Message)]
pub struct Function {
    /// Name of the operator.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Names that its inputs have inside.
    #[prost(string, repeated, tag = "4")]
    pub input: Vec<String>,
    /// Names of the values that are its outputs.
    #[prost(string, repeated, tag = "5")]
    pub output: Vec<String>,
    /// What it is made of.
    #[prost(message, repeated, tag = "7")]
    pub node: Vec<Node>,
    /// Operator sets it uses.
    #[prost(message, repeated, tag = "9")]
    pub opset_import: Vec<OperatorSet>,
    /// Domain of the operator.
    #[prost(string, tag = "10")]
    pub domain: String,
    /// Settings that have a default.
    #[prost(message, repeated, tag = "11")]
    pub attribute_proto: Vec<Attribute>,
    /// Shapes of values inside.
    #[prost(message, repeated, tag = "12")]
    pub value_info: Vec<ValueInfo>,
    /// Which of several of one name.
    #[prost(string, tag = "13")]
    pub overload: String,
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
    /// Shapes of values in between.
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfo>,
    /// Constants of which most elements are zero.
    #[prost(message, repeated, tag = "15")]
    pub sparse_initializer: Vec<SparseTensor>,
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
    /// Whose operator: empty for ONNX's own.
    #[prost(string, tag = "7")]
    pub domain: String,
    /// Which of several functions of one name.
    #[prost(string, tag = "8")]
    pub overload: String,
}

/// `AttributeProto`.
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
    /// Value of kind 4.
    #[prost(message, optional, boxed, tag = "5")]
    pub t: Option<Box<Tensor>>,
    /// Value of kind 5.
    #[prost(message, optional, boxed, tag = "6")]
    pub g: Option<Box<Graph>>,
    /// Value of kind 6.
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    /// Value of kind 7.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Value of kind 9.
    #[prost(message, repeated, tag = "10")]
    pub tensors: Vec<Tensor>,
    /// Value of kind 10.
    #[prost(message, repeated, tag = "11")]
    pub graphs: Vec<Graph>,
    /// Which of these holds the value.
    #[prost(int32, tag = "20")]
    pub r#type: i32,
    /// Value of kind 11.
    #[prost(message, optional, boxed, tag = "22")]
    pub sparse_tensor: Option<Box<SparseTensor>>,
    /// Value of kind 12.
    #[prost(message, repeated, tag = "23")]
    pub sparse_tensors: Vec<SparseTensor>,
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

/// `TensorProto`. The lists of numbers are what protobuf packs them into: floats little endian, whole numbers as varints.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Tensor {
    /// Lengths of its axes.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// Kind of element, e.g. [`FLOAT`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Elements of 32 bits with a fraction.
    #[prost(bytes = "bytes", tag = "4")]
    pub float_data: Bytes,
    /// Whole elements of up to 32 bits, and the bits of shorter ones with a fraction.
    #[prost(bytes = "bytes", tag = "5")]
    pub int32_data: Bytes,
    /// Words.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub string_data: Vec<Bytes>,
    /// Whole elements of 64 bits.
    #[prost(bytes = "bytes", tag = "7")]
    pub int64_data: Bytes,
    /// Name of the value.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Elements in C order, little endian.
    #[prost(bytes = "bytes", tag = "9")]
    pub raw_data: Bytes,
    /// Elements of 64 bits with a fraction.
    #[prost(bytes = "bytes", tag = "10")]
    pub double_data: Bytes,
    /// Elements without a sign.
    #[prost(bytes = "bytes", tag = "11")]
    pub uint64_data: Bytes,
    /// In which file the elements are, and where.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringPair>,
    /// 1 where they are in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

impl Tensor {
    /// Its values, if it holds floats.
    pub fn floats(&self) -> Option<Vec<f32>> {
        let (values, _) = self.raw_data.as_chunks::<4>();
        (self.data_type == FLOAT).then(|| values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

/// `SparseTensorProto`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct SparseTensor {
    /// The elements that are not zero; the tensor's name is theirs.
    #[prost(message, optional, tag = "1")]
    pub values: Option<Tensor>,
    /// Where they are.
    #[prost(message, optional, tag = "2")]
    pub indices: Option<Tensor>,
    /// Lengths of the whole tensor's axes.
    #[prost(int64, repeated, tag = "3")]
    pub dims: Vec<i64>,
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

/// `TypeProto`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Type {
    /// What it is.
    #[prost(oneof = "Kind", tags = "1, 4, 5, 7, 8, 9")]
    pub kind: Option<Kind>,
}

/// What a value is.
#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum Kind {
    /// A tensor.
    #[prost(message, tag = "1")]
    Tensor(TensorType),
    /// A list of values.
    #[prost(message, tag = "4")]
    Sequence(Other),
    /// A table.
    #[prost(message, tag = "5")]
    Map(Other),
    /// Something that ONNX does not look into.
    #[prost(message, tag = "7")]
    Opaque(Other),
    /// A tensor of which most elements are zero.
    #[prost(message, tag = "8")]
    SparseTensor(Other),
    /// A value or none.
    #[prost(message, tag = "9")]
    Optional(Other),
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

/// `TensorShapeProto.Dimension`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Dimension {
    /// Length of the axis; none where any will do.
    #[prost(oneof = "Length", tags = "1, 2")]
    pub length: Option<Length>,
}

/// Length of an axis.
#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum Length {
    /// A fixed one.
    #[prost(int64, tag = "1")]
    Fixed(i64),
    /// Any, by a name.
    #[prost(string, tag = "2")]
    Named(String),
}

impl ValueInfo {
    /// A tensor of a fixed shape and kind of element.
    pub fn tensor(name: &str, shape: &[i64], elem_type: i32) -> Self {
        Self::of(name, shape.iter().map(|&length| Length::Fixed(length)), elem_type)
    }

    /// A tensor of these axes and kind of element.
    pub fn of(name: &str, axes: impl IntoIterator<Item = Length>, elem_type: i32) -> Self {
        let dim = axes.into_iter().map(|length| Dimension { length: Some(length) }).collect();
        let tensor = TensorType { elem_type, shape: Some(Shape { dim }) };
        Self { name: name.into(), r#type: Some(Type { kind: Some(Kind::Tensor(tensor)) }) }
    }

    /// Its kind of element; 0 where it is no tensor.
    pub fn kind(&self) -> i32 {
        self.tensor_type().map_or(0, |tensor| tensor.elem_type)
    }

    /// Its axes; none where it is no tensor or a length is not fixed.
    pub fn shape(&self) -> Option<Vec<i64>> {
        let fixed = |length| if let Length::Fixed(length) = length { Some(length) } else { None };
        self.axes()?.into_iter().map(fixed).collect()
    }

    /// Its axes, fixed or named; none where it is no tensor, or a length is neither.
    pub fn axes(&self) -> Option<Vec<Length>> {
        self.tensor_type()?.shape.as_ref()?.dim.iter().map(|axis| axis.length.clone()).collect()
    }

    fn tensor_type(&self) -> Option<&TensorType> {
        match self.r#type.as_ref()?.kind.as_ref()? {
            Kind::Tensor(tensor) => Some(tensor),
            Kind::Sequence(_) | Kind::Map(_) | Kind::Opaque(_) | Kind::SparseTensor(_) | Kind::Optional(_) => None,
        }
    }
}
