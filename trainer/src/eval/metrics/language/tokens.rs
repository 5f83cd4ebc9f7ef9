//! The tokenisers that published numbers rest on.

/// The tokens of mteval-v13a as sacrebleu's default `tok:13a` makes them (Post 2018). Case is kept: lower both texts
/// first for `case:lc`.
pub fn tokens_13a(text: &str) -> Vec<String> {
    let text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let text = text.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    let mut chars = vec![' '];
    for symbol in text.chars() {
        if is_symbol(symbol) { chars.extend([' ', symbol, ' ']) } else { chars.push(symbol) }
    }
    chars.push(' ');
    let is_point = |symbol| matches!(symbol, '.' | ',');
    let no_digit = |symbol: char| !symbol.is_ascii_digit();
    let chars = spaced(&chars, no_digit, is_point, |a, b| [a, ' ', b, ' ']);
    let chars = spaced(&chars, is_point, no_digit, |a, b| [' ', a, ' ', b]);
    let chars = spaced(&chars, |symbol| symbol.is_ascii_digit(), |symbol| symbol == '-', |a, b| [a, ' ', b, ' ']);
    chars.into_iter().collect::<String>().split_whitespace().map(str::to_owned).collect()
}

/// Punctuation that always stands alone: all of ASCII but apostrophe, comma, hyphen and full stop.
fn is_symbol(symbol: char) -> bool {
    symbol.is_ascii_punctuation() && !matches!(symbol, '\'' | ',' | '-' | '.')
}

/// Replaces each pair of neighbours that the two conditions hold for, from the left and without overlap, as a regular
/// expression would.
fn spaced(
    chars: &[char],
    first: impl Fn(char) -> bool,
    second: impl Fn(char) -> bool,
    wide: fn(char, char) -> [char; 4],
) -> Vec<char> {
    let mut out = Vec::with_capacity(chars.len() * 2);
    let mut rest = chars;
    while let [a, tail @ ..] = rest {
        match tail {
            [b, after @ ..] if first(*a) && second(*b) => {
                out.extend(wide(*a, *b));
                rest = after;
            }
            _ => {
                out.push(*a);
                rest = tail;
            }
        }
    }
    out
}

/// The tokens of Google's `rouge-score` without its stemmer: lower case, runs of `a-z0-9`.
pub fn tokens_rouge(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let words = text.split(|symbol: char| !symbol.is_ascii_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
