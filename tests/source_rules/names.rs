//! One word has one meaning: a type name is defined once, and the words of an older
//! vocabulary are not used again.

use std::collections::BTreeMap;

use super::{assert_no_violations, sources, words};

/// Names that no type has. As a part of another name each of them is fine.
const RETIRED_TYPES: [&str; 23] = [
    "Alarm",
    "Answers",
    "Backlog",
    "Cut",
    "End",
    "Exchange",
    "Fault",
    "Gate",
    "Happening",
    "Heard",
    "Letter",
    "Next",
    "Order",
    "Outcome",
    "Place",
    "Rare",
    "Satisfied",
    "Silent",
    "Step",
    "Talk",
    "Turn",
    "Visible",
    "Visit",
];

/// Words that no identifier contains: between underscores, or between capitals.
const RETIRED_WORDS: [&str; 42] = [
    "abandon",
    "asked",
    "asking",
    "begun",
    "correspondent",
    "deaf",
    "desk",
    "door",
    "doors",
    "errand",
    "errands",
    "exchanges",
    "foreign",
    "gibberish",
    "heard",
    "journal",
    "kept",
    "lane",
    "lanes",
    "leftovers",
    "looked",
    "mail",
    "mailbox",
    "news",
    "nonsense",
    "noticed",
    "obey",
    "pace",
    "redial",
    "scribe",
    "setback",
    "spot",
    "stamp",
    "sulks",
    "talk",
    "teller",
    "told",
    "trouble",
    "visitor",
    "voice",
    "wish",
    "wishes",
];

/// The names of the types that `code` defines, without associated types.
fn type_names(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let mut before = "";
        for word in words(line) {
            let is_alias = before == "type" && !line.starts_with(' ');
            if matches!(before, "struct" | "enum" | "trait") || is_alias {
                return Some(word);
            }
            before = word;
        }
        None
    })
}

/// The words of an identifier in lower case: `MaxLen`, `max_len` and `MAX_LEN` have two.
fn parts(identifier: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut after_lower = false;
    for c in identifier.chars() {
        if c == '_' || (c.is_uppercase() && after_lower) {
            parts.push(String::new());
        }
        after_lower = c.is_lowercase();
        if c != '_'
            && let Some(part) = parts.last_mut()
        {
            part.extend(c.to_lowercase());
        }
    }
    parts
}

#[test]
fn every_type_name_is_defined_once() {
    let mut paths: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        for name in type_names(&source.code) {
            paths
                .entry(name.to_owned())
                .or_default()
                .push(source.path.clone());
        }
    }
    let violations: Vec<String> = paths
        .iter()
        .filter(|(_, paths)| paths.len() > 1)
        .map(|(name, paths)| format!("{name} is defined in {}", paths.join(", ")))
        .collect();
    assert_no_violations(&violations);
}

#[test]
fn no_identifier_has_a_retired_word() {
    let mut violations = Vec::new();
    for source in sources() {
        let mut identifiers: Vec<&str> = words(&source.code).collect();
        identifiers.sort_unstable();
        identifiers.dedup();
        for identifier in identifiers {
            let mut parts = parts(identifier).into_iter();
            if parts.any(|part| RETIRED_WORDS.contains(&part.as_str())) {
                violations.push(format!("src/{}: {identifier}", source.path));
            }
        }
        let types = type_names(&source.code).filter(|name| RETIRED_TYPES.contains(name));
        violations.extend(types.map(|name| format!("src/{}: {name}", source.path)));
    }
    assert_no_violations(&violations);
}

#[test]
fn types_and_parts_of_names_are_found() {
    let code = "pub struct A<T> {\nenum B {\n    type C = u8;\npub type D = u8;\nlet e: A;";
    assert_eq!(type_names(code).collect::<Vec<_>>(), ["A", "B", "D"]);
    assert_eq!(parts("MaxLen"), ["max", "len"]);
    assert_eq!(parts("max_len"), ["max", "len"]);
    assert_eq!(parts("MAX_LEN"), ["max", "len"]);
}

/// Programs that read JSON write `event.not_fetched`.
#[test]
fn a_key_of_json_is_one_word() {
    let is_text = |key: &str| key.chars().all(|c| c.is_alphabetic() || c == ' ');
    let mut violations = Vec::new();
    let mut keys = 0;
    for source in sources() {
        let ends = source.text.match_indices("\":").map(|(end, _)| end);
        for end in ends {
            let (_, key) = source.text[..end].rsplit_once('"').unwrap_or_default();
            keys += 1;
            if key.trim().contains(' ') && is_text(key) {
                violations.push(format!("src/{}: {key:?}", source.path));
            }
        }
    }
    assert!(keys > 50, "only {keys} keys are found");
    assert_no_violations(&violations);
}
