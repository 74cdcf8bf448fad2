//! Tells from the first bytes of a video whether ffmpeg can read it from a pipe.
//!
//! Most containers are made for that. These are not:
//! - MP4 and QuickTime files with their index (`moov`) behind the pictures (`mdat`), as cameras write them: ffmpeg would have
//!   to go back, and finds a "partial file". A fragmented MP4 has its index in front.
//! - GIF and MXF: ffmpeg fails with the one, and cuts the other at other times than it does with a file.

/// How a video wants to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// From front to back.
    Pipe,
    /// Back and forth.
    File,
}

/// Takes the beginning of a video in pieces of any size, until it knows.
#[derive(Default)]
pub(super) struct Sniffer {
    /// The bytes of a box header that is not complete.
    header: Vec<u8>,
    /// How much of a box is still to come.
    skip: u64,
    /// Whether the first box was an MP4's.
    mp4: bool,
}

/// The length of a box header, and of one with a 64-bit size.
const HEADER: usize = 8;
const LONG_HEADER: usize = 16;

impl Sniffer {
    /// Looks at the next bytes. `None` means that more are needed; after an answer it is not asked again.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Option<Reading> {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip = self.skip.saturating_sub(skipped as u64);
            bytes = bytes.get(skipped..)?;
            let (byte, rest) = bytes.split_first()?;
            self.header.push(*byte);
            bytes = rest;
            if let Some(header) = BoxHeader::parse(&self.header) {
                match self.follow(header) {
                    Ok(skip) => self.skip = skip,
                    Err(reading) => return Some(reading),
                }
                self.header.clear();
            }
        }
        None
    }

    /// How far to the next box, unless this one decides.
    fn follow(&mut self, header: BoxHeader) -> Result<u64, Reading> {
        if !self.mp4 {
            self.mp4 = begins_mp4(&header.kind);
            if !self.mp4 {
                return Err(other(&self.header));
            }
        }
        match &header.kind {
            b"moov" | b"moof" => Err(Reading::Pipe),
            b"mdat" => Err(Reading::File),
            // A size that no box has: it reaches to the end of the file, or is nonsense. ffmpeg will say what it is.
            _ => header.rest.ok_or(Reading::Pipe),
        }
    }
}

struct BoxHeader {
    kind: [u8; 4],
    /// What follows the header; `None` for the rest of the file, and for sizes less than the header's.
    rest: Option<u64>,
}

impl BoxHeader {
    /// `None` when the header is not complete.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (size, length) = match u32::from_be_bytes(*size) {
            1 => (u64::from_be_bytes(*rest.first_chunk()?), LONG_HEADER),
            size => (u64::from(size), HEADER),
        };
        Some(Self { kind: *kind, rest: size.checked_sub(length as u64) })
    }
}

/// Whether a file whose first box is of this kind is an MP4 or QuickTime file.
fn begins_mp4(kind: &[u8; 4]) -> bool {
    matches!(
        kind,
        b"ftyp"
            | b"styp"
            | b"moov"
            | b"moof"
            | b"mdat"
            | b"free"
            | b"skip"
            | b"wide"
            | b"pnot"
            | b"uuid"
            | b"sidx"
    )
}

fn other(start: &[u8]) -> Reading {
    let mxf = b"\x06\x0e\x2b\x34\x02\x05\x01\x01";
    if start.starts_with(b"GIF8") || start.starts_with(mxf) { Reading::File } else { Reading::Pipe }
}

#[cfg(test)]
mod tests {
    use super::Reading::{File, Pipe};
    use super::*;

    fn boxed(kind: &[u8; 4], data: usize) -> Vec<u8> {
        let size = u32::try_from(HEADER + data).unwrap().to_be_bytes();
        [size.as_slice(), kind, &vec![b'm'; data]].concat()
    }

    fn boxed_long(kind: &[u8; 4], size: u64, data: usize) -> Vec<u8> {
        [&1u32.to_be_bytes(), kind.as_slice(), &size.to_be_bytes(), &vec![b'm'; data]].concat()
    }

