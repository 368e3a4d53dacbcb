//! Fetches one file and saves it: reads until the buffer is full, hashes it if wanted,
//! writes it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Longer writes need contiguous kernel memory, which can be slow.
const BUFFER: usize = 256 * 1024;

/// Fetches `name` from `address` into `target`, and prints its hash if `hasher` is
/// given.
pub(super) fn run(
    address: &str,
    name: &str,
    target: &str,
    mut hasher: Option<blake3::Hasher>,
) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET {name}\n").as_bytes())?;
    let mut head = Vec::new();
    while head.last() != Some(&b'\n') {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let size = String::from_utf8_lossy(&head);
    let size = size.trim_end().strip_prefix("FOUND ");
    let mut left: usize = size
        .and_then(|size| size.parse().ok())
        .ok_or_else(|| io::Error::other("not found"))?;
    let mut file = File::create(target)?;
    let mut buffer = vec![0; BUFFER.min(left)];
    while left > 0 {
        let piece = left.min(buffer.len());
        stream.read_exact(&mut buffer[..piece])?;
        if let Some(hasher) = &mut hasher {
            hasher.update(&buffer[..piece]);
        }
        file.write_all(&buffer[..piece])?;
        left -= piece;
    }
    if let Some(hasher) = hasher {
        println!("{}", hasher.finalize());
    }
    Ok(())
}
