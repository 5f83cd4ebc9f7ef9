//! Whom we let in, and what we agree on (PS3.8, 9.3). Pure.

use super::is_uid;
use crate::receive::Settings;
use crate::receive::store::IMPLEMENTATION;
use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceProviderPresentationReason, AssociationRJServiceUserReason, AssociationRJSource, AssociationRQ,
    PresentationContextProposed, PresentationContextResult, PresentationContextResultReason, UserVariableItem,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A SOP class and the transfer syntax in which its data sets come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) class: String,
    pub(super) syntax: &'static str,
}

/// Why an association is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejection {
    /// The address is not among those that may call.
    Address,
    /// There are as many associations as may be.
    Full,
    /// Of a protocol or an application that is not ours.
    Foreign,
    /// Somebody else was called.
    Called,
    /// The caller is not among those that may.
    Calling,
}

impl Rejection {
    /// What the log says.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Address => "its address is not in receive.addresses",
            Self::Full => "there are as many associations as receive.associations allows",
            Self::Foreign => "it speaks another protocol",
            Self::Called => "it does not call receive.ae_title",
            Self::Calling => "it is not in receive.peers",
        }
    }

    /// What the caller is told.
    pub(super) fn answer(self) -> AssociationRJ {
        use AssociationRJServiceUserReason as User;
        let source = match self {
            Self::Address => AssociationRJSource::ServiceUser(User::NoReasonGiven),
            Self::Full => AssociationRJSource::ServiceProviderPresentation(
                AssociationRJServiceProviderPresentationReason::LocalLimitExceeded,
            ),
            Self::Foreign => AssociationRJSource::ServiceProviderASCE(
                AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported,
            ),
            Self::Called => AssociationRJSource::ServiceUser(User::CalledAETitleNotRecognized),
            Self::Calling => AssociationRJSource::ServiceUser(User::CallingAETitleNotRecognized),
        };
        let result = if self == Self::Full { AssociationRJResult::Transient } else { AssociationRJResult::Permanent };
        AssociationRJ { result, source }
    }
}

/// Whether a request may be let in.
pub(super) fn admit(settings: &Settings, from: IpAddr, request: &AssociationRQ) -> Result<(), Rejection> {
    /// The DICOM application context (PS3.7, A.2.1).
    const APPLICATION: &str = "1.2.840.10008.3.1.1.1";
    let is_among = |title: &str| settings.peers.iter().any(|peer| peer == "*" || peer == title);
    if !settings.addresses.is_empty() && !settings.addresses.iter().any(|network| network.holds(from)) {
        return Err(Rejection::Address);
    }
    if request.protocol_version & 1 == 0 || plain(&request.application_context_name) != APPLICATION {
        return Err(Rejection::Foreign);
    }
    if plain(&request.called_ae_title) != settings.ae_title {
        return Err(Rejection::Called);
    }
    if is_among(plain(&request.calling_ae_title)) { Ok(()) } else { Err(Rejection::Calling) }
}

/// Settles each context that is proposed.
pub(super) fn agree(settings: &Settings, request: &AssociationRQ) -> (BTreeMap<u8, Context>, AssociationAC) {
    let mut agreed = BTreeMap::new();
    let mut results = Vec::new();
    for proposed in &request.presentation_contexts {
        let settled = settle(proposed);
        let (reason, syntax) = match &settled {
            Ok(context) => (PresentationContextResultReason::Acceptance, context.syntax),
            // A syntax has to stand here and means nothing.
            Err(reason) => (reason.clone(), IMPLICIT),
        };
        results.push(PresentationContextResult { id: proposed.id, reason, transfer_syntax: syntax.to_owned() });
        agreed.extend(settled.ok().map(|context| (proposed.id, context)));
    }
    let answer = AssociationAC {
        protocol_version: 1,
        calling_ae_title: request.calling_ae_title.clone(),
        called_ae_title: request.called_ae_title.clone(),
        application_context_name: request.application_context_name.clone(),
        presentation_contexts: results,
        user_variables: vec![
            UserVariableItem::MaxLength(settings.pdu_bytes),
            UserVariableItem::ImplementationClassUID(IMPLEMENTATION.to_owned()),
            UserVariableItem::ImplementationVersionName("CTEDGE".to_owned()),
        ],
    };
    (agreed, answer)
}

/// Implicit VR little endian: what everybody has to speak (PS3.5, 10.1).
const IMPLICIT: &str = "1.2.840.10008.1.2";

