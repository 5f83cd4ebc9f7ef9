//! Any bytes as the ONNX graph of a bundle.
#![no_main]

use ctedge_models::onnx::proto::{FLOAT, ValueInfo};
use ctedge_models::onnx::{self, Contract};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

fuzz_target!(|bytes: &[u8]| {
    let contract = Contract {
        opset: 17,
        inputs: vec![ValueInfo::tensor("x", &[1, 4], FLOAT)],
        outputs: vec![ValueInfo::tensor("y", &[1, 4], FLOAT)],
        control_flow: &["If".to_owned()],
        memory_bytes: 64 << 20,
        files: BTreeMap::from([("weights.bin", 16)]),
    };
    if let Err(refusal) = onnx::check(bytes.to_vec(), &contract) {
        assert!(refusal.code().starts_with("onnx_") && refusal.to_string().len() < 4096);
    }
});
