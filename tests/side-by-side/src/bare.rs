//! A bare WebSocket: bytes without anything that says what they are, encrypts or checks them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use soketto::handshake::Server;
use soketto::handshake::server::Response;
use soketto::{Incoming, Receiver, Sender};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// Bytes of one message: those of the longest that a relay sends.
const MESSAGE_BYTES: usize = 64 * 1024;

type Socket = Compat<TcpStream>;

/// Serves WebSockets on loopback from here on, and says where. Text is what the asker wants: with `get` and a number it gets as many
/// bytes, with `put` and a number it sends as many and is told when all are there. Any other message it gets back.
///
/// # Errors
/// No port is free.
pub async fn serve(bytes: Arc<[u8]>) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                // A page that is closed ends it.
                _ = answer(socket, &bytes).await;
            });
        }
    });
    Ok(address)
}

async fn answer(socket: TcpStream, bytes: &[u8]) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut server: Server<'_, Socket> = Server::new(socket.compat());
    let key = server.receive_request().await?.key();
    server.send_response(&Response::Accept { key, protocol: None }).await?;
    let (mut sender, mut receiver) = server.into_builder().finish();
    let mut message = Vec::new();
    loop {
        message.clear();
        match receiver.receive(&mut message).await? {
            Incoming::Data(kind) if kind.is_text() => {
                let text = std::str::from_utf8(&message)?;
                let (verb, number) = text.split_once(' ').context("a verb and a number")?;
                let length: usize = number.parse().context("a number of bytes")?;
                match verb {
                    "get" => send(&mut sender, bytes.get(..length).context("more than there is")?).await?,
                    "put" => take(&mut receiver, &mut sender, length).await?,
                    _ => bail!("an unknown verb"),
                }
            }
            Incoming::Data(_) => sender.send_binary(&message).await?,
            Incoming::Pong(_) => {}
            Incoming::Closed(_) => return Ok(()),
        }
        sender.flush().await?;
    }
}

async fn send(sender: &mut Sender<Socket>, bytes: &[u8]) -> Result<()> {
    for message in bytes.chunks(MESSAGE_BYTES) {
        sender.send_binary(message).await?;
    }
    Ok(())
}

async fn take(receiver: &mut Receiver<Socket>, sender: &mut Sender<Socket>, length: usize) -> Result<()> {
    let mut message = Vec::new();
    let mut taken = 0;
    while taken < length {
        message.clear();
        receiver.receive_data(&mut message).await?;
        ensure!(!message.is_empty(), "a message without bytes");
        taken += message.len();
    }
    Ok(sender.send_text("all").await?)
}
