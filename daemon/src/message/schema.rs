//! The contract for machines: JSON Schema of every payload and one AsyncAPI document, made of the types that are sent.
//!
//! Committed under `daemon/contract/`, where a test holds them to the code. Within a major version fields are added and
//! never removed, and enumerations may grow: a schema accepts fields and values that it does not know, so that a subscriber
//! that validates with an old one goes on working.

use super::command::FETCH_EXPIRY_S;
use super::incident::Told;
use super::metrics::METRICS_EXPIRY_S;
use super::payload::{COMMAND_EXPIRY_S, DiskLow, EVENT_EXPIRY_S, Event, IdMap, RESULT_EXPIRY_S, Status, Versioned};
use super::result::{ReportPayload, Sent};
use super::{
    Capability, CommandRequest, CommandState, Counters, Fetch, Health, Incident, Info, Metrics, ModelChanged, Receipt,
    SCHEMA_MAJOR, SlotState, Topics,
};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// Minor version of every payload schema: rises when fields are added.
const SCHEMA_MINOR: u32 = 0;

/// Enumerations that will not grow within a major version: consumers may rely on knowing every value.
const CLOSED: [&str; 3] = ["Outcome", "Overall", "State"];

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Device,
    Subscriber,
}

/// One kind of message: where it is sent, and what it holds.
#[derive(Clone)]
pub(crate) struct Document {
    /// Name of the schema, the first half of a payload's `schema`.
    pub(crate) name: &'static str,
    /// What it says.
    about: &'static str,
    /// Below the device's root; in braces the levels that vary.
    topic: &'static str,
    /// The only values of the level that varies, where these are few.
    varies: &'static [&'static str],
    from: From,
    qos: u8,
    retained: bool,
    expiry_s: Option<u32>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("name", &self.name).field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// State, at a topic of its own name.
fn state(name: &'static str, about: &'static str, schema: fn(&mut SchemaGenerator) -> Schema) -> Document {
    let (topic, from) = (name, From::Device);
    Document { name, about, topic, varies: &[], from, qos: 1, retained: true, expiry_s: None, schema }
}

/// What the broker keeps for a day for whoever has a session.
fn passing(name: &'static str, about: &'static str, schema: fn(&mut SchemaGenerator) -> Schema) -> Document {
    Document { retained: false, expiry_s: Some(EVENT_EXPIRY_S), ..state(name, about, schema) }
}

/// What subscribers tell the device.
fn told(name: &'static str, about: &'static str, schema: fn(&mut SchemaGenerator) -> Schema) -> Document {
    Document { retained: false, from: From::Subscriber, ..state(name, about, schema) }
}

/// Every kind of message.
pub(crate) fn documents() -> Vec<Document> {
    [states().as_slice(), &occurrences(), &commands()].concat()
}

