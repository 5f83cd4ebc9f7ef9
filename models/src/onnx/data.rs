//! Tensors in the file: whether they hold what their shape says, and where.

use super::contract::Contract;
use super::proto::{DOUBLE, FLOAT, INT32, INT64, STRING, SparseTensor, StringPair, Tensor};
use super::refusal::{Refusal, quoted};
use prost::bytes::{Buf, Bytes};
use prost::encoding::decode_varint;

/// Bits that an element takes in memory, by `TensorProto.DataType` from FLOAT (1) to INT2 (26); of words, their handle.
const BITS: [u64; 26] = [32, 8, 8, 16, 16, 32, 64, 256, 8, 16, 64, 32, 64, 64, 128, 16, 8, 8, 8, 8, 4, 4, 4, 8, 2, 2];

/// Most axes of a tensor, and most elements that are read as lengths or factors. Runtimes have 8 to 64 axes at most.
pub(super) const NUMBERS: usize = 64;

/// Bits that an element takes in memory; none for a kind that there is not.
pub(super) fn bits(kind: i32) -> Option<u64> {
    let place = usize::try_from(kind).ok()?.checked_sub(1)?;
    BITS.get(place).copied()
}

/// Checks a tensor; the bytes that it takes in memory.
pub(super) fn dense(tensor: &Tensor, contract: &Contract<'_>) -> Result<u64, Refusal> {
    let name = quoted(&tensor.name);
    let (elements, bytes) = extent(&name, &tensor.dims, tensor.data_type, contract)?;
    let wrong = |reason: String| Err(Refusal::ExternalData { tensor: name.clone(), reason });
    match tensor.data_location {
        0 if !tensor.external_data.is_empty() => wrong("the tensor does not say that it is external".into()),
        0 if holds(tensor, elements, bytes) => Ok(bytes),
        0 => Err(Refusal::malformed(format!("tensor {name} does not hold what its shape says"))),
        1 if holds(tensor, 0, 0) => external(&tensor.external_data, bytes, contract).map_or(Ok(bytes), wrong),
        1 => wrong("the tensor holds elements of its own as well".into()),
        other => wrong(format!("its elements lie at {other}, which is neither here nor in a file")),
    }
}

/// Checks a tensor of which most elements are zero; the bytes that it takes in memory, where it is a whole one.
pub(super) fn sparse(tensor: &SparseTensor, contract: &Contract<'_>) -> Result<u64, Refusal> {
    let SparseTensor { values: Some(values), indices: Some(indices), dims } = tensor else {
        return Err(Refusal::malformed("a sparse tensor lacks its values or their places"));
    };
    dense(values, contract)?;
    dense(indices, contract)?;
    extent(&quoted(&values.name), dims, values.data_type, contract).map(|(_, bytes)| bytes)
}

/// Elements and bytes of a shape.
fn extent(name: &str, dims: &[i64], kind: i32, contract: &Contract<'_>) -> Result<(u64, u64), Refusal> {
    let no_kind = || Refusal::malformed(format!("tensor {name} has elements of kind {kind}"));
    let bits = bits(kind).ok_or_else(no_kind)?;
    if dims.len() > NUMBERS {
        return Err(Refusal::malformed(format!("tensor {name} has {} axes, more than {NUMBERS}", dims.len())));
    }
    let mut elements = Some(1_u64);
    for &length in dims {
        let negative = |_| Refusal::malformed(format!("tensor {name} has an axis of {length}"));
        let length = u64::try_from(length).map_err(negative)?;
        elements = elements.and_then(|elements| elements.checked_mul(length));
    }
    let all = elements.and_then(|elements| Some((elements, elements.checked_mul(bits)?.div_ceil(8))));
    all.filter(|(_, bytes)| *bytes <= contract.memory_bytes).ok_or_else(|| Refusal::Size {
        what: format!("tensor {name}"),
        bytes: all.map_or_else(|| "more than 2^61".into(), |(_, bytes)| bytes.to_string()),
        most: contract.memory_bytes,
    })
}

