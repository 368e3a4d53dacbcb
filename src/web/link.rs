//! Links that lead to another server.

use std::net::SocketAddr;

use crate::web::text::path;

/// The address of a file at a node.
pub(crate) fn node_url(node: SocketAddr, name: &str) -> String {
    // An IPv6 address prints in brackets.
    format!("http://{node}/{}", path(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_brackets_and_the_name_is_encoded() {
        let url = |node: &str| node_url(node.parse().expect("an address"), "a b/\"<%>.txt");
        let path = "/a%20b/%22%3C%25%3E.txt";
        assert_eq!(url("192.0.2.1:80"), format!("http://192.0.2.1:80{path}"));
        assert_eq!(
            url("[2001:db8::1]:8080"),
            format!("http://[2001:db8::1]:8080{path}")
        );
    }
}
