//! The flags of HTTP.

use std::sync::Arc;

use crate::session::http::HttpSettings;

/// Whether a server speaks HTTP, and to whom.
#[derive(clap::Args)]
#[command(next_help_heading = "HTTP")]
pub(super) struct HttpArgs {
    /// Answer no HTTP
    #[arg(long)]
    pub(super) no_http: bool,
    /// Host name, beside the machine's own, under which browsers reach the server; may be
    /// repeated
    #[arg(long, value_name = "NAME", value_parser = host)]
    http_host: Vec<String>,
    /// Let pages of this origin read what the server answers, such as https://example.org; *
    /// is any
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    cors: Option<Arc<str>>,
    /// Let everybody read /metrics, not only trusted clients
    #[arg(long)]
    public_metrics: bool,
}

impl HttpArgs {
    /// The settings of the server, with the name of the machine.
    pub(super) fn settings(&self) -> HttpSettings {
        let system = rustix::system::uname();
        let name = system.nodename().to_str().unwrap_or_default();
        let machine = name.split('.').next();
        // Everybody can guess this one, and own a domain that begins so.
        let machine = machine.filter(|name| *name != "localhost");
        HttpSettings {
            hosts: self.http_host.clone(),
            machine: machine.unwrap_or_default().to_owned(),
            cors: self.cors.clone(),
            public_metrics: self.public_metrics,
        }
    }
}

/// A request is compared without its port.
fn host(text: &str) -> Result<String, String> {
    match text.is_empty() || text.contains([':', '/', ' ']) {
        true => Err("write a name without a port, such as files.example.org".to_owned()),
        false => Ok(text.strip_suffix('.').unwrap_or(text).to_owned()),
    }
}

fn origin(text: &str) -> Result<Arc<str>, String> {
    let is_visible = |byte: u8| byte.is_ascii_graphic();
    match text == "*" || (text.contains("://") && text.bytes().all(is_visible)) {
        true => Ok(text.into()),
        false => Err("write an origin, such as https://example.org, or *".to_owned()),
    }
}
