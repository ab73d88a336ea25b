//! Output of programs, line by line.

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Maximum length of a line in bytes; longer lines are passed on in parts.
const MAX_LINE: usize = 8 * 1024;

/// Passes each line of a pipe to `take`, until its end. Bytes that are not UTF-8
/// are replaced instead of ending the loop, because a pipe that is not read to its
/// end would kill or block its writer.
pub(crate) async fn each_line(pipe: impl AsyncRead + Unpin, mut take: impl FnMut(String)) {
    let mut reader = BufReader::new(pipe);
    let mut line: Vec<u8> = Vec::new();
    let text = |line: &mut Vec<u8>| {
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let text = String::from_utf8_lossy(line).into_owned();
        line.clear();
        text
    };
    while let Ok(part) = reader.fill_buf().await {
        if part.is_empty() {
            break;
        }
        let part = part.get(..MAX_LINE - line.len()).unwrap_or(part);
        let end = part.iter().position(|b| *b == b'\n');
        let length = end.unwrap_or(part.len());
        line.extend_from_slice(part.get(..length).unwrap_or_default());
        reader.consume(length + usize::from(end.is_some()));
        if end.is_some() || line.len() == MAX_LINE {
            take(text(&mut line));
        }
    }
    if !line.is_empty() {
        take(text(&mut line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        each_line(bytes, |line| all.push(line)).await;
        all
    }

    #[tokio::test]
    async fn any_bytes_are_read_to_the_end() {
        assert_eq!(read(b"a\n\nb\r\nc").await, ["a", "", "b", "c"]);
        let bytes = b"a\xff\xfe\0\nnext\n";
        assert_eq!(read(bytes).await, ["a\u{fffd}\u{fffd}\0", "next"]);
        assert!(read(b"").await.is_empty());
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_passed_on_in_parts() {
        let mut bytes = vec![b'x'; 3 * MAX_LINE + 1];
        bytes.extend_from_slice(b"\nlast\n");
        let lengths: Vec<usize> = read(&bytes).await.iter().map(String::len).collect();
        assert_eq!(lengths, [MAX_LINE, MAX_LINE, MAX_LINE, 1, 4]);
        // A line of exactly this length is followed by its end.
        let mut bytes = vec![b'x'; MAX_LINE];
        bytes.extend_from_slice(b"\nlast");
        assert_eq!(read(&bytes).await.concat().len(), MAX_LINE + 4);
    }
}
