//! The volume tower's stem in ONNX, operator by operator the twin of `net/vision/embed/stem.rs`. Runtimes convolve with channels
//! before cells, and the network with channels after: what turns a weight is folded when a graph is loaded.

use super::Writer;
use crate::device::EDGE;
use crate::eval::{LAYER_NORM_EPSILON, Stem};
use crate::experiment::STEM_CELL;
use crate::export::ExportError;
use crate::export::onnx::builder::{Builder, Value};
use ctedge_models::onnx::proto::Attribute;

impl Writer<'_> {
    /// What the tokens are told by the stem of a volume `[1, 1, z, y, x]`: `[1, T, C]`.
    pub(super) fn stem(&self, g: &mut Builder, volume: &Value, stem: &Stem) -> Result<Value, ExportError> {
        let mut map = volume.clone();
        let mut width = 1;
        for (index, layer) in stem.layers.iter().enumerate() {
            if index > 0 {
                map = g.transpose(&format!("stem/{index}/turned"), &map, &[0, 4, 1, 2, 3]);
            }
            let [_, outputs] = layer.filters.weight.dims();
            map = layer_of(g, &map, index, [width, outputs])?;
            width = outputs;
        }
        let ([z, y, x], [pz, py, px]) = (self.tower.input_size, self.tower.patch_size);
        let [rz, ry, rx] = [pz, py, px].map(|edge| edge / STEM_CELL);
        let split = g.reshape("stem/split", &map, &[z / pz, rz, y / py, ry, x / px, rx, width])?;
        let gathered = g.transpose("stem/gathered", &split, &[0, 2, 4, 1, 3, 5, 6]);
        let cells = g.reshape("stem/cells", &gathered, &[1, self.count, rz * ry * rx, width])?;
        let kinds = ["ReduceMax", "ReduceMean"].map(|operator| {
            let settings = vec![Attribute::ints("axes", &[2]), Attribute::int("keepdims", 0)];
            g.node(operator, &format!("stem/{operator}"), &[&cells], settings)
        });
        let joined = g.node("Concat", "stem/joined", &kinds.each_ref(), vec![Attribute::int("axis", -1)]);
        g.linear("stem", &joined, "stem.project")
    }
}

/// One layer of a map `[1, I, z, y, x]`: `[1, z', y', x', O]`.
fn layer_of(g: &mut Builder, map: &Value, index: usize, widths: [usize; 2]) -> Result<Value, ExportError> {
    let (at, [inputs, outputs]) = (|part: &str| format!("stem/{index}/{part}"), widths);
    let path = format!("stem.layers.{index}");
    let weight = g.weight(&format!("{path}.filters.weight"))?;
    let bias = g.weight(&format!("{path}.filters.bias"))?;
    let cells = g.reshape(&at("cells"), &weight, &[EDGE, EDGE, EDGE, inputs, outputs])?;
    let kernel = g.transpose(&at("kernel"), &cells, &[4, 3, 0, 1, 2]);
    let stride = if Stem::stride(index) == 1 { [1; 3] } else { [2; 3] };
    let settings = vec![
        Attribute::ints("kernel_shape", &[3; 3]),
        Attribute::ints("strides", &stride),
        Attribute::ints("pads", &[1; 6]),
    ];
    let map = g.node("Conv", &at("convolution"), &[map, &kernel, &bias], settings);
    let map = g.transpose(&at("channels"), &map, &[0, 2, 3, 4, 1]);
    let map = g.layer_norm(&at("norm"), &map, &format!("{path}.norm"), LAYER_NORM_EPSILON)?;
    g.gelu(&at("gelu"), &map)
}
