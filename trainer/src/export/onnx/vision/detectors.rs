//! The volume tower's detectors in ONNX, operator by operator the twin of `net/vision/embed/detectors.rs`. No shape has more
//! than eight axes: `TensorRT` has no more.

use crate::eval::Detectors;
use crate::export::ExportError;
use crate::export::onnx::builder::{Builder, Value};
use ctedge_models::onnx::proto::Attribute;

/// Sizes (z, y, x) of what is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Of the input.
    pub(super) size: [usize; 3],
    /// Of a patch.
    pub(super) patch: [usize; 3],
}

impl Field {
    /// What the tokens are told by the detectors of a volume `[1, 1, z, y, x]`: `[1, T, C]`.
    pub(super) fn detectors(self, g: &mut Builder, volume: &Value, of: &Detectors) -> Result<Value, ExportError> {
        let first = self.blocks(g, "detectors/first", volume, of)?;
        let turned = self.turned(g, volume, of)?;
        let second = self.blocks(g, "detectors/second", &turned, of)?;
        // Both looks are rows of one product: the weights stand in the file once.
        let rows = g.node("Concat", "detectors/rows", &[&first, &second], vec![Attribute::int("axis", 1)]);
        let answers = self.answers(g, &rows, of)?;
        let kinds = ["ReduceMax", "ReduceMean"].map(|operator| {
            let settings = vec![Attribute::ints("axes", &[2]), Attribute::int("keepdims", 0)];
            g.node(operator, &format!("detectors/{operator}"), &[&answers], settings)
        });
        let joined = g.node("Concat", "detectors/joined", &kinds.each_ref(), vec![Attribute::int("axis", -1)]);
        g.linear("detectors", &joined, "detectors.project")
    }

    /// The volume from half a window further along each axis on; what stood before follows at the end.
    fn turned(self, g: &mut Builder, volume: &Value, of: &Detectors) -> Result<Value, ExportError> {
        let mut turned = volume.clone();
        let axes = ["z", "y", "x"].into_iter().zip(2..).zip(of.window.map(|edge| edge / 2).into_iter().zip(self.size));
        for ((name, axis), (first, edge)) in axes {
            let name = format!("detectors/further/{name}");
            let end = g.along(&format!("{name}/end"), &turned, axis, [first, edge])?;
            let start = g.along(&format!("{name}/start"), &turned, axis, [0, first])?;
            let axis = i64::try_from(axis).map_err(|source| ExportError::Length { length: axis, source })?;
            turned = g.node("Concat", &name, &[&end, &start], vec![Attribute::int("axis", axis)]);
        }
        Ok(turned)
    }

    /// The blocks of all windows, window after window, `[1, windows * blocks, bz * by * bx]`.
    fn blocks(self, g: &mut Builder, name: &str, volume: &Value, of: &Detectors) -> Result<Value, ExportError> {
        let at = |part: &str| format!("{name}/{part}");
        let ([z, y, x], [wz, wy, wx], [bz, by, bx]) = (self.size, of.window, of.block);
        let [windows, blocks] = self.counts(of);
        let split = g.reshape(&at("split"), volume, &[1, z / wz, wz, y / wy, wy, x / wx, wx])?;
        let turned = g.transpose(&at("windows"), &split, &[0, 1, 3, 5, 2, 4, 6]);
        let cut = g.reshape(&at("cut"), &turned, &[windows, wz / bz, bz, wy / by, by, wx / bx, bx])?;
        let gathered = g.transpose(&at("gathered"), &cut, &[0, 1, 3, 5, 2, 4, 6]);
        g.reshape(&at("rows"), &gathered, &[1, windows * blocks, bz * by * bx])
    }

    /// What two looks at the blocks say of the windows of each patch, `[1, T, windows, W]`.
    fn answers(self, g: &mut Builder, rows: &Value, of: &Detectors) -> Result<Value, ExportError> {
        let ([z, y, x], [pz, py, px], [wz, wy, wx]) = (self.size, self.patch, of.window);
        let ([windows, blocks], [_, each]) = (self.counts(of), of.blocks.down.weight.dims());
        let [_, width] = of.windows.down.weight.dims();
        let seen = g.network("detectors/block", rows, "detectors.blocks")?;
        let seen = g.gelu("detectors/seen", &seen)?;
        let seen = g.reshape("detectors/windows", &seen, &[1, 2 * windows, blocks * each])?;
        let told = g.network("detectors/window", &seen, "detectors.windows")?;
        let ([nz, ny, nx], [rz, ry, rx]) = ([z / pz, y / py, x / px], [pz / wz, py / wy, px / wx]);
        let told = g.reshape("detectors/patches", &told, &[2, nz, rz, ny, ry, nx, rx, width])?;
        let told = g.transpose("detectors/turned", &told, &[1, 3, 5, 0, 2, 4, 6, 7]);
        g.reshape("detectors/answers", &told, &[1, nz * ny * nx, 2 * rz * ry * rx, width])
    }

    /// Windows of a volume, and blocks of a window.
    fn counts(self, of: &Detectors) -> [usize; 2] {
        let [volume, window, block] = [self.size, of.window, of.block].map(|edges| edges.iter().product::<usize>());
        [volume / window, window / block]
    }
}
