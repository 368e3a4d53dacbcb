//! Removes temporary folders, also if a signal ends the benchmark.

use std::path::PathBuf;
use std::{fs, io, process, thread};

use peerline::cli::Exit;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Removes the folders and ends this process when SIGINT or SIGTERM arrives.
pub(crate) fn remove_on_signal(folders: Vec<PathBuf>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            for folder in folders {
                // Errors cannot be handled here.
                let _ = fs::remove_dir_all(folder);
            }
            process::exit(i32::from(Exit::Interrupted as u8));
        }
    });
    Ok(())
}
