//! The flags that say what a folder shares.

use std::time::Duration;

use crate::quantity::{bytes, integer, seconds};

/// What a folder shares, and the memory for it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct FolderSettings {
    /// Also share files and folders whose names start with a dot
    #[arg(long)]
    pub hidden: bool,
    /// Maximum number of files to share
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = integer::<usize>(1..))]
    pub max_files: usize,
    /// Memory for the content of small files; 0 disables this cache
    #[arg(long = "max-kept", value_name = "BYTES", default_value = "16777216",
          value_parser = bytes::<usize>(0..))]
    pub max_cached: usize,
    /// Longer files get no hash
    #[arg(long, value_name = "BYTES", default_value = "1099511627776",
          value_parser = bytes::<u64>(0..))]
    pub max_hashed: u64,
    /// Also compute SHA-256, for DIGEST and HTTP, beside BLAKE3
    #[arg(long)]
    pub sha256: bool,
    /// Longest time between two scans of the share: the system does not report every change
    #[arg(long = "rescan", value_name = "SECONDS", default_value = "50", value_parser = seconds)]
    pub rescan_interval: Duration,
}
