//! An entry as the XML message that audit repositories take (PS3.15, A.5.1).

use super::event::{Code, Entry, Object};
use data_encoding::BASE64;
use std::fmt::{self, Write};

/// One `AuditMessage`, a document of its own on one line; `device` is the source of the log.
///
/// What A.5.3 asks for and a pseudonymous log cannot have is left out: the patient, and the UIDs of study and instances. In
/// their place stand the pseudonyms, under codes of our own (`99CTEDGE`).
pub(crate) fn message(entry: &Entry, device: &str) -> String {
    let mut xml = String::new();
    // Writing to a text never fails.
    write(&mut xml, entry, device).ok();
    xml
}

fn write(xml: &mut String, entry: &Entry, device: &str) -> fmt::Result {
    let (device, by) = (escaped(device), escaped(&entry.by));
    write!(
        xml,
        r#"<?xml version="1.0" encoding="UTF-8"?><AuditMessage><EventIdentification EventActionCode="{}" EventDateTime="{}" EventOutcomeIndicator="{}">"#,
        escaped(&entry.action),
        escaped(&entry.at),
        entry.outcome
    )?;
    coded(xml, "EventID", &entry.event, "DCM")?;
    if let Some(kind) = &entry.kind {
        coded(xml, "EventTypeCode", kind, "DCM")?;
    }
    if let Some(detail) = &entry.detail {
        write!(xml, "<EventOutcomeDescription>{}</EventOutcomeDescription>", escaped(detail))?;
    }
    write!(
        xml,
        r#"</EventIdentification><ActiveParticipant UserID="{by}" AlternativeUserID="ctedge@{device}" UserIsRequestor="true">"#
    )?;
    coded(xml, "RoleIDCode", &Code { code: "110150".into(), meaning: "Application".into() }, "DCM")?;
    // 4: the process of an application.
    write!(
        xml,
        r#"</ActiveParticipant><AuditSourceIdentification AuditSourceID="{device}"><AuditSourceTypeCode csd-code="4"/></AuditSourceIdentification>"#
    )?;
    for object in &entry.objects {
        object_of(xml, object)?;
    }
    xml.write_str("</AuditMessage>")
}

fn coded(xml: &mut String, element: &str, Code { code, meaning }: &Code, system: &str) -> fmt::Result {
    let (code, meaning) = (escaped(code), escaped(meaning));
    write!(xml, r#"<{element} csd-code="{code}" codeSystemName="{system}" originalText="{meaning}"/>"#)
}

fn object_of(xml: &mut String, Object { kind, id, detail }: &Object) -> fmt::Result {
    // 3: a report; 13: a resource of security.
    let role = if matches!(kind.as_str(), "study_key" | "series_key" | "result") { 3 } else { 13 };
    write!(
        xml,
        r#"<ParticipantObjectIdentification ParticipantObjectID="{}" ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="{role}">"#,
        escaped(id)
    )?;
    let code = Code { code: kind.clone().into(), meaning: kind.replace('_', " ").into() };
    coded(xml, "ParticipantObjectIDTypeCode", &code, "99CTEDGE")?;
    write!(xml, "<ParticipantObjectName>{}</ParticipantObjectName>", escaped(kind))?;
    for (name, text) in detail {
        let value = BASE64.encode(text.as_bytes());
        write!(xml, r#"<ParticipantObjectDetail type="{}" value="{value}"/>"#, escaped(name))?;
    }
    xml.write_str("</ParticipantObjectIdentification>")
}

/// The text with what XML keeps for itself written otherwise; what no XML document may hold becomes a question mark.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&control) => escaped.push('?'),
            letter => escaped.push(letter),
        }
    }
    escaped
}
