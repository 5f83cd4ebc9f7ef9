use super::proto::{
    Attribute, FLOAT, Function, Graph, INT64, Model, Node, OperatorSet, Other, SparseTensor, StringPair, Tensor,
    ValueInfo,
};
use super::*;
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;

fn contract() -> Contract<'static> {
    Contract {
        opset: 17,
        inputs: vec![ValueInfo::tensor("x", &[1, 4], FLOAT)],
        outputs: vec![ValueInfo::tensor("y", &[1, 4], FLOAT)],
        control_flow: &[],
        memory_bytes: 64 * MIB,
        files: BTreeMap::from([("weights.bin", 100), ("model.onnx", 1000), ("*/_ORT_MEM_ADDR_/*", 100)]),
    }
}

fn node(operator: &str, input: &[&str], output: &[&str]) -> Node {
    Node { op_type: operator.into(), input: owned(input), output: owned(output), ..Node::default() }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn tensor(name: &str, dims: &[i64], data_type: i32, raw: Vec<u8>) -> Tensor {
    Tensor { dims: dims.to_vec(), data_type, name: name.into(), raw_data: raw.into(), ..Tensor::default() }
}

fn whole(name: &str, values: &[i64]) -> Tensor {
    tensor(
        name,
        &[i64::try_from(values.len()).unwrap()],
        INT64,
        values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    )
}

/// y = x, and whatever a test adds.
fn model(change: impl FnOnce(&mut Model, &mut Graph)) -> Model {
    let Contract { inputs, outputs, .. } = contract();
    let mut graph =
        Graph { input: inputs, output: outputs, node: vec![node("Identity", &["x"], &["y"])], ..Graph::default() };
    let opset_import = vec![OperatorSet { domain: String::new(), version: 17 }];
    let mut model = Model { ir_version: 8, opset_import, ..Model::default() };
    change(&mut model, &mut graph);
    model.graph = Some(graph);
    model
}

fn with(change: impl FnOnce(&mut Graph)) -> Model {
    model(|_, graph| change(graph))
}

fn checked(model: &Model) -> Result<(), Refusal> {
    check(model.encode_to_vec(), &contract())
}

fn code(model: &Model) -> &'static str {
    checked(model).err().map_or("fine", |refusal| refusal.code())
}

#[test]
fn a_plain_graph_is_fine() {
    checked(&with(|_| ())).unwrap();
    checked(&with(|graph| graph.initializer.push(tensor("w", &[2, 2], FLOAT, vec![0; 16])))).unwrap();
}

#[test]
fn bytes_that_are_no_sound_file_are_refused() {
    let refusal = |bytes: &[u8]| check(bytes.to_vec(), &contract()).unwrap_err().code();
    assert_eq!(refusal(b"no graph"), "onnx_malformed");
    assert_eq!(refusal(b""), "onnx_version");
    let bytes = with(|_| ()).encode_to_vec();
    assert_eq!(refusal(&bytes[..bytes.len() - 1]), "onnx_malformed");
    let nowhere = model(|model, _| model.graph = None);
    assert_eq!(code(&Model { graph: None, ..nowhere }), "onnx_malformed");
    assert_eq!(code(&model(|model, _| model.training_info.push(Other {}))), "onnx_training");
    for broken in [
        with(|graph| graph.node[0].input[0] = "nobody".into()),
        with(|graph| graph.node.insert(0, node("Neg", &["y"], &["z"]))),
        with(|graph| graph.node.push(node("Neg", &["x"], &["y"]))),
        with(|graph| graph.node.clear()),
        with(|graph| graph.initializer.push(tensor("x", &[1], FLOAT, vec![0; 4]))),
    ] {
        assert_eq!(code(&broken), "onnx_malformed");
    }
}

/// Graphs in graphs, deeper than anything that computes.
#[test]
fn depth_ends_in_a_refusal_not_in_an_overflow() {
    let mut inner = Graph::default();
    for _ in 0..60 {
        let attribute = Attribute { name: "body".into(), g: Some(Box::new(inner)), ..Attribute::default() };
        let node = Node { attribute: vec![attribute], ..node("Loop", &[], &[]) };
        inner = Graph { node: vec![node], ..Graph::default() };
    }
    let refusal = checked(&with(|graph| graph.node.extend(inner.node))).unwrap_err();
    assert!(refusal.to_string().contains("recursion"), "{refusal}");
}

