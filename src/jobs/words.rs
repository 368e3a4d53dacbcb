//! The words of a line, separated and quoted as in a shell.

/// The characters between words, as on the wire, and at the end of a line.
pub const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Splits a line. `'…'` holds any text, `"…"` too but for a backslash, which makes the next
/// character one of the text.
///
/// # Errors
/// A quote is not closed.
pub(super) fn split_words(line: &str) -> Result<Vec<String>, &'static str> {
    let (words, last, is_closed) = scan(line);
    if !is_closed {
        return Err("a quote is not closed");
    }
    Ok(words
        .into_iter()
        .chain(last.map(|(_, word)| word))
        .collect())
}

/// The last word of a line that is being typed: the offset where it starts, and its text.
/// After a blank it is empty.
#[must_use]
pub fn last_word(line: &str) -> (usize, String) {
    scan(line).1.unwrap_or((line.len(), String::new()))
}

/// The word before that one.
#[must_use]
pub fn word_before_last(line: &str) -> Option<String> {
    scan(line).0.pop()
}

/// The word, in quotes if it or a shell needs them.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./,:@%+=~".contains(c);
    // A shell writes a home folder in place of `~` at the start.
    let is_home = word.starts_with('~');
    match !word.is_empty() && !is_home && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The complete words, the one at the end of the line with its offset, and whether no
/// quote is open.
fn scan(line: &str) -> (Vec<String>, Option<(usize, String)>, bool) {
    let mut words = Vec::new();
    let mut word: Option<(usize, String)> = None;
    let mut quote = None;
    let mut characters = line.char_indices();
    while let Some((offset, c)) = characters.next() {
        if quote.is_none() && BLANKS.contains(&c) {
            words.extend(word.take().map(|(_, word)| word));
            continue;
        }
        let text = &mut word.get_or_insert((offset, String::new())).1;
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => text.extend(characters.next().map(|(_, c)| c)),
            (c, _) => text.push(c),
        }
    }
    (words, word, quote.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_in_a_shell() {
        let words = |line| split_words(line).unwrap();
        assert_eq!(
            words(" a  'b c' \"d \\\" e\" f\\ g "),
            ["a", "b c", "d \" e", "f g"]
        );
        assert_eq!(words("a'b'\"c\" ''"), ["abc", ""]);
        assert!(split_words("'a").is_err());
        assert_eq!(last_word("get 'two w"), (4, "two w".into()));
        assert_eq!(last_word("get "), (4, String::new()));
        assert_eq!(word_before_last("a -o 'b c").as_deref(), Some("-o"));
        assert_eq!(word_before_last("a"), None);
        for name in ["a b", "it's", "größe.txt", "*", "\"", "a\\b", ""] {
            assert_eq!(split_words(&quoted(name)).unwrap(), [name]);
        }
        assert_eq!(quoted("größe/a-1.txt~"), "größe/a-1.txt~");
        assert_eq!(quoted("~root"), "'~root'");
    }
}
