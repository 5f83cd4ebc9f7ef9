//! What the daemon told its broker, read off the bytes of the wire.

use super::proxy::{Piece, Way};
use std::collections::BTreeMap;

/// A result on its way to the broker, once for each time that it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) id: String,
    /// The ledger's name and the number of the result in it.
    pub(crate) number: (String, u64),
    /// When the last byte of it was under way, before the broker could have it.
    pub(crate) at: u64,
    /// When the broker's acknowledgement was under way, before the daemon could have it.
    pub(crate) acknowledged: Option<u64>,
}

/// A packet without its fixed header, and when its last byte was under way.
struct Packet {
    kind: u8,
    flags: u8,
    body: Vec<u8>,
    at: u64,
}

/// Control packets by number (MQTT 5, 2.1.2).
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;

/// Every result that was sent, in the order of the wire. The connections speak MQTT 5.
pub(crate) fn results(pieces: &[Piece]) -> Vec<Sent> {
    let connections: std::collections::BTreeSet<usize> = pieces.iter().map(|piece| piece.connection).collect();
    let mut all = Vec::new();
    for connection in connections {
        let of = |way| pieces.iter().filter(move |piece| (piece.connection, piece.way) == (connection, way));
        let acknowledged: BTreeMap<u16, u64> = packets(of(Way::Down))
            .into_iter()
            .filter(|packet| packet.kind == PUBACK)
            .filter_map(|packet| Some((number(&packet.body)?, packet.at)))
            .collect();
        let sent = packets(of(Way::Up)).into_iter().filter(|packet| packet.kind == PUBLISH);
        all.extend(sent.filter_map(|packet| result(&packet, &acknowledged)));
    }
    all
}

/// The packets of one way of a connection; what was cut off is left out.
fn packets<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Vec<Packet> {
    let mut bytes = Vec::new();
    let mut stamps = Vec::new();
    for piece in pieces {
        bytes.extend_from_slice(&piece.bytes);
        stamps.extend(std::iter::repeat_n(piece.at, piece.bytes.len()));
    }
    let (mut found, mut place) = (Vec::new(), 0);
    while let Some((kind, length, head)) = fixed_header(bytes.get(place..).unwrap_or_default()) {
        let end = place + head + length;
        let (Some(body), Some(&at)) = (bytes.get(place + head..end), stamps.get(end - 1)) else { break };
        found.push(Packet { kind: kind >> 4, flags: kind & 15, body: body.to_vec(), at });
        place = end;
    }
    found
}

/// First byte, length of the rest, and length of this header.
fn fixed_header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (length, digits) = variable(bytes.get(1..)?)?;
    Some((*bytes.first()?, length, 1 + digits))
}

/// A variable byte integer (MQTT 5, 1.5.5) and how many bytes it takes.
fn variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 127) << (7 * place);
        if byte & 128 == 0 {
            return Some((value, place + 1));
        }
    }
    None
}

fn number(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]))
}

fn result(packet: &Packet, acknowledged: &BTreeMap<u16, u64>) -> Option<Sent> {
    let topic = usize::from(number(&packet.body)?);
    let name = std::str::from_utf8(packet.body.get(2..2 + topic)?).ok()?;
    // Only what is sent with QoS 1 has a number, and every result is.
    if !name.contains("/result/") || packet.flags & 6 == 0 {
        return None;
    }
    let packet_number = number(packet.body.get(2 + topic..)?)?;
    let rest = packet.body.get(4 + topic..)?;
    let (properties, digits) = variable(rest)?;
    let payload: serde_json::Value = serde_json::from_slice(rest.get(digits + properties..)?).ok()?;
    let text = |key: &str| payload.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    Some(Sent {
        id: text("id"),
        number: (text("ledger"), payload.get("seq")?.as_u64()?),
        at: packet.at,
        acknowledged: acknowledged.get(&packet_number).copied(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_and_its_acknowledgement_are_found_in_pieces_of_any_size() {
        let payload = br#"{"id": "r1_x", "ledger": "l1", "seq": 7}"#;
        let topic = b"ctedge/v1/test/result/clear";
        let mut publish = vec![0x32, u8::try_from(2 + topic.len() + 2 + 1 + payload.len()).unwrap(), 0];
        publish.push(u8::try_from(topic.len()).unwrap());
        publish.extend([topic.as_slice(), &[0, 9, 0], payload].concat());
        let up: Vec<u8> = [[0xc0, 0].as_slice(), &publish, &[0x30]].concat();
        let pieces = |size: usize| -> Vec<Piece> {
            let of = |way, bytes: &[u8], from: u64| -> Vec<Piece> {
                let piece =
                    |(at, bytes): (u64, &[u8])| Piece { connection: 0, way, at: from + at, bytes: bytes.into() };
                (0..).zip(bytes.chunks(size)).map(piece).collect()
            };
            [of(Way::Up, &up, 0), of(Way::Down, &[0x40, 2, 0, 9], 1000)].concat()
        };
        for size in [1, 2, 7, 1000] {
            let found = results(&pieces(size));
            let last = u64::try_from((2 + publish.len() - 1) / size).unwrap();
            let acknowledged = Some(1000 + u64::try_from(3 / size).unwrap());
            let number = ("l1".to_owned(), 7);
            assert_eq!(found, [Sent { id: "r1_x".to_owned(), number, at: last, acknowledged }], "{size}");
        }
        assert_eq!(results(&pieces(1)[..20]), [], "cut off");
    }
}
