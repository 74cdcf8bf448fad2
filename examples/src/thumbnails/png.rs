//! Cuts a stream of PNG images, one after the other, into images.

use bytes::{Bytes, BytesMut};
use thiserror::Error;

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// A chunk is its length, its type, its data and a checksum; all but the data.
const CHUNK_FRAME: usize = 12;

/// Takes bytes in pieces of any size, gives complete images.
///
/// The images are not decoded: their chunks are walked up to `IEND`, each byte being looked at once at most.
pub(super) struct PngSplitter {
    buffer: BytesMut,
    /// How far the image at the start of the buffer is known to be whole chunks.
    walked: usize,
    limit: usize,
}

/// Why a stream is not one of PNG images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum PngError {
    #[error("it does not begin as a PNG image")]
    NoSignature,
    #[error("it contains something that is not a PNG chunk")]
    NoChunk,
    #[error("it is larger than {limit} bytes")]
    TooLarge { limit: usize },
}

impl PngSplitter {
    /// For images of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), walked: 0, limit }
    }

    /// Where to put what was read. Take all images out before reading on, or the buffer grows without bound.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether the stream may end here: no image has begun.
    pub(super) fn is_between_images(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next complete image, or `None` when more bytes are needed.
    pub(super) fn next_image(&mut self) -> Result<Option<Bytes>, PngError> {
        if self.walked == 0 {
            if !self.buffer.iter().zip(&SIGNATURE).all(|(byte, expected)| byte == expected) {
                return Err(PngError::NoSignature);
            }
            if self.buffer.len() < SIGNATURE.len() {
                return Ok(None);
            }
            self.walked = SIGNATURE.len();
        }
        while let Some((length, kind)) = self.buffer.get(self.walked..).and_then(chunk_header) {
            if !kind.iter().all(u8::is_ascii_alphabetic) {
                return Err(PngError::NoChunk);
            }
            let end = self.walked.saturating_add(CHUNK_FRAME).saturating_add(length);
            if end > self.limit {
                return Err(PngError::TooLarge { limit: self.limit });
            }
            if self.buffer.len() < end {
                return Ok(None);
            }
            if kind == *b"IEND" {
                self.walked = 0;
                return Ok(Some(self.buffer.split_to(end).freeze()));
            }
            self.walked = end;
        }
        Ok(None)
    }
}

fn chunk_header(bytes: &[u8]) -> Option<(usize, [u8; 4])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let kind = rest.first_chunk()?;
    // What does not fit a `usize` is above any limit.
    Some((usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX), *kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length, kind.as_slice(), data, b"crc!"].concat()
    }

    fn image(data: &[u8]) -> Vec<u8> {
        [SIGNATURE.to_vec(), chunk(b"IHDR", &[7; 13]), chunk(b"IDAT", data), chunk(b"IEND", b"")].concat()
    }

    /// All images of a stream that arrives in pieces of `size` bytes.
    fn split(stream: &[u8], size: usize) -> (Vec<Bytes>, PngSplitter) {
        let mut splitter = PngSplitter::new(10_000);
        let mut images = Vec::new();
        for piece in stream.chunks(size) {
            splitter.buffer().extend_from_slice(piece);
            while let Some(image) = splitter.next_image().unwrap() {
                images.push(image);
            }
        }
        (images, splitter)
    }

    fn error(bytes: &[u8]) -> PngError {
        let mut splitter = PngSplitter::new(100);
        splitter.buffer().extend_from_slice(bytes);
        splitter.next_image().unwrap_err()
    }

    #[test]
    fn images_come_out_whole_however_they_are_cut() {
        // The second holds the bytes of an end and of a signature in its data: only chunks count.
        let images = [image(b"one"), image(b"\x89PNG\r\n\x1a\n\0\0\0\0IENDcrc!"), image(&[0; 3000])];
        let stream = images.concat();
        for size in (1..200).chain([stream.len() - 1, stream.len()]) {
            let (found, splitter) = split(&stream, size);
            assert_eq!(found, images, "in pieces of {size} bytes");
            assert!(splitter.is_between_images());
        }
    }

    #[test]
    fn an_image_is_there_as_soon_as_its_last_byte_is() {
        let image = image(b"data");
        let (found, splitter) = split(&image[..image.len() - 1], 1);
        assert_eq!(found, [] as [Bytes; 0]);
        assert!(!splitter.is_between_images());
        assert_eq!(split(&image, image.len()).0.len(), 1);
    }

    #[test]
    fn what_is_no_png_is_told_at_its_first_wrong_byte() {
        assert_eq!(error(b"GIF89a"), PngError::NoSignature);
        assert_eq!(error(b"\x89PNX"), PngError::NoSignature);
        assert_eq!(error(&[&SIGNATURE, b"\0\0\0\x01????".as_slice()].concat()), PngError::NoChunk);
        let mut splitter = split(&image(b"good"), 20).1;
        splitter.buffer().extend_from_slice(b"x");
        assert_eq!(splitter.next_image(), Err(PngError::NoSignature));
    }

    #[test]
    fn an_image_above_the_limit_is_refused_before_it_is_read() {
        let too_large = PngError::TooLarge { limit: 100 };
        assert_eq!(error(&[&SIGNATURE, b"\xff\xff\xff\xffIDAT".as_slice()].concat()), too_large);
        let many_small = [SIGNATURE.to_vec(), chunk(b"tEXt", b"").repeat(9)].concat();
        assert_eq!(error(&many_small), too_large);
        assert_eq!(split(&image(&[0; 5000]), 64).0.len(), 1);
    }
}
