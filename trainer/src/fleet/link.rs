//! The only file of the trainer that knows rumqttc: one connection to the broker, MQTT 5.

use super::FleetError;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, PublishProperties, SubscribeReasonCode};
use rumqttc::v5::{Client, Connection, Event, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Where the broker is, and who we are to it.
#[derive(Clone)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Encryption, if there is any.
    pub tls: Option<Tls>,
    /// User and password.
    pub login: Option<(String, String)>,
}

/// Certificates in PEM.
#[derive(Clone)]
pub struct Tls {
    /// Of the authorities that the broker's certificate is by.
    pub ca: Vec<u8>,
    /// Our own certificate and its key.
    pub own: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker({}:{})", self.host, self.port)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Broker {
    /// The error of a connection to it.
    pub(super) fn lost(&self, reason: impl Into<String>) -> FleetError {
        FleetError::Broker { host: self.host.clone(), port: self.port, reason: reason.into() }
    }
}

/// One message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its topic.
    pub topic: String,
    /// What it says; nothing where a retained message was taken away.
    pub payload: Vec<u8>,
}

/// One connection. It is not mended: when it is lost, another one is opened.
pub(super) struct Link {
    broker: Broker,
    client: Client,
    signals: Receiver<Signal>,
    early: VecDeque<Heard>,
    packet_bytes: Option<u32>,
}

/// What happens on a connection.
enum Signal {
    Connected(Option<u32>),
    Subscribed,
    Denied,
    Message(Heard),
    Lost(String),
}

/// How long the broker may take for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Messages that wait to be written; whoever sends more waits as well.
const QUEUE: usize = 4;
/// Messages that nobody has read yet.
const UNREAD: usize = 16_384;
/// Longest message that we take.
const HEARD_BYTES: u32 = 256 << 10;
/// What a packet has beside topic and payload, with room to spare.
const OVERHEAD_BYTES: usize = 512;

impl Link {
    /// Connects and subscribes.
    pub(super) fn open(broker: &Broker, filters: &[String]) -> Result<Self, FleetError> {
        let (client, connection) = Client::new(options(broker)?, QUEUE);
        let (sender, signals) = sync_channel(UNREAD);
        let drive = move || drive(connection, &sender);
        std::thread::Builder::new()
            .name("broker".to_owned())
            .spawn(drive)
            .map_err(|error| broker.lost(error.to_string()))?;
        let early = VecDeque::new();
        let mut link = Self { broker: broker.clone(), client, signals, early, packet_bytes: None };
        link.packet_bytes = link.answer(|signal| match signal {
            Signal::Connected(most) => Some(*most),
            Signal::Subscribed | Signal::Denied | Signal::Message(_) | Signal::Lost(_) => None,
        })?;
        let wanted = filters.iter().map(|filter| Filter::new(filter.clone(), QoS::AtLeastOnce));
        link.client.subscribe_many(wanted).map_err(|error| broker.lost(error.to_string()))?;
        let granted = link.answer(|signal| match signal {
            Signal::Subscribed => Some(Ok(())),
            Signal::Denied => Some(Err(())),
            Signal::Connected(_) | Signal::Message(_) | Signal::Lost(_) => None,
        })?;
        granted.map_err(|()| broker.lost(format!("it refuses the subscription to {}", filters.join(", "))))?;
        Ok(link)
    }

    /// Waits for one kind of signal; messages that come meanwhile are kept.
    fn answer<T>(&mut self, wanted: impl Fn(&Signal) -> Option<T>) -> Result<T, FleetError> {
        loop {
            let signal = self.signals.recv_timeout(PATIENCE).map_err(|_late| self.broker.lost("it does not answer"))?;
            if let Some(found) = wanted(&signal) {
                return Ok(found);
            }
            match signal {
                Signal::Message(heard) => self.early.push_back(heard),
                Signal::Lost(reason) => return Err(self.broker.lost(reason)),
                Signal::Connected(_) | Signal::Subscribed | Signal::Denied => {}
            }
        }
    }

    /// The next message, if one comes in time.
    pub(super) fn next(&mut self, within: Duration) -> Result<Option<Heard>, FleetError> {
        if let Some(heard) = self.early.pop_front() {
            return Ok(Some(heard));
        }
        match self.signals.recv_timeout(within) {
            Ok(Signal::Message(heard)) => Ok(Some(heard)),
            Ok(Signal::Lost(reason)) => Err(self.broker.lost(reason)),
            Ok(Signal::Connected(_) | Signal::Subscribed | Signal::Denied) | Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.broker.lost("the connection has ended")),
        }
    }

    /// Sends a JSON message, at least once.
    pub(super) fn ask(&self, topic: &str, payload: Vec<u8>) -> Result<(), FleetError> {
        let properties = PublishProperties {
            payload_format_indicator: Some(1),
            content_type: Some("application/json".to_owned()),
            ..PublishProperties::default()
        };
        let sent = self.client.publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties);
        sent.map_err(|error| self.broker.lost(error.to_string()))
    }

    /// Sends bytes, at most once; waits while the broker is slow.
    pub(super) fn throw(&self, topic: &str, payload: Vec<u8>) -> Result<(), FleetError> {
        let bytes = u32::try_from(topic.len() + payload.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX);
        if let Some(most) = self.packet_bytes.filter(|most| bytes > *most) {
            return Err(FleetError::Packet { most });
        }
        let sent = self.client.publish(topic, QoS::AtMostOnce, false, payload);
        sent.map_err(|error| self.broker.lost(error.to_string()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The thread ends with the connection. Where there is none any more it has ended.
        drop(self.client.try_disconnect());
    }
}

fn options(broker: &Broker) -> Result<MqttOptions, FleetError> {
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(|error| broker.lost(format!("no random numbers: {error}")))?;
    let name = format!("ctedge-trainer-{}", data_encoding::HEXLOWER.encode(&name));
    let mut options = MqttOptions::new(name, &broker.host, broker.port);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_clean_start(true);
    options.set_connection_timeout(PATIENCE.as_secs());
    options.set_max_packet_size(Some(HEARD_BYTES));
    if let Some((user, password)) = &broker.login {
        options.set_credentials(user, password);
    }
    if let Some(Tls { ca, own }) = &broker.tls {
        // rumqttc asks for the process's provider; an error only says that there is one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let simple = TlsConfiguration::Simple { ca: ca.clone(), alpn: None, client_auth: own.clone() };
        options.set_transport(Transport::tls_with_config(simple));
    }
    Ok(options)
}

/// Turns the client's events into signals until the connection ends, or until too many wait: who reads them may itself wait for
/// us to send, so that waiting here could last for ever. What is retained is told again on the next connection.
fn drive(mut connection: Connection, signals: &SyncSender<Signal>) {
    while let Ok(event) = connection.recv() {
        let signal = match event {
            Err(error) => Signal::Lost(error.to_string()),
            Ok(Event::Incoming(Packet::ConnAck(answer))) => {
                Signal::Connected(answer.properties.and_then(|properties| properties.max_packet_size))
            }
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                let is_granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                if ack.return_codes.iter().all(is_granted) { Signal::Subscribed } else { Signal::Denied }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                Signal::Message(Heard { topic, payload: publish.payload.to_vec() })
            }
            Ok(_other) => continue,
        };
        let is_end = matches!(signal, Signal::Lost(_));
        if signals.try_send(signal).is_err() || is_end {
            return;
        }
    }
}
