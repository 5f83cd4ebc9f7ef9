//! One association, from its request to its end. The only code that knows dicom-ul, which takes messages of the upper
//! layer apart (PS3.8); how long they may be and take is decided here, before it sees them.

mod command;
mod negotiate;

use super::socket::Socket;
use super::store::{Draft, Meta, StoreError};
use super::worker::{Hall, Place};
use command::{Ask, Command, Status};
use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AbortRQSource, MAXIMUM_PDU_SIZE, PDataValue, PDataValueType, Pdu, read_pdu, write_pdu,
};
use negotiate::{Context, Rejection};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

/// Time for a caller to say what it wants, the handshake of TLS included.
const GREETING: Duration = Duration::from_secs(10);
/// Bytes of a request: 128 contexts with all syntaxes that there are take a tenth of it.
const REQUEST_BYTES: usize = 256 << 10;
/// Bytes of a command: a few UIDs and numbers.
const COMMAND_BYTES: usize = 64 << 10;

/// Whether a text has the form of a UID (PS3.5, 9.1).
fn is_uid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// An association that did not end as it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The peer is gone, too slow, or its certificate is not trusted.
    #[error("the connection: {}", .0.kind())]
    Connection(#[from] io::Error),
    /// The peer has ended it.
    #[error("the sender aborted")]
    Aborted,
    /// What it sent is no message, too long, or stands where it must not.
    #[error("not DICOM, or out of order")]
    Protocol,
}

/// Serves one caller until it leaves.
pub(super) fn serve(hall: &Hall, socket: Socket, from: IpAddr, place: &Place<'_>) -> Result<(), Broken> {
    let mut line = Line { socket, bytes: Vec::new() };
    let served = attend(hall, &mut line, from, place);
    place.rise();
    if matches!(served, Err(Broken::Protocol)) {
        let reason = AbortRQServiceProviderReason::ReasonNotSpecified;
        drop(line.send(&Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) }));
    }
    if matches!(served, Ok(()) | Err(Broken::Protocol)) {
        line.socket.leave();
    }
    served
}

fn attend(hall: &Hall, line: &mut Line, from: IpAddr, place: &Place<'_>) -> Result<(), Broken> {
    let Pdu::AssociationRQ(request) = line.receive(GREETING, REQUEST_BYTES)? else { return Err(Broken::Protocol) };
    let settings = &hall.order.settings;
    let seat = || if place.sit() { Ok(()) } else { Err(Rejection::Full) };
    if let Err(rejection) = negotiate::admit(settings, from, &request).and_then(|()| seat()) {
        let caller = negotiate::printable(&request.calling_ae_title);
        let mut tally = hall.tally();
        tally.rejected += 1;
        tally.rejection = Some(format!("{caller:?} at {}: {}", from.to_canonical(), rejection.name()));
        drop(tally);
        return line.send(&Pdu::AssociationRJ(rejection.answer()));
    }
    let (contexts, answer) = negotiate::agree(settings, &request);
    line.send(&Pdu::AssociationAC(answer))?;
    hall.tally().associations += 1;
    converse(hall, line, contexts, place)
}

fn converse(hall: &Hall, line: &mut Line, contexts: BTreeMap<u8, Context>, place: &Place<'_>) -> Result<(), Broken> {
    let idle = Duration::from_secs_f64(hall.order.settings.idle_s.clamp(1.0, 3600.0));
    let most = usize::try_from(hall.order.settings.pdu_bytes).unwrap_or(REQUEST_BYTES);
    let mut talk = Talk { hall, contexts, stage: Stage::NEXT };
    loop {
        match line.receive(idle, most)? {
            Pdu::PData { data } => {
                for value in data {
                    if let Some(answer) = talk.take(value)? {
                        line.send(&answer)?;
                    }
                }
            }
            Pdu::ReleaseRQ => {
                // Before the answer: who gets it may call again at once.
                place.rise();
                return line.send(&Pdu::ReleaseRP);
            }
            Pdu::AbortRQ { .. } => return Err(Broken::Aborted),
            Pdu::Unknown { .. }
            | Pdu::AssociationRQ(_)
            | Pdu::AssociationAC(_)
            | Pdu::AssociationRJ(_)
            | Pdu::ReleaseRP => return Err(Broken::Protocol),
        }
    }
}

/// What has been said, and what has to come next.
struct Talk<'a> {
    hall: &'a Hall,
    contexts: BTreeMap<u8, Context>,
    stage: Stage,
}

enum Stage {
    /// A command, or its rest.
    Command(u8, Vec<u8>),
    /// The rest of a data set: written, or dropped because it will be answered with that.
    Data(u8, Command, Result<Draft, Status>),
}

impl Stage {
    /// Between two messages.
    const NEXT: Self = Self::Command(0, Vec::new());
}

