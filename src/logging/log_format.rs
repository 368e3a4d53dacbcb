//! The formats of the log: lines for people, and one JSON object a line for programs.

use std::fmt;

use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};
use serde_json::json;
use simplelog::{FormatItem, format_description};
use time::OffsetDateTime;

use crate::wall_clock;

/// RFC 3339 in UTC, with milliseconds.
pub(crate) const TIMESTAMP: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// How a line of the log is written.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// A line that the writer of the log adds: `count` lines were dropped.
    pub(super) fn dropped(self, why: &str, count: u64) -> String {
        let message = format_args!("log lines dropped ({why}): {count}");
        match self {
            Self::Text => format!("{message}\n"),
            Self::Json => JsonLine::new(Level::Warn, &message).end(),
        }
    }
}

/// The line of a record, as a JSON object: time, level, message, then the fields of the
/// record.
pub(super) fn json_line(record: &Record<'_>) -> String {
    let mut line = JsonLine::new(record.level(), record.args());
    // Neither this visitor nor the values in records fail.
    let _ = record.key_values().visit(&mut line);
    line.end()
}

/// An object that is being written.
struct JsonLine(String);

impl JsonLine {
    fn new(level: Level, message: &fmt::Arguments<'_>) -> Self {
        // The format can print every date that this returns.
        let time = OffsetDateTime::from(wall_clock::now()).format(&TIMESTAMP);
        let time = json!(time.unwrap_or_default());
        let level = json!(level.as_str().to_lowercase());
        let message = json!(message.to_string());
        Self(format!(
            r#"{{"time":{time},"level":{level},"message":{message}"#
        ))
    }

    fn end(self) -> String {
        self.0 + "}\n"
    }
}

impl<'a> VisitSource<'a> for JsonLine {
    fn visit_pair(&mut self, key: Key<'a>, value: Value<'a>) -> Result<(), Error> {
        let mut json = JsonValue::default();
        value.visit(&mut json)?;
        self.0 += &format!(",{}:{}", json!(key.as_str()), json.0);
        Ok(())
    }
}

/// A value of a field.
#[derive(Default)]
struct JsonValue(serde_json::Value);

impl VisitValue<'_> for &mut JsonValue {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.0 = json!(value.to_string());
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.0 = serde_json::Value::Null;
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.0 = json!(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_object_with_its_fields() {
        let fields = [
            ("name", Value::from("a \"b\"\n\u{1b}")),
            ("bytes", Value::from(u64::MAX)),
            ("verb", Value::null()),
        ];
        let record = Record::builder()
            .level(Level::Info)
            .args(format_args!("sent\n"))
            .key_values(&fields)
            .build();
        let line = json_line(&record);
        assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(object["level"], "info");
        assert_eq!(object["message"], "sent\n");
        assert_eq!(object["name"], "a \"b\"\n\u{1b}");
        assert_eq!(object["bytes"], u64::MAX);
        assert!(object["verb"].is_null());
        let time = object["time"].as_str().expect("text");
        assert_eq!(time.len(), "2026-01-02T03:04:05.678Z".len(), "{time}");
        assert_eq!(&time[10..11], "T");
    }

    #[test]
    fn dropped_lines_are_counted_in_both_formats() {
        let text = "log lines dropped (slow reader): 3";
        let why = "slow reader";
        assert_eq!(LogFormat::Text.dropped(why, 3), format!("{text}\n"));
        let line = LogFormat::Json.dropped(why, 3);
        let object: serde_json::Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(object["message"], text);
    }
}