/// Two bytes for an empty message: a small file that would fill the memory.
#[test]
fn a_file_of_empty_messages_takes_no_more_memory_than_the_manifest_asks_for() {
    assert!(
        size_of::<Tensor>() < 400 && size_of::<Node>() < 400 && size_of::<Attribute>() < 400,
        "what read.rs counts on"
    );
    assert!(size_of::<Function>() < 400 && size_of::<SparseTensor>() < 1200 && size_of::<Graph>() < 400);
    let mut graph = vec![0x3a, 0x80, 0x80, 0x80, 0x10];
    graph.extend([0x2a, 0x00].repeat(1 << 24));
    let refusal = check(graph, &contract()).unwrap_err();
    assert_eq!((refusal.code(), refusal.to_string().contains("fields")), ("onnx_complex", true), "{refusal}");
}

#[test]
fn versions_and_ports_are_the_manifests() {
    assert_eq!(code(&model(|model, _| model.ir_version = 3)), "onnx_version");
    assert_eq!(code(&model(|model, _| model.ir_version = 14)), "onnx_version");
    assert_eq!(code(&model(|model, _| model.opset_import[0].version = 18)), "onnx_version");
    assert_eq!(code(&model(|model, _| model.opset_import.clear())), "onnx_version");
    let twice = OperatorSet { domain: "ai.onnx".into(), version: 17 };
    assert_eq!(code(&model(|model, _| model.opset_import.push(twice))), "onnx_version");
    let old = Contract { opset: 6, ..contract() };
    let model = model(|model, _| model.opset_import[0].version = 6);
    assert_eq!(check(model.encode_to_vec(), &old).unwrap_err().code(), "onnx_version");
    let named = |name: &str| {
        with(|graph| {
            graph.input[0].name = name.into();
            graph.node[0].input[0] = name.into();
        })
    };
    for other in [
        named("z"),
        with(|graph| graph.output[0] = ValueInfo::tensor("y", &[4, 1], FLOAT)),
        with(|graph| graph.output[0] = ValueInfo::tensor("y", &[1, 4], INT64)),
        with(|graph| graph.output.push(ValueInfo::tensor("x", &[1, 4], FLOAT))),
        with(|graph| graph.output[0].r#type = None),
        with(|graph| graph.output.clear()),
    ] {
        assert_eq!(code(&other), "onnx_shape");
    }
    // A length by name beside the right ones: not the manifest's shape, whatever is left out of it.
    let open = proto::Dimension { length: Some(proto::Length::Named("any".into())) };
    let named = with(|graph| {
        let kind = graph.output[0].r#type.as_mut().unwrap().kind.as_mut().unwrap();
        let proto::Kind::Tensor(tensor) = kind else { panic!("a tensor") };
        tensor.shape.as_mut().unwrap().dim.push(open);
    });
    assert_eq!(code(&named), "onnx_shape");
}

#[test]
fn external_data_lies_within_the_files_of_the_manifest() {
    let external = |pairs: &[(&str, &str)]| {
        let pair = |(key, value): &(&str, &str)| StringPair { key: (*key).into(), value: (*value).into() };
        let external_data = pairs.iter().map(pair).collect();
        Tensor { external_data, data_location: 1, ..tensor("w", &[5, 5], FLOAT, Vec::new()) }
    };
    let cases: [(&[(&str, &str)], &str); 16] = [
        (&[("location", "weights.bin")], "fine"),
        (&[("location", "weights.bin"), ("offset", "0"), ("length", "100"), ("checksum", "0")], "fine"),
        (&[("location", "/etc/passwd")], "no plain path"),
        (&[("location", "../weights.bin")], "no plain path"),
        (&[("location", "./weights.bin")], "no plain path"),
        (&[("location", "*/_ORT_MEM_ADDR_/*"), ("offset", "4096")], "no plain path"),
        (&[("location", "other.bin")], "no file that the manifest names"),
        (&[("location", "")], "no plain path"),
        (&[], "no plain path"),
        (&[("location", "weights.bin"), ("offset", "1")], "beyond the end"),
        (&[("location", "weights.bin"), ("offset", "18446744073709551615")], "beyond the end"),
        (&[("location", "weights.bin"), ("offset", "-1")], "no number"),
        (&[("location", "weights.bin"), ("length", "96")], "length 96"),
        (&[("location", "weights.bin"), ("length", "1000000")], "length 1000000"),
        (&[("location", "weights.bin"), ("location", "model.onnx")], "twice"),
        (&[("location", "weights.bin"), ("prepacked_0", "x|0|100|0")], "none that is read"),
    ];
    // Wherever a tensor can be.
    let attribute =
        |tensor: Tensor| Attribute { name: "value".into(), t: Some(Box::new(tensor)), ..Attribute::default() };
    let constant = |tensor: Tensor| Node { attribute: vec![attribute(tensor)], ..node("Constant", &[], &["c"]) };
    for (pairs, expected) in cases {
        let sparse = SparseTensor { values: Some(external(pairs)), indices: Some(whole("i", &[])), dims: vec![5] };
        let body = |tensor: Tensor| Attribute {
            g: Some(Box::new(Graph { initializer: vec![tensor], ..Graph::default() })),
            ..Attribute::default()
        };
        let function = Function {
            name: "f".into(),
            domain: "own".into(),
            node: vec![constant(external(pairs))],
            ..Function::default()
        };
        for found in [
            with(|graph| graph.initializer.push(external(pairs))),
            with(|graph| graph.node.push(constant(external(pairs)))),
            with(|graph| graph.sparse_initializer.push(sparse)),
            with(|graph| {
                graph.node.push(Node { attribute: vec![body(external(pairs))], ..node("Mean", &["x"], &["m"]) });
            }),
            model(|model, _| model.functions.push(function)),
        ] {
            match checked(&found) {
                Ok(()) => assert_eq!(expected, "fine"),
                Err(refusal) => {
                    assert!(refusal.to_string().contains(expected), "{expected}: {refusal}");
                    assert_eq!(refusal.code(), "onnx_external_data");
                }
            }
        }
    }
    let both = Tensor { raw_data: vec![0; 100].into(), ..external(&[("location", "weights.bin")]) };
    assert_eq!(code(&with(|graph| graph.initializer.push(both))), "onnx_external_data");
    let unsaid = Tensor { data_location: 0, ..external(&[("location", "weights.bin")]) };
    assert_eq!(code(&with(|graph| graph.initializer.push(unsaid))), "onnx_external_data");
}

#[test]
fn operators_are_onnxs_or_functions_made_of_them() {
    let of = |domain: &str, operator: &str| Node { domain: domain.into(), ..node(operator, &["x"], &["z"]) };
    let function = |domain: &str, name: &str, inside: Node| Function {
        name: name.into(),
        domain: domain.into(),
        input: owned(&["x"]),
        output: owned(&["z"]),
        node: vec![inside],
        ..Function::default()
    };
    assert_eq!(code(&with(|graph| graph.node.push(of("ai.onnx", "Neg")))), "fine");
    assert_eq!(code(&with(|graph| graph.node.push(of("com.microsoft", "EPContext")))), "onnx_domain");
    assert_eq!(code(&with(|graph| graph.node.push(of("own", "F")))), "onnx_domain");
    let calling = |functions: Vec<Function>| {
        model(|model, graph| {
            model.functions = functions;
            graph.node.push(of("own", "F"));
        })
    };
    assert_eq!(code(&calling(vec![function("own", "F", of("", "Neg"))])), "fine");
    assert_eq!(code(&calling(vec![function("own", "F", of("com.microsoft", "Gelu"))])), "onnx_domain");
    assert_eq!(code(&calling(vec![function("own", "F", of("", "Loop"))])), "onnx_control_flow");
    assert_eq!(code(&calling(vec![function("own", "F", of("own", "F"))])), "onnx_malformed");
    assert_eq!(
        code(&calling(vec![function("own", "F", of("own", "G")), function("own", "G", of("own", "F"))])),
        "onnx_malformed"
    );
    for taken in ["", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"] {
        assert_eq!(code(&calling(vec![function(taken, "F", of("", "Neg"))])), "onnx_domain", "{taken}");
    }
    let mut other = function("own", "F", of("", "Neg"));
    other.opset_import.push(OperatorSet { domain: String::new(), version: 13 });
    assert_eq!(code(&calling(vec![other])), "onnx_version");
}

/// Each function calls the next one twice: 2^30 nodes out of sixty.
#[test]
fn functions_that_multiply_are_refused() {
    let level = |depth: usize| {
        let call = |output: &str| Node { domain: "own".into(), ..node(&format!("f{}", depth + 1), &["x"], &[output]) };
        let node = if depth == 30 { vec![node("Neg", &["x"], &["a"])] } else { vec![call("a"), call("b")] };
        Function {
            name: format!("f{depth}"),
            domain: "own".into(),
            input: owned(&["x"]),
            output: owned(&["a"]),
            node,
            ..Function::default()
        }
    };
    let bomb = model(|model, graph| {
        model.functions = (0..=30).map(level).collect();
        graph.node.push(Node { domain: "own".into(), ..node("f0", &["x"], &["z"]) });
    });
    let refusal = checked(&bomb).unwrap_err();
    assert!(refusal.to_string().contains("nodes"), "{refusal}");
    // One node with ten thousand inputs, called a hundred times.
    let wide = model(|model, graph| {
        let inside = node("Max", &vec!["x"; 10_000], &["a"]);
        model.functions.push(Function { node: vec![inside], ..level(30) });
        let call = |number: usize| Node { domain: "own".into(), ..node("f30", &["x"], &[&format!("z{number}")]) };
        graph.node.extend((0..100).map(call));
    });
    assert!(checked(&wide).unwrap_err().to_string().contains("nodes"));
    let chain = model(|model, _| {
        let one = |depth: usize| Function {
            node: vec![Node { domain: "own".into(), ..node(&format!("f{}", depth + 1), &[], &[]) }],
            ..level(depth)
        };
        model.functions = (0..5000).map(one).collect();
    });
    assert_eq!(code(&chain), "onnx_complex");
}

#[test]
fn loops_are_declared() {
    for operator in CONTROL_FLOW {
        let body = Attribute { g: Some(Box::default()), name: "body".into(), ..Attribute::default() };
        let inside = Graph { node: vec![node(operator, &["x"], &["z"])], ..Graph::default() };
        let nested = Attribute { g: Some(Box::new(inside)), ..body.clone() };
        for attribute in [body, nested] {
            let looping =
                with(|graph| graph.node.push(Node { attribute: vec![attribute], ..node(operator, &["x"], &["z"]) }));
            assert_eq!(code(&looping), "onnx_control_flow");
            let declared = [operator.to_owned()];
            let contract = Contract { control_flow: &declared, ..contract() };
            assert_eq!(check(looping.encode_to_vec(), &contract), Ok(()));
        }
    }
}

#[test]
fn tensors_hold_what_their_shape_says_and_fit_into_the_memory() {
    let constant = |tensor: Tensor| code(&with(|graph| graph.initializer.push(tensor)));
    assert_eq!(constant(tensor("w", &[3], FLOAT, vec![0; 8])), "onnx_malformed");
    assert_eq!(constant(tensor("w", &[-1], FLOAT, Vec::new())), "onnx_malformed");
    assert_eq!(constant(tensor("w", &[1], 99, vec![0; 4])), "onnx_malformed");
    assert_eq!(constant(tensor("w", &[1; 65], FLOAT, vec![0; 4])), "onnx_malformed");
    assert_eq!(constant(tensor("w", &[0], FLOAT, Vec::new())), "fine");
    assert_eq!(constant(tensor("w", &[3], 22, vec![0; 2])), "fine", "two elements of four bits a byte");
    assert_eq!(constant(Tensor { float_data: vec![0; 8].into(), ..tensor("w", &[2], FLOAT, Vec::new()) }), "fine");
    assert_eq!(
        constant(Tensor { int64_data: vec![0x80, 0x01, 0].into(), ..tensor("w", &[2], INT64, Vec::new()) }),
        "fine"
    );
    assert_eq!(
        constant(Tensor { float_data: vec![0; 4].into(), ..tensor("w", &[1], FLOAT, vec![0; 4]) }),
        "onnx_malformed"
    );
    assert_eq!(constant(tensor("w", &[1 << 40], FLOAT, Vec::new())), "onnx_size");
    assert_eq!(constant(tensor("w", &[i64::MAX, i64::MAX], FLOAT, Vec::new())), "onnx_size");
    let sparse = SparseTensor {
        values: Some(tensor("s", &[1], FLOAT, vec![0; 4])),
        indices: Some(whole("i", &[0])),
        dims: vec![1 << 32],
    };
    assert_eq!(code(&with(|graph| graph.sparse_initializer.push(sparse))), "onnx_size");
    let many = with(|graph| {
        graph.initializer = (0..5).map(|n| tensor(&format!("w{n}"), &[4 << 20], FLOAT, vec![0; 16 << 20])).collect();
    });
    assert!(checked(&many).unwrap_err().to_string().contains("all constants together"));
    assert_eq!(
        code(&with(|graph| graph.value_info.push(ValueInfo::tensor("v", &[1 << 20, 1 << 20], FLOAT)))),
        "onnx_size"
    );
}

/// A graph with one more node that reads x and these constants.
fn grown(operator: &str, constants: &[Tensor], attribute: Vec<Attribute>) -> Model {
    with(|graph| {
        graph.initializer = constants.to_vec();
        let mut input = vec!["x".to_owned(), String::new()];
        if operator == "ConstantOfShape" || operator == "Range" || operator == "RandomNormal" {
            input.clear();
        } else if operator != "Resize" {
            input.truncate(1);
        }
        input.extend(constants.iter().map(|tensor| tensor.name.clone()));
        graph.node.push(Node { op_type: operator.into(), input, output: owned(&["z"]), attribute, ..Node::default() });
    })
}

#[test]
fn what_constants_ask_for_fits_into_the_memory() {
    let one = |operator: &str, values: &[i64]| code(&grown(operator, &[whole("n", values)], Vec::new()));
    for (operator, few, many) in [
        ("ConstantOfShape", [1000, 1000], [4000, 1_000_000]),
        ("Expand", [1000, 4], [100_000_000, 4]),
        ("Tile", [1000, 1], [1_000_000, 100]),
        ("Pad", [0, 0], [0, 100_000_000]),
        ("OneHot", [10, 0], [100_000_000, 0]),
    ] {
        let rest = if operator == "Pad" { vec![0, 0] } else { Vec::new() };
        assert_eq!(one(operator, &[few.as_slice(), &rest].concat()), "fine", "{operator}");
        assert_eq!(one(operator, &[many.as_slice(), &rest].concat()), "onnx_size", "{operator}");
    }
    let range = |limit: i64, step: i64| {
        let scalar = |name: &str, value: i64| Tensor { dims: Vec::new(), ..whole(name, &[value]) };
        code(&grown("Range", &[scalar("a", 0), scalar("b", limit), scalar("c", step)], Vec::new()))
    };
    assert_eq!((range(1000, 1), range(1 << 40, 1), range(1 << 40, 0)), ("fine", "onnx_size", "onnx_size"));
    let floats =
        |factor: f32| tensor("f", &[2], FLOAT, [factor, factor].iter().flat_map(|f| f.to_le_bytes()).collect());
    assert_eq!(code(&grown("Resize", &[floats(2.0)], Vec::new())), "fine");
    assert_eq!(code(&grown("Resize", &[floats(1e5)], Vec::new())), "onnx_size");
    assert_eq!(code(&grown("Resize", &[floats(f32::NAN)], Vec::new())), "onnx_size");
    let sizes = [tensor("f", &[0], FLOAT, Vec::new()), whole("n", &[1 << 20, 1 << 20])];
    assert_eq!(code(&grown("Resize", &sizes, Vec::new())), "onnx_size");
    let shape = |lengths: &[i64]| vec![Attribute::ints("shape", lengths)];
    assert_eq!(code(&grown("RandomNormal", &[], shape(&[10]))), "fine");
    assert_eq!(code(&grown("RandomNormal", &[], shape(&[1 << 40]))), "onnx_size");
}

/// The number is not there in one piece: it is computed, cast, passed into a function, or lies in another file.
#[test]
fn what_hides_a_length_is_followed() {
    let large = |nodes: Vec<Node>| {
        with(|graph| {
            graph.initializer = vec![whole("k", &[100_000]), whole("zero", &[0]), whole("two", &[2])];
            graph.node.extend(nodes);
            graph.node.push(node("ConstantOfShape", &["n"], &["z"]));
        })
    };
    let cast = Node { attribute: vec![Attribute::int("to", 7)], ..node("Cast", &["k"], &["c"]) };
    let ints =
        Node { attribute: vec![Attribute::ints("value_ints", &[100_000, 100_000])], ..node("Constant", &[], &["n"]) };
    for nodes in [
        vec![node("Mul", &["k", "k"], &["n"])],
        vec![node("Pow", &["k", "two"], &["n"])],
        vec![cast, node("Identity", &["c"], &["i"]), node("Concat", &["i", "k"], &["n"])],
        vec![node("Gather", &["k", "zero"], &["g"]), node("Concat", &["g", "g"], &["n"])],
        vec![ints],
    ] {
        assert_eq!(code(&large(nodes)), "onnx_size");
    }
    let call = model(|model, graph| {
        model.functions.push(Function {
            name: "F".into(),
            domain: "own".into(),
            input: owned(&["n"]),
            output: owned(&["z"]),
            node: vec![node("ConstantOfShape", &["n"], &["z"])],
            ..Function::default()
        });
        graph.initializer.push(whole("n", &[100_000, 100_000]));
        graph.node.push(Node { domain: "own".into(), ..node("F", &["n"], &["z"]) });
    });
    assert_eq!(code(&call), "onnx_size");
    // Nothing is known of what Neg makes, but that it is repeated twice over.
    let again = with(|graph| {
        graph.initializer.push(whole("k", &[10_000]));
        graph.node.push(node("Neg", &["x"], &["n"]));
        graph.node.push(node("Tile", &["n", "k"], &["t"]));
        graph.node.push(node("Tile", &["t", "k"], &["z"]));
    });
    assert_eq!(code(&again), "onnx_size");
    let location = StringPair { key: "location".into(), value: "weights.bin".into() };
    let elsewhere = Tensor { external_data: vec![location], data_location: 1, ..tensor("n", &[2], INT64, Vec::new()) };
    assert_eq!(code(&grown("ConstantOfShape", &[elsewhere], Vec::new())), "onnx_size");
}

#[test]
fn a_refusal_repeats_no_name_at_length() {
    let name = "x\n".repeat(1000);
    let refusal = checked(&with(|graph| graph.node.push(Node { domain: name, ..node("F", &[], &[]) }))).unwrap_err();
    let text = refusal.to_string();
    assert!(text.len() < 500 && !text.contains('\n'), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        drop(check(bytes, &contract()));
    }

    /// Bytes out of place in a file that holds everything there is.
    #[test]
    fn a_damaged_file_is_taken_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        shortened in any::<bool>(),
    ) {
        let mut bytes = rich().encode_to_vec();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if shortened {
            bytes.truncate(cut.index(bytes.len()));
        }
        drop(check(bytes, &contract()));
    }
}

