//! Commands (PS3.7, 9.3): what a sender asks, and what it is answered. Pure.

use super::is_uid;

/// What a sender asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Store the data set that follows.
    Store,
    /// Say that you are there.
    Echo,
    /// What this provider does not do.
    Other(u16),
}

/// How it went (PS3.4, B.2.3; PS3.7, C).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Done. Of a data set: durable.
    Success,
    /// Not of the SOP class that was agreed on.
    SopClassNotSupported,
    /// An operation that this provider does not know.
    UnrecognizedOperation,
    /// It cannot be kept.
    OutOfResources,
    /// The command or its data set is none.
    CannotUnderstand,
}

impl Status {
    fn code(self) -> u16 {
        match self {
            Self::Success => 0x0000,
            Self::SopClassNotSupported => 0x0122,
            Self::UnrecognizedOperation => 0x0211,
            Self::OutOfResources => 0xa700,
            Self::CannotUnderstand => 0xc000,
        }
    }
}

/// A command set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// What is asked.
    pub(super) ask: Ask,
    /// Whether a data set follows.
    pub(super) has_data: bool,
    /// SOP Class UID.
    pub(super) class: String,
    /// SOP Instance UID; empty if there is none, or none of the right form.
    pub(super) instance: String,
    message: u16,
}

const STORE: u16 = 0x0001;
const ECHO: u16 = 0x0030;
/// Stands where no data set follows.
const NO_DATA: u16 = 0x0101;
/// Marks a command as an answer.
const ANSWER: u16 = 0x8000;

impl Command {
    /// Takes a command set apart: elements of group 0000 in implicit VR little endian (PS3.7, 6.3). `None` if it is none,
    /// or so broken that it cannot even be answered.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (mut ask, mut message, mut data) = (None, None, None);
        let (mut class, mut instance) = (String::new(), String::new());
        let mut rest = bytes;
        while !rest.is_empty() {
            let (&[group, group_high, element, element_high, a, b, c, d], after) = rest.split_first_chunk::<8>()?;
            if [group, group_high] != [0, 0] {
                return None;
            }
            let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
            let (value, after) = after.split_at_checked(length)?;
            rest = after;
            match u16::from_le_bytes([element, element_high]) {
                0x0002 => class = uid(value),
                0x0100 => ask = number(value),
                0x0110 => message = number(value),
                0x0800 => data = number(value),
                0x1000 => instance = uid(value),
                _ => {}
            }
        }
        let ask = match ask? {
            STORE => Ask::Store,
            ECHO => Ask::Echo,
            // An answer to what nobody has asked.
            answer if answer & ANSWER != 0 => return None,
            other => Ask::Other(other),
        };
        Some(Self { ask, has_data: data? != NO_DATA, class, instance, message: message? })
    }

    /// The command set that answers it.
    pub(super) fn answer(&self, status: Status) -> Vec<u8> {
        let ask = match self.ask {
            Ask::Store => STORE,
            Ask::Echo => ECHO,
            Ask::Other(other) => other,
        };
        let mut elements = Vec::new();
        let mut add = |element: u16, value: &[u8]| {
            elements.extend([0, 0]);
            elements.extend(element.to_le_bytes());
            elements.extend(u32::try_from(value.len()).unwrap_or_default().to_le_bytes());
            elements.extend(value);
        };
        let padded = |uid: &str| uid.bytes().chain(std::iter::repeat_n(0, uid.len() % 2)).collect::<Vec<_>>();
        if !self.class.is_empty() {
            add(0x0002, &padded(&self.class));
        }
        add(0x0100, &(ask | ANSWER).to_le_bytes());
        add(0x0120, &self.message.to_le_bytes());
        add(0x0800, &NO_DATA.to_le_bytes());
        add(0x0900, &status.code().to_le_bytes());
        if self.ask == Ask::Store && !self.instance.is_empty() {
            add(0x1000, &padded(&self.instance));
        }
        let length = u32::try_from(elements.len()).unwrap_or_default();
        [&[0, 0, 0, 0, 4, 0, 0, 0][..], &length.to_le_bytes(), &elements].concat()
    }
}

fn number(value: &[u8]) -> Option<u16> {
    value.try_into().ok().map(u16::from_le_bytes)
}

/// A UID without its padding; empty if it has not the form of one.
fn uid(value: &[u8]) -> String {
    let text = std::str::from_utf8(value).unwrap_or_default().trim_end_matches(['\0', ' ']);
    if is_uid(text) { text.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command(ask: u16, data: u16, instance: &str) -> Vec<u8> {
        let element = |element: u16, value: &[u8]| {
            let length = u32::try_from(value.len()).unwrap();
            [&[0, 0][..], &element.to_le_bytes(), &length.to_le_bytes(), value].concat()
        };
        [
            element(0x0002, b"1.2.840.10008.5.1.4.1.1.2\0"),
            element(0x0100, &ask.to_le_bytes()),
            element(0x0110, &7u16.to_le_bytes()),
            element(0x0700, &[0, 0]),
            element(0x0800, &data.to_le_bytes()),
            element(0x1000, instance.as_bytes()),
        ]
        .concat()
    }

    #[test]
    fn a_store_command_is_understood_and_answered() {
        let read = Command::read(&command(STORE, 1, "1.2.3.4\0")).unwrap();
        assert_eq!((read.ask, read.has_data, read.message), (Ask::Store, true, 7));
        assert_eq!((read.class.as_str(), read.instance.as_str()), ("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"));
        let answer = read.answer(Status::OutOfResources);
        let length = u32::from_le_bytes(answer[8..12].try_into().unwrap());
        assert_eq!(usize::try_from(length).unwrap() + 12, answer.len());
        assert!(answer.windows(10).any(|part| part == [0, 0, 0, 9, 2, 0, 0, 0, 0x00, 0xa7]), "the status");
        assert!(answer.windows(10).any(|part| part == [0, 0, 0x20, 1, 2, 0, 0, 0, 7, 0]), "whose answer");
        assert_eq!(Command::read(&answer), None, "an answer is no command");
    }

    #[test]
    fn what_is_no_uid_does_not_become_one() {
        for wrong in ["", "1.2/../3\0", "1.2.3 4 ", "ZQ"] {
            assert_eq!(Command::read(&command(STORE, 1, wrong)).unwrap().instance, "", "{wrong:?}");
        }
        let long = "1".repeat(66);
        assert_eq!(Command::read(&command(STORE, 1, &long)).unwrap().instance, "");
        assert_eq!(Command::read(&command(STORE, 1, &long[..64])).unwrap().instance.len(), 64);
    }

    #[test]
    fn other_operations_are_answered_and_broken_ones_are_not() {
        assert_eq!(Command::read(&command(0x0020, NO_DATA, "")).unwrap().ask, Ask::Other(0x0020));
        let whole = command(ECHO, NO_DATA, "");
        assert!(!Command::read(&whole).unwrap().has_data);
        assert_eq!(Command::read(&whole[..whole.len() - 1]), None);
        assert_eq!(Command::read(&[]), None);
        assert_eq!(Command::read(&[8, 0, 0, 0, 0, 0, 0, 0]), None, "a group of data sets");
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes: Vec<u8>, cut in 0usize..120, flip: u8) {
            let _ = Command::read(&bytes);
            let mut near = command(STORE, 1, "1.2.3.4\0");
            let at = cut % near.len();
            near[at] ^= flip;
            if let Some(read) = Command::read(&near) {
                prop_assert!(read.instance.is_empty() || is_uid(&read.instance));
                let _ = read.answer(Status::Success);
            }
        }
    }
}
