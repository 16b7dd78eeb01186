//! Open files that go along with a request (`SCM_RIGHTS`): paths mean something else in a container, or where the service has a /tmp of
//! its own.

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

/// As many as a request may bring.
const MOST: usize = 2;

/// Writes `bytes`, the first of which carries the descriptors.
pub(super) fn send(mut stream: &UnixStream, bytes: &[u8], along: &[BorrowedFd]) -> std::io::Result<()> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(()) };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !along.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(along)) {
        return Err(std::io::Error::other("too many descriptors for one request"));
    }
    let first = [*first];
    retry_on_intr(|| sendmsg(stream, &[IoSlice::new(&first)], &mut ancillary, SendFlags::NOSIGNAL))?;
    stream.write_all(rest)
}

/// Reads the first byte, none at the end, with the descriptors that came along.
pub(super) fn receive(stream: &UnixStream) -> std::io::Result<(Vec<u8>, Vec<File>)> {
    let mut first = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| recvmsg(stream, &mut [IoSliceMut::new(&mut first)], &mut ancillary, RecvFlags::CMSG_CLOEXEC))?;
    let mut files = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            files.extend(descriptors.map(File::from));
        }
    }
    Ok((first.get(..received.bytes).unwrap_or_default().to_vec(), files))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};
    use std::os::fd::AsFd;

    #[test]
    fn an_open_file_goes_along_and_is_the_same_file_there() {
        let (one, mut other) = UnixStream::pair().unwrap();
        let path = std::env::temp_dir().join(format!("pescaia-along-{}", std::process::id()));
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        send(&one, b"request\n", &[file.as_fd()]).unwrap();
        let (first, mut along) = receive(&other).unwrap();
        assert_eq!((first.as_slice(), along.len()), (&b"r"[..], 1));
        along[0].write_all(b"written there").unwrap();
        let mut rest = [0; 7];
        other.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"equest\n");
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "written there");
        std::fs::remove_file(path).unwrap();
    }
}
