//! The description of a file for download managers (RFC 5854).

use std::borrow::Cow;

use askama::Template;

/// A file and the addresses at which it is.
#[derive(Template)]
#[template(path = "metalink.xml", config = "src/web/askama.toml")]
pub(crate) struct Metalink<'m> {
    name: Cow<'m, str>,
    size: u64,
    sha256: Option<String>,
    urls: &'m [String],
}

impl<'m> Metalink<'m> {
    /// Describes a file of `size` bytes that is saved under `name`. `sha256` is in hexadecimal
    /// digits.
    pub(crate) fn new(
        name: &'m str,
        size: u64,
        sha256: Option<String>,
        urls: &'m [String],
    ) -> Self {
        // The two characters that a name may have and XML may not (XML 1.0, 2.2).
        const NOT_IN_XML: [char; 2] = ['\u{fffe}', '\u{ffff}'];
        let name = match name.contains(NOT_IN_XML) {
            true => Cow::Owned(name.replace(NOT_IN_XML, "\u{fffd}")),
            false => Cow::Borrowed(name),
        };
        Self {
            name,
            size,
            sha256,
            urls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_leave_its_attribute() {
        let urls = [
            "http://192.0.2.1:80/a%22".to_owned(),
            "http://192.0.2.2:80/a%22".to_owned(),
        ];
        let sha256 = Some("0123".to_owned());
        let metalink = Metalink::new("a\"<b>&'\u{ffff}c", 5, sha256, &urls);
        let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">
<file name=\"a&#34;&#60;b&#62;&#38;&#39;\u{fffd}c\">
<size>5</size>
<hash type=\"sha-256\">0123</hash>
<url>http://192.0.2.1:80/a%22</url>
<url>http://192.0.2.2:80/a%22</url>
</file>
</metalink>
";
        assert_eq!(metalink.render().expect("text"), expected);
    }
}
