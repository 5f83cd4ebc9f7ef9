use super::tokenizer::MARKS;
use super::*;
use crate::device::cpu;
use crate::experiment::{Text, TextPool, Tune};
use std::fs;

fn settings(vocabulary: usize, max_tokens: usize) -> Text {
    Text {
        vocabulary,
        lowercase: true,
        max_tokens,
        dim: 8,
        depth: 1,
        heads: 1,
        mlp_ratio: 1,
        pool: TextPool::Class,
        tune: Tune::Full,
    }
}

/// A tokenizer of these pieces after the marks.
fn of(pieces: &[&str], text: &Text) -> Result<Tokenizer, TextError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vocab.txt");
    fs::write(&path, [&MARKS, pieces].concat().join("\n")).unwrap();
    from_vocabulary(&path, text)
}

fn corpus() -> Vec<String> {
    let findings = ["effusion", "nodule", "atelectasis", "consolidation", "cardiomegaly", "emphysema", "hernia"];
    let sides = ["right", "left", "bilateral"];
    let report = |(index, finding): (usize, &&str)| {
        let side = sides[index % 3];
        format!(
            "A {finding} of {}.5 mm is seen in the {side} lung. There is no other {finding}, nor {side} mass.",
            index * 3
        )
    };
    (0..9).flat_map(|_| findings.iter().enumerate().map(report)).collect()
}

#[test]
fn the_longest_pieces_are_taken_as_in_bert() {
    let text = settings(64, 32);
    let tokenizer = of(&["want", "##want", "##ed", "wa", "un", "runn", "##ing", ",", "low", "lowest"], &text).unwrap();
    let ids = |text: &str| tokenizer.encode(text).unwrap().ids;
    // The example of Google's own test of WordPiece, between [CLS] (2) and [SEP] (3); the pieces begin at 5.
    assert_eq!(ids("unwanted running"), [2, 9, 6, 7, 10, 11, 3]);
    assert_eq!(ids("UNwant\u{e9}d,running"), [2, 9, 6, 7, 12, 10, 11, 3]);
    assert_eq!(ids("unwantedX running"), [2, 1, 10, 11, 3], "a word with an unknown end is unknown as a whole");
    assert_eq!(ids("lowest"), [2, 14, 3]);
    assert_eq!(ids(""), [2, 3]);
    assert_eq!(ids("[MASK]"), [2, 1, 1, 1, 3], "a mark that is spelled out is text");
    assert_eq!(tokenizer.vocabulary(), 15);
    let cased = of(&["un", "##wanted", "UN"], &Text { lowercase: false, ..text }).unwrap();
    assert_eq!(cased.encode("UN unwanted").unwrap().ids, [2, 7, 5, 6, 3]);
}

#[test]
fn the_same_texts_give_the_same_vocabulary() {
    let text = settings(120, 64);
    let first = learn(&corpus(), &text).unwrap().to_json().unwrap();
    for _ in 0..5 {
        assert_eq!(learn(&corpus(), &text).unwrap().to_json().unwrap(), first);
    }
    let mut reversed = corpus();
    reversed.reverse();
    assert_eq!(learn(&reversed, &text).unwrap().to_json().unwrap(), first, "their order means nothing");
}

#[test]
fn frequent_pairs_become_pieces_first() {
    let words = [("hug", 10), ("pug", 5), ("pun", 12), ("bun", 4), ("hugs", 5)];
    let words = words.map(|(word, count)| (word.to_owned(), count)).into();
    let learned = vocabulary::learned(&words, 5 + 11 + 4).unwrap();
    // Hugging Face's course, chapter 6: "##ug" 20 times, then "##un" 16, "hug" 15, and of "pun" 12 the whole word.
    assert_eq!(learned[5..16], ["##g", "##n", "##s", "##u", "b", "g", "h", "n", "p", "s", "u"]);
    assert_eq!(learned[16..], ["##ug", "##un", "hug", "pun"]);
    let crowded = vocabulary::learned(&words, 15).unwrap_err();
    assert!(matches!(crowded, TextError::Crowded { wanted: 15, letters: 16 }), "{crowded}");
}

#[test]
fn a_learned_vocabulary_writes_every_report_of_its_corpus() {
    let text = settings(150, 64);
    let tokenizer = learn(&corpus(), &text).unwrap();
    assert!(tokenizer.vocabulary() <= 150);
    for report in corpus() {
        let tokens = tokenizer.encode(&report).unwrap();
        assert_eq!(tokens.left_out, 0);
        assert!(!tokens.ids.contains(&1), "{report}");
        assert!(tokens.ids.len() < report.len() / 2, "{} tokens for {report}", tokens.ids.len());
    }
}

