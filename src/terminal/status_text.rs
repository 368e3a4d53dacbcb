//! How far a download is, as a line for people.

use crate::byte_size::ByteSize;
use crate::escaped::Escaped;
use crate::jobs::DownloadStatus;
use crate::terminal::rate_text;

/// Such as `1: big.iso  41 MB of 314 MB, 20 MB/s, 13 s left`.
pub(super) fn text(download: &DownloadStatus) -> String {
    let name = Escaped::text(download.name.as_str());
    let mut text = format!("{}: {name}", download.number);
    if let Some(transfer) = &download.transfer {
        let rate = transfer.rate();
        text += &format!(
            "  {} of {}{}{}",
            ByteSize(transfer.received),
            ByteSize(transfer.size),
            rate_text::rate(rate),
            rate_text::time_left(transfer.size.saturating_sub(transfer.received), rate)
        );
    }
    text
}