fn states() -> [Document; 6] {
    [
        state("status", "Whether the device is there; also its last will", of::<Status<'static>>),
        state("info", "Software, model, execution provider", of::<Versioned<'static, Info>>),
        state("health", "What is wrong with the device, if anything", of::<Versioned<'static, Health>>),
        state("counters", "What came in and what became of it", of::<Versioned<'static, Counters>>),
        Document {
            topic: "model/{slot}",
            varies: &["a", "b"],
            ..state("model", "What is in a slot for models", of::<Versioned<'static, SlotState>>)
        },
        Document {
            topic: "schema/{name}/{major}",
            ..state("schema", "With mqtt.schemas: the JSON Schema of a kind of message", of::<Schema>)
        },
    ]
}

fn occurrences() -> [Document; 9] {
    [
        Document {
            topic: "event/{type}",
            varies: &["study_received", "series_complete", "overdue"],
            ..passing("event", "What happened to a series on its way", of::<Event<'static>>)
        },
        Document {
            topic: "event/disk_low",
            ..passing("disk_low", "A disk has filled up by a level", of::<Told<'static, DiskLow>>)
        },
        Document {
            topic: "event/inference",
            ..passing("inference", "A step that the device took because inference hung", of::<Told<'static, Incident>>)
        },
        Document {
            topic: "event/model_changed",
            ..passing(
                "model_changed",
                "Another model counts, or it has proved itself",
                of::<Told<'static, ModelChanged>>,
            )
        },
        Document {
            topic: "result/{outcome}",
            varies: &["flagged", "inconclusive", "failed", "rejected", "clear"],
            expiry_s: Some(RESULT_EXPIRY_S),
            ..passing("result", "How a series ended, once for each series and revision", of::<Sent<'static>>)
        },
        Document {
            expiry_s: Some(RESULT_EXPIRY_S),
            ..passing("report", "The draft report of a result, unverified", of::<ReportPayload<'static>>)
        },
        passing(
            "idmap",
            "Who the patient of a result is; only where the site has switched that on",
            of::<IdMap<'static>>,
        ),
        Document {
            qos: 0,
            expiry_s: Some(METRICS_EXPIRY_S),
            ..passing("metrics", "With mqtt.metrics_s: numbers of the device", of::<Versioned<'static, Metrics>>)
        },
        told("receipt", "To the device: a subscriber has a result", of::<Receipt>),
    ]
}

fn commands() -> [Document; 4] {
    [
        Document {
            topic: "cmd/{name}",
            ..state("capability", "What the device can be told to do", of::<Capability<'static>>)
        },
        Document {
            topic: "cmd/{name}/{id}",
            expiry_s: Some(COMMAND_EXPIRY_S),
            ..state("command", "What became of a command", of::<CommandState<'static>>)
        },
        Document {
            topic: "cmd/{name}/{id}/request",
            ..told("request", "To the device: do it", of::<CommandRequest<'static>>)
        },
        Document {
            qos: 0,
            expiry_s: Some(FETCH_EXPIRY_S),
            ..passing("fetch", "Pieces of a bundle that the device asks for", of::<Told<'static, Fetch<'static>>>)
        },
    ]
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Document {
    /// JSON Schema 2020-12 of the payload, complete in itself.
    pub(crate) fn schema(&self) -> Value {
        let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        let reference = (self.schema)(&mut generator);
        let mut definitions = open(generator.take_definitions(true));
        let name = reference.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        let mut root = name.and_then(|name| definitions.remove(name)).unwrap_or_else(|| reference.clone().to_value());
        self.name_version(&mut root);
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": format!("urn:ctedge:schema:{}:{SCHEMA_MAJOR}.{SCHEMA_MINOR}", self.name),
            "title": self.name,
            "$comment": "Ignore fields and values that you do not know: a later minor version may add them.",
        });
        if let (Some(schema), Value::Object(root)) = (schema.as_object_mut(), root) {
            schema.extend(root.into_iter().filter(|(key, _)| key != "title"));
            if !definitions.is_empty() {
                schema.insert("$defs".to_owned(), Value::Object(definitions));
            }
        }
        schema
    }

    /// Has the field `schema` name this kind and major version.
    fn name_version(&self, schema: &mut Value) {
        if let Some(field) = schema.pointer_mut("/properties/schema") {
            *field = json!({
                "type": "string",
                "pattern": format!("^{}/{SCHEMA_MAJOR}\\.[0-9]+$", self.name),
                "description": "Name and version of this object.",
            });
        }
    }

    fn channel(&self, topics: &Topics) -> Value {
        let values = if self.varies.is_empty() { json!({}) } else { json!({ "enum": self.varies }) };
        let varying = self.topic.split('/').filter_map(|level| level.strip_prefix('{')?.strip_suffix('}'));
        let parameters: Map<String, Value> = varying.map(|level| (level.to_owned(), values.clone())).collect();
        json!({
            "address": topics.below(self.topic),
            "description": self.about,
            "messages": { self.name: { "$ref": format!("#/components/messages/{}", self.name) } },
            "parameters": parameters,
        })
    }

    fn operation(&self) -> Value {
        let action = match self.from {
            From::Device => "send",
            From::Subscriber => "receive",
        };
        let mut binding = json!({ "qos": self.qos, "retain": self.retained, "bindingVersion": "0.2.0" });
        if let (Some(binding), Some(seconds)) = (binding.as_object_mut(), self.expiry_s) {
            binding.insert("messageExpiryInterval".to_owned(), json!(seconds));
        }
        let channel = json!({ "$ref": format!("#/channels/{}", self.name) });
        json!({ "action": action, "channel": channel, "summary": self.about, "bindings": { "mqtt": binding } })
    }
}

/// Opens every enumeration that may grow.
fn open(definitions: Map<String, Value>) -> Map<String, Value> {
    let opened = definitions.into_iter().map(|(name, mut schema)| {
        if !CLOSED.contains(&name.as_str()) {
            open_one(&mut schema);
        }
        (name, schema)
    });
    opened.collect()
}

/// An enumeration becomes its known values or any other text.
fn open_one(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(values)) = object.remove("enum") {
        object.insert("examples".to_owned(), Value::Array(values));
    }
    let constants =
        |value: &Value| value.as_array().is_some_and(|all| all.iter().all(|one| one.get("const").is_some()));
    if object.get("oneOf").is_some_and(constants)
        && let Some(Value::Array(mut known)) = object.remove("oneOf")
    {
        known.push(json!({ "type": "string", "description": "Of a later version." }));
        object.insert("anyOf".to_owned(), Value::Array(known));
    }
}

/// The AsyncAPI 3.0 document of a device with these topics.
pub(crate) fn asyncapi(topics: &Topics) -> Value {
    let settings = SchemaSettings::draft07().for_serialize();
    let mut generator =
        settings.with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator();
    let documents = documents();
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    let mut roots = Vec::new();
    for document in &documents {
        let payload = (document.schema)(&mut generator);
        roots.extend(payload.get("$ref").and_then(Value::as_str).map(|path| (document, path.to_owned())));
        channels.insert(document.name.to_owned(), document.channel(topics));
        operations.insert(document.name.to_owned(), document.operation());
        let message = json!({
            "name": document.name,
            "title": document.about,
            "contentType": "application/json",
            "payload": payload,
            "bindings": { "mqtt": { "payloadFormatIndicator": 1, "contentType": "application/json", "bindingVersion": "0.2.0" } },
        });
        messages.insert(document.name.to_owned(), message);
    }
    for (place, piece) in [&mut channels, &mut operations, &mut messages].into_iter().zip(pieces(topics)) {
        place.insert("chunk".to_owned(), piece);
    }
    let mut schemas = open(generator.take_definitions(true));
    for (document, path) in roots {
        if let Some(schema) = path.rsplit('/').next().and_then(|name| schemas.get_mut(name)) {
            document.name_version(schema);
        }
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "ctedge",
            "version": format!("{SCHEMA_MAJOR}.{SCHEMA_MINOR}.0"),
            "description": "What a ctedge device says over MQTT, and what it hears. MQTT.md explains it to people.",
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
    })
}

/// Channel, operation and message of the pieces of bundles, the only ones that are no JSON.
fn pieces(topics: &Topics) -> [Value; 3] {
    let about = "To the device: a piece of a bundle that it has asked for, and nothing else";
    let channel = json!({
        "address": topics.below("chunk/{digest}/{part}/{n}"),
        "description": about,
        "messages": { "chunk": { "$ref": "#/components/messages/chunk" } },
        "parameters": { "digest": {}, "part": { "enum": ["list", "data"] }, "n": {} },
    });
    let bindings = json!({ "mqtt": { "qos": 0, "retain": false, "bindingVersion": "0.2.0" } });
    let operation = json!({
        "action": "receive", "channel": { "$ref": "#/channels/chunk" }, "summary": about, "bindings": bindings,
    });
    [channel, operation, json!({ "name": "chunk", "title": about, "contentType": "application/octet-stream" })]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `ctedge schema --write daemon/contract` makes the committed files.
    #[test]
    fn the_committed_contract_is_that_of_the_code() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract");
        let committed = |name: String| -> Value {
            serde_json::from_slice(&std::fs::read(folder.join(&name)).expect(&name)).unwrap()
        };
        for document in documents() {
            assert_eq!(committed(format!("{}.schema.json", document.name)), document.schema(), "{}", document.name);
        }
        let topics = Topics::new("ctedge", "ctedge").unwrap();
        assert_eq!(committed("asyncapi.json".to_owned()), asyncapi(&topics));
    }

    #[test]
    fn every_result_has_its_topic() {
        let all = documents();
        let result = all.iter().find(|document| document.name == "result").unwrap();
        assert_eq!(result.varies, crate::report::Outcome::ALL.map(crate::report::Outcome::name));
    }
}