#[test]
fn a_tokenizer_is_written_and_read_back() {
    let text = settings(100, 64);
    let tokenizer = learn(&corpus(), &text).unwrap();
    let json = tokenizer.to_json().unwrap();
    let again = Tokenizer::from_json(&json, 64).unwrap();
    assert_eq!(again.to_json().unwrap(), json);
    let report = "No pleural effusion. Heart size normal (CTR 0.48)!";
    assert_eq!(again.encode(report).unwrap(), tokenizer.encode(report).unwrap());
}

#[test]
fn a_long_report_loses_whole_sentences_and_says_how_many() {
    let tokenizer = of(&["a", "b", "c", ".", "1", "5"], &settings(64, 10)).unwrap();
    let encode = |text: &str| tokenizer.encode(text).unwrap();
    assert_eq!(encode("a b. c 1.5."), Tokens { ids: vec![2, 5, 6, 8, 7, 9, 8, 10, 8, 3], left_out: 0 });
    assert_eq!(encode("a b. c 1.5 a."), Tokens { ids: vec![2, 5, 6, 8, 3], left_out: 1 });
    assert_eq!(encode("a b. c 1.5 a. b! c"), Tokens { ids: vec![2, 5, 6, 8, 3], left_out: 3 });
    let endless = encode("a b c a b c a b c a b c. a.");
    assert_eq!((endless.ids.len(), endless.left_out), (10, 2), "the first is cut, and counts");
}

#[test]
fn a_batch_is_padded_to_one_length() {
    let tokenizer = of(&["a", "b"], &settings(64, 6)).unwrap();
    let reports = ["a b", "b"].map(|report| tokenizer.encode(report).unwrap());
    let fixed = Padded::of(&tokenizer, &reports, Length::Fixed);
    assert_eq!(fixed.shape, [2, 6]);
    assert_eq!(fixed.ids, [2, 5, 6, 3, 0, 0, 2, 6, 3, 0, 0, 0]);
    assert_eq!(fixed.mask, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    let short = Padded::of(&tokenizer, &reports, Length::Longest);
    assert_eq!((short.shape, short.ids), ([2, 4], vec![2, 5, 6, 3, 2, 6, 3, 0]));
    let (ids, mask) = fixed.tensors(&cpu());
    assert_eq!((ids.dims(), mask.dims()), ([2, 6], [2, 6]));
}

#[test]
fn a_vocabulary_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vocab.txt");
    let refusal = |content: &str| {
        fs::write(&path, content).unwrap();
        from_vocabulary(&path, &settings(64, 8)).unwrap_err().to_string()
    };
    assert!(refusal("[PAD]\n[UNK]\n[CLS]\na\n").contains("[SEP]"));
    assert!(refusal("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\na\n").contains("line 7"));
    fs::remove_file(&path).unwrap();
    assert!(matches!(from_vocabulary(&path, &settings(64, 8)), Err(TextError::Open { .. })));
    let damaged = Tokenizer::from_json("{}", 8).unwrap_err();
    assert!(damaged.to_string().contains("tokenizer.json"), "{damaged}");
}

#[test]
fn a_report_is_its_findings_and_impression_without_packing() {
    let seen_text = seen("\"Trachea  is\nopen (midline).\"", "['Not given.']");
    assert_eq!(seen_text, "Trachea is open midline.");
    assert_eq!(seen("Not given.", "Normal."), "Normal.");
    assert_eq!(seen("Clear lungs.", "Normal."), "Clear lungs. Normal.");
    assert_eq!(seen(" ", "Not given."), "");
}

#[test]
fn a_target_has_both_sections_and_loses_whole_sentences_of_either() {
    let tokenizer = of(&["a", "b", "c", "."], &settings(64, 64)).unwrap();
    let of = |sections, most| target(&tokenizer, sections, most).unwrap();
    let short = of(["a b.", "(c)."], 20);
    assert_eq!(short, Tokens { ids: vec![2, 5, 6, 8, 3, 7, 8, 3], left_out: 0 });
    assert_eq!(of(["Not given.", "c"], 20).ids, [2, 3, 7, 3]);
    // Room for eight words: four are the findings' own, and the impression leaves them two more.
    let long = of(["a. b. c. a. b.", "c."], 11);
    assert_eq!(long, Tokens { ids: vec![2, 5, 8, 6, 8, 7, 8, 3, 7, 8, 3], left_out: 2 });
    let both = of(["a. b. c. a.", "c. b. a. c."], 11);
    assert_eq!(both, Tokens { ids: vec![2, 5, 8, 6, 8, 3, 7, 8, 6, 8, 3], left_out: 4 });
}