/// Takes any storage class, so that a scanner's dose report or scout is no failure to it, in the first of its syntaxes that
/// the reader decodes.
fn settle(proposed: &PresentationContextProposed) -> Result<Context, PresentationContextResultReason> {
    const VERIFICATION: &str = "1.2.840.10008.1.1";
    /// Storage classes of the standard lie below this, and nothing else does (PS3.6, A).
    const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";
    let class = plain(&proposed.abstract_syntax);
    if !is_uid(class) || (class != VERIFICATION && !class.starts_with(STORAGE)) {
        return Err(PresentationContextResultReason::AbstractSyntaxNotSupported);
    }
    let known = |syntax: &String| ctedge_models::scan::transfer_syntaxes().find(|known| *known == plain(syntax));
    match proposed.transfer_syntaxes.iter().find_map(known) {
        Some(syntax) => Ok(Context { class: class.to_owned(), syntax }),
        None => Err(PresentationContextResultReason::TransferSyntaxesNotSupported),
    }
}

/// A text without its padding.
fn plain(text: &str) -> &str {
    text.trim_matches(['\0', ' '])
}

/// A title as it may stand in a log: foreign text, cut down to what a title may hold.
pub(super) fn printable(title: &str) -> String {
    let sign = |letter: char| if letter.is_ascii_alphanumeric() || "_-. ".contains(letter) { letter } else { '?' };
    plain(title).chars().take(16).map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let addresses = vec!["192.0.2.0/24".to_owned().try_into().unwrap()];
        Settings { peers: vec!["SCANNER1".to_owned()], addresses, ..Settings::default() }
    }

    fn request() -> AssociationRQ {
        AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "SCANNER1".to_owned(),
            called_ae_title: "CTEDGE".to_owned(),
            application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
            presentation_contexts: Vec::new(),
            user_variables: Vec::new(),
        }
    }

    fn admitted(change: impl FnOnce(&mut Settings, &mut AssociationRQ)) -> Result<(), Rejection> {
        let (mut settings, mut request) = (settings(), request());
        change(&mut settings, &mut request);
        admit(&settings, "192.0.2.9".parse().unwrap(), &request)
    }

    #[test]
    fn each_rule_has_its_rejection() {
        assert_eq!(admitted(|_, _| {}), Ok(()));
        assert_eq!(admitted(|_, request| request.calling_ae_title = "SCANNER2".to_owned()), Err(Rejection::Calling));
        assert_eq!(admitted(|_, request| request.calling_ae_title = "*".to_owned()), Err(Rejection::Calling));
        assert_eq!(admitted(|_, request| request.called_ae_title = "ctedge".to_owned()), Err(Rejection::Called));
        assert_eq!(admitted(|_, request| request.protocol_version = 2), Err(Rejection::Foreign));
        assert_eq!(admitted(|_, request| request.application_context_name.clear()), Err(Rejection::Foreign));
        let elsewhere = |settings: &mut Settings, _: &mut _| {
            settings.addresses = vec!["198.51.100.1".to_owned().try_into().unwrap()];
        };
        assert_eq!(admitted(elsewhere), Err(Rejection::Address));
        let anybody = |settings: &mut Settings, request: &mut AssociationRQ| {
            settings.peers = vec!["*".to_owned()];
            request.calling_ae_title = "WHOEVER".to_owned();
        };
        assert_eq!(admitted(anybody), Ok(()));
    }

    #[test]
    fn storage_classes_in_syntaxes_that_the_reader_decodes_are_agreed_on() {
        use PresentationContextResultReason as Reason;
        let settled = |class: &str, syntaxes: &[&str]| {
            let transfer_syntaxes = syntaxes.iter().map(|&syntax| syntax.to_owned()).collect();
            settle(&PresentationContextProposed { id: 1, abstract_syntax: class.to_owned(), transfer_syntaxes })
        };
        let (ct, dose) = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.67");
        let (mpeg, jpegls) = ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.80");
        assert_eq!(settled(ct, &[mpeg, jpegls, IMPLICIT]).unwrap().syntax, jpegls, "the sender's first");
        assert!(settled(dose, &[IMPLICIT]).is_ok() && settled("1.2.840.10008.1.1\0", &[IMPLICIT]).is_ok());
        assert_eq!(settled(ct, &[mpeg]), Err(Reason::TransferSyntaxesNotSupported));
        assert_eq!(settled(ct, &[]), Err(Reason::TransferSyntaxesNotSupported));
        for other in ["1.2.840.10008.5.1.4.1.2.2.1", "", "1.2.840.10008.5.1.4.1.1.x"] {
            assert_eq!(settled(other, &[IMPLICIT]), Err(Reason::AbstractSyntaxNotSupported), "{other}");
        }
    }

    #[test]
    fn a_foreign_title_is_cut_down_before_it_is_told() {
        assert_eq!(printable(" CT_1-a \0"), "CT_1-a");
        assert_eq!(printable("a\nb\u{202e}c\"d and much more after that"), "a?b?c?d and much");
    }
}