/// A sound graph with something of every kind in it.
fn rich() -> Model {
    let declared = ["If".to_owned()];
    let rich = model(|model, graph| {
        model.functions.push(Function {
            name: "F".into(),
            domain: "own".into(),
            input: owned(&["a"]),
            output: owned(&["b"]),
            node: vec![node("Neg", &["a"], &["b"])],
            ..Function::default()
        });
        let body = Attribute {
            name: "then_branch".into(),
            g: Some(Box::new(Graph { node: vec![node("Neg", &["x"], &["inner"])], ..Graph::default() })),
            ..Attribute::default()
        };
        graph.initializer = vec![whole("n", &[2, 3]), tensor("f", &[2], FLOAT, vec![0; 8])];
        graph.value_info.push(ValueInfo::tensor("s", &[2, 3], FLOAT));
        graph.sparse_initializer.push(SparseTensor {
            values: Some(tensor("sparse", &[1], FLOAT, vec![0; 4])),
            indices: Some(whole("", &[0])),
            dims: vec![4],
        });
        graph.node.push(node("ConstantOfShape", &["n"], &["s"]));
        graph.node.push(node("Tile", &["s", "n"], &["t"]));
        graph.node.push(node("Resize", &["s", "", "f"], &["r"]));
        graph.node.push(Node { domain: "own".into(), ..node("F", &["t"], &["u"]) });
        graph.node.push(Node { attribute: vec![body], ..node("If", &["x"], &["v"]) });
    });
    assert_eq!(check(rich.encode_to_vec(), &Contract { control_flow: &declared, ..contract() }), Ok(()));
    rich
}
