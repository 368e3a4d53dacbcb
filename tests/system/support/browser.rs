//! Headless Chromium.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{http_program, is_missing};

/// A browser that can reach loopback only.
pub struct Browser {
    profile: TempDir,
    /// Flags beside those of every browser.
    flags: Vec<String>,
}

/// What was seen when an address was opened.
pub struct Visit {
    /// The elements, after the scripts have run.
    pub document: String,
    /// The messages of scripts, and about them.
    pub console: Vec<String>,
    /// The addresses that the page has requested.
    pub requests: Vec<String>,
}

/// The address in a line of the browser's log, if a page has requested it: the browser also
/// looks for updates.
fn requested_address(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line.trim_end_matches(',')).ok()?;
    let (initiator, url) = (&event["params"]["initiator"], &event["params"]["url"]);
    let is_page = initiator.as_str()? != "not an origin";
    is_page.then(|| url.as_str().map(str::to_owned))?
}

impl Browser {
    /// None if there is no Chromium.
    pub fn new() -> Option<Self> {
        if is_missing("chromium") {
            return None;
        }
        let profile = tempfile::tempdir().expect("a folder");
        let flags = Vec::new();
        Some(Self { profile, flags })
    }

    /// Accepts certificates that the key with this id has signed, and its own.
    pub fn trusting(mut self, id: &str) -> Self {
        let hash = id.trim_start_matches("sha256//");
        let flag = format!("--ignore-certificate-errors-spki-list={hash}");
        self.flags = vec![flag];
        self
    }

    /// Opens an address, and waits until its scripts have run.
    pub fn open(&self, address: &str) -> Visit {
        let profile = self.profile.path();
        let (data, log) = (profile.join("data"), profile.join("requests.json"));
        let mut args: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let (data, log_flag) = (
            format!("--user-data-dir={}", data.display()),
            format!("--log-net-log={}", log.display()),
        );
        args.extend([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--virtual-time-budget=1000",
            &data,
            &log_flag,
            "--dump-dom",
            address,
        ]);
        let output = http_program("chromium", profile, &args).expect_code(0);
        let lines = output.stderr.lines();
        let console = lines.filter(|line| line.contains(":CONSOLE"));
        let log = fs::read_to_string(log).expect("a log of requests");
        Visit {
            document: output.text(),
            console: console.map(str::to_owned).collect(),
            requests: log.lines().filter_map(requested_address).collect(),
        }
    }
}