    /// The answer, which must not depend on how the bytes arrive.
    fn reading(start: &[u8]) -> Option<Reading> {
        let in_pieces = |size| {
            let mut sniffer = Sniffer::default();
            start.chunks(size).find_map(|piece| sniffer.read(piece))
        };
        let at_once = in_pieces(start.len());
        for size in 1..40 {
            assert_eq!(in_pieces(size), at_once, "in pieces of {size}");
        }
        at_once
    }

    #[test]
    fn an_mp4_with_its_index_in_front_is_streamed() {
        assert_eq!(reading(&[boxed(b"ftyp", 24), boxed(b"moov", 4)].concat()), Some(Pipe));
        assert_eq!(
            reading(&[boxed(b"ftyp", 24), boxed(b"free", 900), boxed(b"moov", 4)].concat()),
            Some(Pipe)
        );
        assert_eq!(reading(&[boxed(b"styp", 16), boxed(b"sidx", 9), boxed(b"moof", 4)].concat()), Some(Pipe));
        assert_eq!(reading(&boxed(b"moov", 4)), Some(Pipe));
    }

    #[test]
    fn an_mp4_with_its_index_at_the_end_needs_a_file() {
        assert_eq!(reading(&[boxed(b"ftyp", 24), boxed(b"mdat", 4)].concat()), Some(File));
        for before in [b"free", b"wide", b"skip", b"uuid", b"meta"] {
            assert_eq!(
                reading(&[boxed(b"ftyp", 24), boxed(before, 0), boxed(b"mdat", 4)].concat()),
                Some(File)
            );
        }
        // QuickTime's, without a type.
        assert_eq!(reading(&[boxed(b"wide", 0), boxed(b"mdat", 4)].concat()), Some(File));
        assert_eq!(reading(&boxed(b"mdat", 4)), Some(File));
    }

    #[test]
    fn sizes_of_any_form_are_understood() {
        let huge = boxed_long(b"mdat", 1 << 40, 4);
        assert_eq!(reading(&[boxed(b"ftyp", 4), huge].concat()), Some(File));
        let long = boxed_long(b"free", 16 + 5, 5);
        assert_eq!(reading(&[boxed(b"ftyp", 4), long, boxed(b"moov", 0)].concat()), Some(Pipe));
        let to_the_end = b"\0\0\0\0mdat".to_vec();
        assert_eq!(reading(&[boxed(b"ftyp", 4), to_the_end].concat()), Some(File));
    }

    #[test]
    fn nonsense_sizes_are_left_to_ffmpeg() {
        let start = |bad: &[u8]| reading(&[&boxed(b"ftyp", 4), bad].concat());
        assert_eq!(start(b"\0\0\0\0free"), Some(Pipe));
        assert_eq!(start(b"\0\0\0\x07free"), Some(Pipe));
        assert_eq!(start(&boxed_long(b"free", 15, 0)), Some(Pipe));
        assert_eq!(start(&boxed_long(b"free", u64::MAX, 300)), None);
    }

    #[test]
    fn a_start_that_is_too_short_is_undecided() {
        assert_eq!(reading(&boxed(b"ftyp", 400)), None);
        assert_eq!(reading(&boxed(b"ftyp", 400)[..200]), None);
        assert_eq!(reading(b"\0\0\0\x08moo"), None);
        assert_eq!(Sniffer::default().read(b""), None);
    }

    #[test]
    fn other_containers_are_told_by_their_first_bytes() {
        assert_eq!(reading(b"\x1a\x45\xdf\xa3\x01\0\0\0"), Some(Pipe));
        assert_eq!(reading(b"RIFF\0\0\0\0AVI "), Some(Pipe));
        assert_eq!(reading(b"just some words"), Some(Pipe));
        assert_eq!(reading(b"GIF89a\x40\x01"), Some(File));
        assert_eq!(reading(b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d"), Some(File));
    }
}
