//! Protobuf's fields as they stand in a file: what is not looked at is kept to the last byte.

use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

/// One field: its number, all of its bytes, and what they hold where that is a message, a text or bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) whole: &'a [u8],
    pub(super) inside: Option<&'a [u8]>,
}

/// The fields of a message in their order.
pub(super) fn fields(mut message: &[u8]) -> Result<Vec<Field<'_>>, String> {
    let broken = || "it is no protobuf".to_owned();
    let mut found = Vec::new();
    while !message.is_empty() {
        let start = message;
        let (number, kind) = decode_key(&mut message).map_err(|error| error.to_string())?;
        let inside = match kind {
            WireType::Varint => {
                decode_varint(&mut message).map_err(|error| error.to_string())?;
                None
            }
            WireType::SixtyFourBit => {
                (_, message) = message.split_at_checked(8).ok_or_else(broken)?;
                None
            }
            WireType::ThirtyTwoBit => {
                (_, message) = message.split_at_checked(4).ok_or_else(broken)?;
                None
            }
            WireType::LengthDelimited => {
                let length = decode_varint(&mut message).map_err(|error| error.to_string())?;
                let length = usize::try_from(length).map_err(|_error| broken())?;
                let (inside, rest) = message.split_at_checked(length).ok_or_else(broken)?;
                message = rest;
                Some(inside)
            }
            WireType::StartGroup | WireType::EndGroup => return Err(broken()),
        };
        let (whole, _) = start.split_at(start.len() - message.len());
        found.push(Field { number, whole, inside });
    }
    Ok(found)
}

/// Adds a message as a field.
pub(super) fn push(to: &mut Vec<u8>, number: u32, message: &[u8]) {
    encode_key(number, WireType::LengthDelimited, to);
    encode_varint(u64::try_from(message.len()).unwrap_or(u64::MAX), to);
    to.extend_from_slice(message);
}
