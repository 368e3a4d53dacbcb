//! What a pattern stands for, as a line for people.

use crate::byte_size::ByteSize;
use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::jobs::{BLANKS, FilePattern, UserEvent, near_command};

/// The files of a pattern, or advice if there are none. Returns none for another event.
pub(super) fn text(event: &UserEvent<'_>) -> Option<String> {
    let UserEvent::Expanded {
        pattern,
        files,
        bytes,
        left_out,
        similar,
        deeper,
    } = event
    else {
        return None;
    };
    let name = pattern.to_string();
    let name = Escaped::text(&name);
    let text = match files {
        0 => match pattern {
            _ if !left_out.is_empty() => format!("{name}: no file is fetched"),
            FilePattern::Announced(_) => return Some(no_command(pattern.as_str())),
            FilePattern::Glob(_) => format!("no file matches {name}"),
            _ => format!("{name}: no node has announced such a file"),
        },
        files => format!(
            "{name}: {}, {}",
            Counted(*files as u64, "file"),
            ByteSize(*bytes)
        ),
    };
    let deeper = deeper.filter(|_| *files == 0).map(ToString::to_string);
    let hint = deeper.map_or(String::new(), |deeper| {
        format!(
            "; '{}' does: ** also matches slashes",
            Escaped::text(&deeper)
        )
    });
    let left_out = hidden(left_out.hidden) + &part_files(left_out.part_files);
    Some(text + &left_out + &hint + &did_you_mean(similar))
}

fn hidden(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "; 1 hidden file was left out; --hidden fetches it".into(),
        _ => format!("; {count} hidden files were left out; --hidden fetches them"),
    }
}

fn part_files(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "; 1 file with the name of an unfinished download was left out".into(),
        _ => format!("; {count} files with names of unfinished downloads were left out"),
    }
}

fn no_command(line: &str) -> String {
    let word = line.split(BLANKS).next().unwrap_or_default();
    let advice = match near_command(word) {
        Some(command) => format!("did you mean {command}?"),
        None => "help lists the commands".into(),
    };
    let line = Escaped::text(line);
    format!("{line} is no command, and no node has announced such a file; {advice}")
}

/// A name that looks the same can be copied: it has other characters.
pub(super) fn did_you_mean(similar: &[String]) -> String {
    match similar {
        [] => String::new(),
        names => {
            let names: Vec<_> = names.iter().map(|name| Escaped::text(name)).collect();
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            format!("; did you mean: {}", names.join(", "))
        }
    }
}
