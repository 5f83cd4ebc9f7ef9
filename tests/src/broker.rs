//! An MQTT broker inside this process, for the demo.

use crate::process;
use anyhow::Context;
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Starts an MQTT 5 broker on a free loopback port and returns the port. It lives as long as the process.
pub fn start() -> anyhow::Result<u16> {
    let port = process::free_port()?;
    let connections = ConnectionSettings {
        connection_timeout_ms: 5_000,
        max_payload_size: 1 << 20,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: false,
    };
    let server = ServerSettings {
        name: "v5".to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    // The commit log is kept in memory for each filter: a demo has a few messages, so it may be small.
    let router = RouterConfig {
        max_connections: 16,
        max_outgoing_packet_count: 200,
        max_segment_size: 1 << 20,
        max_segment_count: 4,
        ..RouterConfig::default()
    };
    let config = Config { router, v5: Some(HashMap::from([("1".to_owned(), server)])), ..Config::default() };
    let mut broker = Broker::new(config);
    std::thread::Builder::new().name("broker".to_owned()).spawn(move || drop(broker.start()))?;
    process::wait_for_port(port, Duration::from_secs(10)).context("the embedded broker")?;
    Ok(port)
}
