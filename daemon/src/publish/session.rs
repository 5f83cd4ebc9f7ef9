//! The only file that knows rumqttc: one connection, in MQTT 5 or 3.1.1.

use super::signal::{Grant, Heard, SessionError, Signal, Verdict, Version};
use super::{Settings, Tls};
use crate::floor::limits::IN_FLIGHT;
use crate::outbox::Message;
use rumqttc::v5::mqttbytes::v5::{
    LastWill as LastWill5, LastWillProperties, Packet as Packet5, PubAckReason, Publish as Publish5, PublishProperties,
    SubscribeReasonCode,
};
use rumqttc::{LastWill, NetworkOptions, Outgoing, Packet, QoS, TlsConfiguration, Transport, v5};
use std::fs;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// One connection. Dropping it cuts it.
pub(super) struct Session {
    client: Client,
    signals: Receiver<Signal>,
    driver: JoinHandle<SessionError>,
}

enum Client {
    Five(v5::AsyncClient),
    ThreeOneOne(rumqttc::AsyncClient),
}

/// Seconds for which the broker may take its time to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Seconds for which the broker waits with our last will, in case we come back.
const WILL_DELAY_S: u32 = 5;
/// Bytes that a packet has beside topic and payload, properties included, with room to spare.
const OVERHEAD_BYTES: usize = 512;
/// The packet number of messages of `QoS` 0, of which nobody waits for an answer.
const UNNUMBERED: u16 = 0;
/// Messages the client takes without waiting; more than we ever hand over at once.
const QUEUE: usize = 64;

impl Session {
    /// Starts to connect; [`Session::connected`] waits for it. `will` is what the broker says in our name when we are gone.
    pub(super) fn open(
        settings: &Settings,
        version: Version,
        name: &str,
        will: Option<Message>,
    ) -> Result<Self, SessionError> {
        let (sender, signals) = channel(QUEUE);
        let (client, driver) = match version {
            Version::Five => {
                let (client, events) = v5::AsyncClient::new(options_5(settings, name, will)?, QUEUE);
                (Client::Five(client), tokio::spawn(drive_5(events, sender)))
            }
            Version::ThreeOneOne => {
                let (client, events) = rumqttc::AsyncClient::new(options_311(settings, name, will)?, QUEUE);
                (Client::ThreeOneOne(client), tokio::spawn(drive_311(events, sender)))
            }
        };
        Ok(Self { client, signals, driver })
    }

    /// Waits until the broker has accepted us.
    pub(super) async fn connected(&mut self) -> Result<Grant, SessionError> {
        loop {
            match timeout(PATIENCE, self.next()).await {
                Err(_elapsed) => return Err(SessionError::Timeout),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(Signal::Connected(grant))) => return Ok(grant),
                Ok(Ok(_other)) => {}
            }
        }
    }

    /// What happens next. Loses nothing when it is cancelled.
    pub(super) async fn next(&mut self) -> Result<Signal, SessionError> {
        if let Some(signal) = self.signals.recv().await {
            return Ok(signal);
        }
        let ended = (&mut self.driver).await;
        Err(ended.unwrap_or_else(|error| SessionError::Lost { reason: error.to_string() }))
    }

    /// Hands a message over, `QoS` 1.
    pub(super) async fn publish(&self, message: Message) -> Result<(), SessionError> {
        let properties = properties(&message);
        let Message { topic, payload, retain, .. } = message;
        match &self.client {
            Client::Five(client) => {
                let published =
                    client.publish_with_properties(topic, v5::mqttbytes::QoS::AtLeastOnce, retain, payload, properties);
                published.await.map_err(|error| lost(&error))
            }
            Client::ThreeOneOne(client) => {
                client.publish(topic, QoS::AtLeastOnce, retain, payload).await.map_err(|error| lost(&error))
            }
        }
    }

    /// Hands a message over, `QoS` 0: no signal tells what becomes of it. Waits for nothing; where the client is busy, or
    /// the connection is gone, the message is dropped.
    pub(super) fn mention(&self, message: Message) {
        let properties = properties(&message);
        let Message { topic, payload, retain, .. } = message;
        match &self.client {
            Client::Five(client) => {
                let quality = v5::mqttbytes::QoS::AtMostOnce;
                client.try_publish_with_properties(topic, quality, retain, payload, properties).ok();
            }
            Client::ThreeOneOne(client) => {
                client.try_publish(topic, QoS::AtMostOnce, retain, payload).ok();
            }
        }
    }

    /// Asks for messages; [`Signal::Subscribed`] tells when the broker has agreed.
    pub(super) async fn ask_for(&self, filter: &str) -> Result<(), SessionError> {
        self.ask_at((v5::mqttbytes::QoS::AtLeastOnce, QoS::AtLeastOnce), filter).await
    }

    /// The same for messages that come once or never.
    pub(super) async fn ask_for_passing(&self, filter: &str) -> Result<(), SessionError> {
        self.ask_at((v5::mqttbytes::QoS::AtMostOnce, QoS::AtMostOnce), filter).await
    }

    async fn ask_at(&self, quality: (v5::mqttbytes::QoS, QoS), filter: &str) -> Result<(), SessionError> {
        match &self.client {
            Client::Five(client) => client.subscribe(filter, quality.0).await.map_err(|error| lost(&error)),
            Client::ThreeOneOne(client) => client.subscribe(filter, quality.1).await.map_err(|error| lost(&error)),
        }
    }

    /// Subscribes and waits for the broker's word.
    pub(super) async fn subscribe(&mut self, filter: &str) -> Result<(), SessionError> {
        self.ask_for(filter).await?;
        loop {
            match timeout(PATIENCE, self.next()).await.map_err(|_elapsed| SessionError::Timeout)?? {
                Signal::Subscribed => return Ok(()),
                Signal::Denied => {
                    return Err(SessionError::Lost { reason: "the broker refuses the subscription".to_owned() });
                }
                Signal::Connected(_) | Signal::Sent(_) | Signal::Answered(..) | Signal::Message(_) => {}
            }
        }
    }

    /// Takes leave, so that the broker does not publish our last will.
    pub(super) async fn disconnect(&mut self, within: Duration) {
        let asked = match &self.client {
            Client::Five(client) => client.disconnect().await.is_ok(),
            Client::ThreeOneOne(client) => client.disconnect().await.is_ok(),
        };
        // The driver ends once the packet is out.
        let gone = async { while asked && self.next().await.is_ok() {} };
        drop(timeout(within, gone).await);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What MQTT 5 says beside a message.
fn properties(message: &Message) -> PublishProperties {
    PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: message.expiry_s,
        correlation_data: message.correlation.clone().map(Into::into),
        content_type: Some("application/json".to_owned()),
        ..PublishProperties::default()
    }
}