/// Whether a tensor holds just these elements, in one of the places that there are for them.
fn holds(tensor: &Tensor, elements: u64, bytes: u64) -> bool {
    let length = |data: &Bytes| u64::try_from(data.len()).unwrap_or(u64::MAX);
    let words = u64::try_from(tensor.string_data.len()).unwrap_or(u64::MAX);
    // Elements of less than a byte share a number.
    let whole = if bits(tensor.data_type).is_some_and(|bits| bits < 8) { bytes } else { elements };
    let places = [
        (length(&tensor.raw_data), bytes),
        (length(&tensor.float_data), bytes),
        (length(&tensor.double_data), bytes),
        (varints(&tensor.int32_data), whole),
        (varints(&tensor.int64_data), elements),
        (varints(&tensor.uint64_data), elements),
        (words, elements),
    ];
    let mut used = places.into_iter().filter(|(found, _)| *found > 0);
    match (used.next(), used.next()) {
        (None, _) => elements == 0,
        (Some((found, expected)), None) => found == expected && (tensor.data_type == STRING) == (words > 0),
        (Some(_), Some(_)) => false,
    }
}

/// Numbers in a packed list: each ends with a byte whose highest bit is 0.
fn varints(data: &Bytes) -> u64 {
    u64::try_from(data.iter().filter(|byte| **byte < 0x80).count()).unwrap_or(u64::MAX)
}

/// What is wrong with a reference to another file, if anything is.
fn external(pairs: &[StringPair], bytes: u64, contract: &Contract<'_>) -> Option<String> {
    let (mut location, mut offset, mut length) = (None, None, None);
    for StringPair { key, value } in pairs {
        let place = match key.as_str() {
            "location" => &mut location,
            "offset" => &mut offset,
            "length" => &mut length,
            // ONNX Runtime passes it over; files have digests in the manifest.
            "checksum" => continue,
            _ => return Some(format!("key {} is none that is read", quoted(key))),
        };
        if place.replace(value.as_str()).is_some() {
            return Some(format!("{key} is there twice"));
        }
    }
    let location = location.unwrap_or_default();
    // ONNX Runtime takes some names with `*` for addresses in its memory.
    let plain = location.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    let steps = location.split('/').any(|part| part.is_empty() || part == "." || part == "..");
    if !plain || steps {
        return Some(format!("{} is no plain path within the bundle", quoted(location)));
    }
    let Some(file) = contract.files.get(location) else {
        return Some(format!("{} is no file that the manifest names", quoted(location)));
    };
    let number = |text: Option<&str>, absent: u64| text.map_or(Some(absent), |text| text.parse().ok());
    let (Some(offset), Some(length)) = (number(offset, 0), number(length, bytes)) else {
        return Some("offset or length is no number".into());
    };
    let end = offset.checked_add(length);
    if length != bytes {
        Some(format!("length {length}, but its shape needs {bytes} bytes"))
    } else if end.is_none_or(|end| end > *file) {
        Some(format!("{length} bytes at {offset} lie beyond the end of {}, which has {file}", quoted(location)))
    } else {
        None
    }
}

/// The elements of a short tensor as numbers; none where they lie elsewhere or are no numbers that lengths are made of.
pub(super) fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    let elements: i64 = tensor.dims.iter().try_fold(1_i64, |product, &length| product.checked_mul(length))?;
    if usize::try_from(elements).ok()? > NUMBERS {
        return None;
    }
    let raw = &tensor.raw_data;
    match tensor.data_type {
        INT64 if raw.is_empty() => unpacked(&tensor.int64_data),
        INT32 if raw.is_empty() => unpacked(&tensor.int32_data),
        INT64 => Some(raw.as_chunks().0.iter().map(|bytes| whole(i64::from_le_bytes(*bytes))).collect()),
        INT32 => Some(raw.as_chunks().0.iter().map(|bytes| f64::from(i32::from_le_bytes(*bytes))).collect()),
        FLOAT => {
            let data = if raw.is_empty() { &tensor.float_data } else { raw };
            Some(data.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect())
        }
        DOUBLE => {
            let data = if raw.is_empty() { &tensor.double_data } else { raw };
            Some(data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
        }
        _ => None,
    }
}

/// The numbers of a packed list.
fn unpacked(data: &Bytes) -> Option<Vec<f64>> {
    let (mut data, mut numbers) = (data.clone(), Vec::new());
    while data.has_remaining() {
        numbers.push(whole(decode_varint(&mut data).ok()?.cast_signed()));
    }
    Some(numbers)
}

/// A whole number as one that does not overflow.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "lengths; where digits are lost, it is far too large"
)]
pub(super) fn whole(number: i64) -> f64 {
    number as f64
}
