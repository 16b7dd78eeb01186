use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

const LONGEST: Duration = Duration::from_millis(500);
const MOST_BYTES: usize = 1 << 20;

/// Reads away what a client still sends after our last word. Closing a socket with bytes unread resets it, and the client might
/// never see that word, nor the acknowledgements before it.
pub(super) async fn linger(read: &mut (impl AsyncRead + Unpin)) {
    let mut waste = vec![0; 8 * 1024];
    let reading = async {
        let mut count = 0;
        while count < MOST_BYTES {
            match read.read(&mut waste).await {
                Ok(0) | Err(_) => break,
                Ok(more) => count += more,
            }
        }
    };
    let _ = tokio::time::timeout(LONGEST, reading).await;
}