fn lost(error: &dyn std::fmt::Display) -> SessionError {
    SessionError::Lost { reason: error.to_string() }
}

fn packet_bytes(settings: &Settings) -> usize {
    settings.message_bytes.saturating_add(OVERHEAD_BYTES)
}

fn options_5(settings: &Settings, name: &str, will: Option<Message>) -> Result<v5::MqttOptions, SessionError> {
    let mut options = v5::MqttOptions::new(name, &settings.host, settings.port);
    options.set_keep_alive(Duration::from_secs(settings.keep_alive_s.into()));
    options.set_clean_start(true);
    options.set_connection_timeout(PATIENCE.as_secs());
    options.set_max_packet_size(u32::try_from(packet_bytes(settings)).ok());
    options.set_outgoing_inflight_upper_limit(IN_FLIGHT * 2);
    if let Some(user) = &settings.username {
        options.set_credentials(user, password(settings)?);
    }
    if let Some(tls) = &settings.tls {
        options.set_transport(transport(tls)?);
    }
    if let Some(Message { topic, payload, retain, .. }) = will {
        let properties = LastWillProperties {
            delay_interval: Some(WILL_DELAY_S),
            payload_format_indicator: Some(1),
            message_expiry_interval: None,
            content_type: Some("application/json".to_owned()),
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        let will = LastWill5::new(topic, payload, v5::mqttbytes::QoS::AtLeastOnce, retain, Some(properties));
        options.set_last_will(will);
    }
    Ok(options)
}

fn options_311(settings: &Settings, name: &str, will: Option<Message>) -> Result<rumqttc::MqttOptions, SessionError> {
    let mut options = rumqttc::MqttOptions::new(name, &settings.host, settings.port);
    options.set_keep_alive(Duration::from_secs(settings.keep_alive_s.into()));
    options.set_clean_session(true);
    options.set_max_packet_size(packet_bytes(settings), packet_bytes(settings));
    options.set_inflight(IN_FLIGHT * 2);
    if let Some(user) = &settings.username {
        options.set_credentials(user, password(settings)?);
    }
    if let Some(tls) = &settings.tls {
        options.set_transport(transport(tls)?);
    }
    if let Some(Message { topic, payload, retain, .. }) = will {
        options.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, retain));
    }
    Ok(options)
}

fn password(settings: &Settings) -> Result<String, SessionError> {
    settings.password().map_err(|source| SessionError::File { what: "mqtt.password_file", source })
}

