//! The page that says why a request is not answered.

use askama::Template;

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
}