impl Talk<'_> {
    /// Takes the next piece; returns the answer when it was the last one of a message.
    fn take(&mut self, value: PDataValue) -> Result<Option<Pdu>, Broken> {
        let PDataValue { presentation_context_id: id, value_type, is_last, data } = value;
        match (std::mem::replace(&mut self.stage, Stage::NEXT), value_type) {
            (Stage::Command(begun, mut bytes), PDataValueType::Command)
                if (begun == id || bytes.is_empty()) && bytes.len() + data.len() <= COMMAND_BYTES =>
            {
                bytes.extend(data);
                if is_last {
                    return self.begin(id, &bytes);
                }
                self.stage = Stage::Command(id, bytes);
                Ok(None)
            }
            (Stage::Data(begun, command, draft), PDataValueType::Data) if begun == id => {
                let draft = draft.and_then(|mut draft| match draft.write(&data) {
                    Ok(()) => Ok(draft),
                    Err(error) => Err(self.failed(&error)),
                });
                if is_last {
                    return Ok(Some(answer(id, &command, self.end(draft))));
                }
                self.stage = Stage::Data(id, command, draft);
                Ok(None)
            }
            _ => Err(Broken::Protocol),
        }
    }

    /// A whole command: answers it, or waits for its data set.
    fn begin(&mut self, id: u8, bytes: &[u8]) -> Result<Option<Pdu>, Broken> {
        let command = Command::read(bytes).ok_or(Broken::Protocol)?;
        let context = self.contexts.get(&id).ok_or(Broken::Protocol)?;
        let draft = match command.ask {
            Ask::Echo => Err(Status::Success),
            Ask::Other(_) => Err(Status::UnrecognizedOperation),
            Ask::Store if command.class != context.class => Err(self.refused(Status::SopClassNotSupported)),
            Ask::Store if command.instance.is_empty() || !command.has_data => {
                Err(self.refused(Status::CannotUnderstand))
            }
            Ask::Store => {
                let meta = Meta { class: &command.class, instance: &command.instance, syntax: context.syntax };
                let order = &self.hall.order;
                let room = self.hall.has_room();
                let draft = room.and_then(|()| Draft::begin(&order.incoming, order.file_bytes, &meta));
                draft.map_err(|error| self.failed(&error))
            }
        };
        match draft {
            Err(status) if !command.has_data => Ok(Some(answer(id, &command, status))),
            draft => {
                self.stage = Stage::Data(id, command, draft);
                Ok(None)
            }
        }
    }

    /// A whole data set.
    fn end(&self, draft: Result<Draft, Status>) -> Status {
        match draft.map(Draft::keep) {
            Ok(Ok(())) => {
                self.hall.tally().stored += 1;
                Status::Success
            }
            Ok(Err(error)) => self.failed(&error),
            Err(status) => status,
        }
    }

    /// Notes that a data set is not what its sender said.
    fn refused(&self, status: Status) -> Status {
        self.hall.tally().refused += 1;
        status
    }

    /// Notes that a data set cannot be kept. The sender keeps it and may send it again.
    fn failed(&self, error: &StoreError) -> Status {
        let mut tally = self.hall.tally();
        tally.failed += 1;
        tally.failure = Some(error.to_string());
        Status::OutOfResources
    }
}

fn answer(id: u8, command: &Command, status: Status) -> Pdu {
    let data = command.answer(status);
    let value = PDataValue { presentation_context_id: id, value_type: PDataValueType::Command, is_last: true, data };
    Pdu::PData { data: vec![value] }
}

/// Whole messages over a socket.
struct Line {
    socket: Socket,
    bytes: Vec<u8>,
}

impl Line {
    /// The next message, of at most `most` bytes, all of it within `patience`.
    fn receive(&mut self, patience: Duration, most: usize) -> Result<Pdu, Broken> {
        /// Type, a byte that means nothing, and length.
        const HEAD: usize = 6;
        self.socket.within(patience);
        let mut head = [0u8; HEAD];
        self.socket.read_exact(&mut head)?;
        let [_kind, _reserved, a, b, c, d] = head;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > most {
            return Err(Broken::Protocol);
        }
        self.bytes.resize(HEAD + length, 0);
        let (start, body) = self.bytes.split_at_mut_checked(HEAD).ok_or(Broken::Protocol)?;
        start.copy_from_slice(&head);
        self.socket.read_exact(body)?;
        // Its length is settled, so that it has no more to say about it.
        match read_pdu(self.bytes.as_slice(), MAXIMUM_PDU_SIZE, false) {
            Ok(Some(pdu)) => Ok(pdu),
            // Its own words are not repeated: they may quote the message.
            Ok(None) | Err(_) => Err(Broken::Protocol),
        }
    }

    fn send(&mut self, pdu: &Pdu) -> Result<(), Broken> {
        /// Answers are small: a peer that does not take them in this time is gone.
        const SENDING: Duration = Duration::from_secs(10);
        self.bytes.clear();
        write_pdu(&mut self.bytes, pdu).map_err(|_unsaid| Broken::Protocol)?;
        self.socket.within(SENDING);
        self.socket.write_all(&self.bytes)?;
        Ok(self.socket.flush()?)
    }
}