fn transport(tls: &Tls) -> Result<Transport, SessionError> {
    // rumqttc asks for the process's provider; an error only says that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let read = |what, path| fs::read(path).map_err(|source| SessionError::File { what, source });
    let ca = read("mqtt.tls.ca", &tls.ca)?;
    let client_auth = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            Some((read("mqtt.tls.certificate", certificate)?, read("mqtt.tls.key", key)?))
        }
        _ => None,
    };
    Ok(Transport::tls_with_config(TlsConfiguration::Simple { ca, alpn: None, client_auth }))
}

/// Turns the client's events into signals until the connection ends. In a task of its own: `poll` may not be cancelled.
async fn drive_5(mut events: v5::EventLoop, signals: Sender<Signal>) -> SessionError {
    loop {
        let signal = match events.poll().await {
            Err(error) => return lost(&error),
            Ok(v5::Event::Outgoing(Outgoing::Publish(packet))) if packet != UNNUMBERED => Signal::Sent(packet),
            Ok(v5::Event::Incoming(Packet5::ConnAck(answer))) => {
                let properties = answer.properties.as_ref();
                let receive_max = properties.and_then(|properties| properties.receive_max).unwrap_or(IN_FLIGHT);
                let packet_bytes = properties.and_then(|properties| properties.max_packet_size);
                Signal::Connected(Grant { in_flight: receive_max.min(IN_FLIGHT), packet_bytes })
            }
            Ok(v5::Event::Incoming(Packet5::PubAck(ack))) => Signal::Answered(ack.pkid, verdict(ack.reason)),
            Ok(v5::Event::Incoming(Packet5::SubAck(ack))) => {
                let is_granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                if ack.return_codes.iter().all(is_granted) { Signal::Subscribed } else { Signal::Denied }
            }
            Ok(v5::Event::Incoming(Packet5::Publish(publish))) => Signal::Message(heard_5(publish)),
            Ok(_other) => continue,
        };
        if signals.send(signal).await.is_err() {
            return SessionError::Timeout;
        }
    }
}

fn heard_5(publish: Publish5) -> Heard {
    let properties = publish.properties.unwrap_or_default();
    Heard {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload.to_vec(),
        retained: publish.retain,
        response_topic: properties.response_topic,
        correlation: properties.correlation_data.map(|data| data.to_vec()),
    }
}

fn verdict(reason: PubAckReason) -> Verdict {
    match reason {
        PubAckReason::Success => Verdict::Taken,
        PubAckReason::NoMatchingSubscribers => Verdict::Nobody,
        PubAckReason::UnspecifiedError => Verdict::Refused("unspecified error"),
        PubAckReason::ImplementationSpecificError => Verdict::Refused("implementation specific error"),
        PubAckReason::NotAuthorized => Verdict::Refused("not authorized"),
        PubAckReason::TopicNameInvalid => Verdict::Refused("topic name invalid"),
        PubAckReason::PacketIdentifierInUse => Verdict::Refused("packet identifier in use"),
        PubAckReason::QuotaExceeded => Verdict::Refused("quota exceeded"),
        PubAckReason::PayloadFormatInvalid => Verdict::Refused("payload format invalid"),
    }
}

/// As [`drive_5`], for MQTT 3.1.1, which cannot refuse a message.
async fn drive_311(mut events: rumqttc::EventLoop, signals: Sender<Signal>) -> SessionError {
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(PATIENCE.as_secs());
    events.set_network_options(network);
    loop {
        let signal = match events.poll().await {
            Err(error) => return lost(&error),
            Ok(rumqttc::Event::Outgoing(Outgoing::Publish(packet))) if packet != UNNUMBERED => Signal::Sent(packet),
            Ok(rumqttc::Event::Incoming(Packet::ConnAck(_))) => {
                Signal::Connected(Grant { in_flight: IN_FLIGHT, packet_bytes: None })
            }
            Ok(rumqttc::Event::Incoming(Packet::PubAck(ack))) => Signal::Answered(ack.pkid, Verdict::Taken),
            Ok(rumqttc::Event::Incoming(Packet::SubAck(ack))) => {
                let is_denied = ack.return_codes.contains(&rumqttc::SubscribeReasonCode::Failure);
                if is_denied { Signal::Denied } else { Signal::Subscribed }
            }
            Ok(rumqttc::Event::Incoming(Packet::Publish(publish))) => {
                let (payload, retained) = (publish.payload.to_vec(), publish.retain);
                let (topic, response_topic, correlation) = (publish.topic, None, None);
                Signal::Message(Heard { topic, payload, retained, response_topic, correlation })
            }
            Ok(_other) => continue,
        };
        if signals.send(signal).await.is_err() {
            return SessionError::Timeout;
        }
    }
}
