//! A tensor of a file as numbers of ours, in our order of axes.

use crate::net::weights::Array;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// A tensor's numbers; half precision becomes single.
pub(super) fn array(view: &TensorView<'_>) -> Result<Array, String> {
    let data = view.data();
    let (words, halves) = (data.as_chunks::<4>().0, data.as_chunks::<2>().0);
    let values = if view.dtype() == Dtype::F32 {
        words.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    } else if view.dtype() == Dtype::BF16 {
        halves.iter().map(|[low, high]| f32::from_le_bytes([0, 0, *low, *high])).collect()
    } else if view.dtype() == Dtype::F16 {
        halves.iter().map(|bytes| half(u16::from_le_bytes(*bytes))).collect()
    } else {
        return Err(format!("elements of type {:?}; F32, F16 and BF16 are read", view.dtype()));
    };
    Ok(Array { shape: view.shape().to_vec(), values })
}

/// A tensor in the shape of its parameter, and what was done for it; its own shape if it has no such form.
pub(super) fn fitted(target: &str, found: Array, expected: &[usize]) -> Result<(Array, &'static str), Vec<usize>> {
    let table = target.starts_with("text.embeddings") && target.ends_with(".weight");
    match (found.shape.as_slice(), expected) {
        // A vocabulary brings its own number of pieces.
        ([_, width], [_, dim]) if target == "text.embeddings.word.weight" && width == dim => Ok((found, "taken")),
        ([rows, width], [fewer, dim])
            if target == "text.embeddings.position.weight" && width == dim && rows > fewer =>
        {
            let values = found.values.into_iter().take(fewer * dim).collect();
            Ok((Array { shape: expected.to_vec(), values }, "first rows taken"))
        }
        ([outputs, inputs], [rows, columns]) if !table && (inputs, outputs) == (rows, columns) => {
            Ok((transposed(&found.values, expected), "transposed"))
        }
        // A convolution whose kernel is a patch is a matrix over the patch's voxels in the same order.
        ([outputs, 1, kernel @ ..], [rows, columns])
            if kernel.len() == 3 && outputs == columns && kernel.iter().product::<usize>() == *rows =>
        {
            Ok((transposed(&found.values, expected), "flattened and transposed"))
        }
        (given, expected) if given == expected && (table || expected.len() != 2) => Ok((found, "taken")),
        _ => Err(found.shape),
    }
}

/// Rows become columns: `[out, in]` as PyTorch has it to `[in, out]`.
fn transposed(values: &[f32], shape: &[usize]) -> Array {
    let [inputs, outputs] = [0, 1].map(|axis| shape.get(axis).copied().unwrap_or(0));
    let columns = (0..inputs).flat_map(|input| (0..outputs).map(move |output| output * inputs + input));
    let values = columns.filter_map(|place| values.get(place).copied()).collect();
    Array { shape: shape.to_vec(), values }
}

/// IEEE 754 half precision to single, exactly.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10) & 0x1f, u32::from(bits) & 0x3ff);
    let magnitude = match exponent {
        // Below the smallest normal number: a multiple of 2^-24.
        0 => return f32::from_bits(sign | (f32::from(bits & 0x3ff) / 16_777_216.0).to_bits()),
        31 => 0x7f80_0000 | (fraction << 13),
        _ => ((exponent + 112) << 23) | (fraction << 13),
    };
    f32::from_bits(sign | magnitude)
}
