//! An address as a picture that a phone reads.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

/// The longest address: a longer one makes a picture that is hard to read, and takes long.
const MAX_ADDRESS: usize = 300;

/// The least work of a picture, in short lines, and the bytes that add as much as one.
const PICTURE_WORK: usize = 16;
const BYTES_PER_WORK: usize = 2;

/// The empty modules around the picture (ISO/IEC 18004, 9.1).
const MARGIN: usize = 4;

/// The work of [`qr_code`], in short lines.
pub(crate) fn qr_work(address: &str) -> usize {
    PICTURE_WORK + address.len().min(MAX_ADDRESS) / BYTES_PER_WORK
}

/// Whether there is a picture of an address: not if it is too long.
pub(crate) fn has_qr_code(address: &str) -> bool {
    address.len() <= MAX_ADDRESS
}

/// The address as a QR code, in SVG, if it has one.
pub(crate) fn qr_code(address: &str) -> Option<String> {
    if !has_qr_code(address) {
        return None;
    }
    let code = QrCode::with_error_correction_level(address, EcLevel::L).ok()?;
    let size = code.width();
    let full = size + 2 * MARGIN;
    // Black on white in a dark page, too: not every camera reads the inverse. Each row is a
    // line that is drawn in strokes.
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {full} {full}\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{full}v{full}H0z\"/>\
         <path stroke=\"#000\" d=\""
    );
    for (row, colors) in code.to_colors().chunks(size).enumerate() {
        let mut column = 0;
        for run in colors.chunk_by(|a, b| a == b) {
            if run[0] == Color::Dark {
                let (x, y, length) = (column + MARGIN, row + MARGIN, run.len());
                // Writing to a string does not fail.
                let _ = write!(picture, "M{x} {y}.5h{length}");
            }
            column += run.len();
        }
    }
    picture.push_str("\"/></svg>\n");
    Some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_corners() {
        let picture = qr_code("http://10.0.0.7:4000/").expect("a picture");
        // Version 2 has 25 modules; a corner is 7 modules wide.
        assert!(picture.contains("viewBox=\"0 0 33 33\""), "{picture}");
        assert!(
            picture.contains("d=\"M4 4.5h7M") && picture.contains("M22 4.5h7M4 5.5h1M10 5.5h1")
        );
        assert!(picture.contains("M4 28.5h7"), "{picture}");
        assert_eq!(qr_code(&"a".repeat(MAX_ADDRESS + 1)), None);
    }
}
