//! As much HTTP as it takes to ask a relay on this machine how it is.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A relay that takes longer to answer is not well.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The most that is read of an answer.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// The body of a successful answer to `GET path` from 127.0.0.1.
pub(super) fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // Version 1.0, so that the body ends with the connection and is never chunked.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    body(&String::from_utf8(answer).context("the answer is not UTF-8")?).map(str::to_owned)
}

fn body(answer: &str) -> Result<&str> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let status = head.split_whitespace().nth(1).context("the answer has no status")?;
    if status != "200" {
        bail!("the answer is {}", head.lines().next().unwrap_or(status));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_body_of_a_success_only() {
        assert_eq!(body("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap(), "{}");
        assert!(body("HTTP/1.0 503 Service Unavailable\r\n\r\nstarting").is_err());
        assert!(body("HTTP/1.0 200 OK\r\n").is_err());
    }
}
