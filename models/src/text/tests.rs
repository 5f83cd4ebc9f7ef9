use super::written::written;
use super::*;
use serde_json::json;

const WORDS: [&str; 22] = [
    "there", "is", "a", "2", "5", ".", "cm", "ground", "-", "glass", "opacity", "in", "both", "lung", "##s", "no",
    "nodule", "normal", "heart", "1", "/", ",",
];

/// A tokenizer of the marks (0 to 3) and [`WORDS`] (from 4).
fn tokenizer() -> Tokenizer {
    let pieces = [PAD, UNKNOWN, BEGIN, END].into_iter().chain(WORDS);
    let vocabulary: serde_json::Map<_, _> = pieces.zip(0_u32..).map(|(piece, id)| (piece.into(), id.into())).collect();
    let json = json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": null,
        "decoder": null,
        "model": {
            "type": "WordPiece", "unk_token": UNKNOWN, "continuing_subword_prefix": CONTINUED,
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        },
    });
    Tokenizer::from_json(&json.to_string(), 40).unwrap()
}

#[test]
fn what_is_encoded_is_written_again() {
    let tokenizer = tokenizer();
    let findings = "There is a 2.5 cm ground-glass opacity in both lungs. No nodule, 1/2.";
    let impression = "Normal heart.";
    let ids = |text| tokenizer.within(text, 40).unwrap().0;
    let both = [ids(findings), vec![tokenizer.end()], ids(impression), vec![tokenizer.end()]].concat();
    let draft = tokenizer.draft(&both);
    assert_eq!((draft.findings.as_str(), draft.impression.as_str()), (findings, impression));
    assert_eq!(draft.text(), format!("{findings} {impression}"));
    let beyond = [both, ids("no heart.")].concat();
    assert_eq!(tokenizer.draft(&beyond), draft, "what follows the second end is no part of it");
    assert_eq!(tokenizer.draft(&[]), Draft::default());
    assert_eq!(tokenizer.draft(&[2, 0, 999, 4]).findings, "There", "marks and unknown ids are no words");
}

#[test]
fn punctuation_stands_as_in_reports() {
    let text = |words: &str| written(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(
        text("heart size : normal ( ctr 0 . 48 ) . no mass ; clear"),
        "Heart size: normal (ctr 0.48). No mass; clear"
    );
    assert_eq!(text("12 mm . 5 nodules ? yes !"), "12 mm. 5 nodules? Yes!");
    assert_eq!(text("##s"), "S");
}

#[test]
fn a_text_that_does_not_fit_loses_whole_sentences() {
    let tokenizer = tokenizer();
    assert_eq!(tokenizer.within("no nodule. normal heart.", 4).unwrap(), (vec![19, 20, 9], 1));
    assert_eq!(
        tokenizer.within("no no no no no no.", 4).unwrap(),
        (vec![19; 4], 1),
        "one that is too long is cut, and counts"
    );
    let endless = "no ".repeat(100_000);
    assert_eq!(tokenizer.encode(&endless).unwrap().ids.len(), 40);
}

#[test]
fn a_vocabulary_without_marks_is_none() {
    let error = Tokenizer::from_json("{}", 8).unwrap_err();
    assert!(matches!(error, TokenizerError::Library { .. }), "{error}");
    let json = tokenizer().to_json().unwrap().replace(END, "[OTHER]");
    assert_eq!(Tokenizer::from_json(&json, 8).unwrap_err(), TokenizerError::NoMark { mark: END });
}
