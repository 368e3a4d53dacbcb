//! The page that says why a request is not answered.

use askama::Template;

use crate::web::text;

/// An error, for a person.
#[derive(Template)]
#[template(path = "error.html", config = "src/web/askama.toml")]
pub(crate) struct ErrorPage<'a> {
    /// The number of the status, such as 404.
    pub(crate) code: u16,
    /// The number in words.
    pub(crate) phrase: &'a str,
    /// What is wrong.
    pub(crate) text: &'a str,
    /// What is missing, if the error is about that.
    pub(crate) missing: Option<&'a MissingFile<'a>>,
}

/// A file, a folder or a page that is not there, and how a person may find another one.
pub(crate) struct MissingFile<'a> {
    /// The path as it was requested, without the slash at its start.
    pub(crate) name: &'a str,
    /// The parameter of the start page that searches.
    pub(crate) search_parameter: &'static str,
    /// Names of files like it that `/files/NAME` leads to.
    pub(crate) similar: Vec<&'a str>,
}

impl MissingFile<'_> {
    /// The last part of the name: other folders may have a file of this name.
    pub(crate) fn last_part(&self) -> &str {
        last_part(self.name)
    }
}

/// The text for which a search looks in place of a name: its last part.
pub(crate) fn last_part(name: &str) -> &str {
    let name = name.trim_end_matches('/');
    name.rsplit('/').next().unwrap_or_default()
}

impl ErrorPage<'_> {
    /// What is wrong, as a sentence.
    fn sentence(&self) -> String {
        let sentence = text::sentence(self.text);
        match self.missing {
            // The name follows.
            Some(_) => format!("{}:", sentence.trim_end_matches('.')),
            None => sentence,
        }
    }
}
