//! A bare WebSocket: bytes without anything that says what they are, encrypts or checks them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use soketto::handshake::Server;
use soketto::handshake::server::Response;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// Bytes of one message: those of the longest that a relay sends.
const MESSAGE_BYTES: usize = 64 * 1024;

/// Serves WebSockets on loopback from here on, and says where: the asker's message is a number of bytes, and it gets as many.
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
    let mut server: Server<'_, Compat<TcpStream>> = Server::new(socket.compat());
    let key = server.receive_request().await?.key();
    server.send_response(&Response::Accept { key, protocol: None }).await?;
    let (mut sender, mut receiver) = server.into_builder().finish();
    let mut asked = Vec::new();
    loop {
        asked.clear();
        receiver.receive_data(&mut asked).await?;
        let length: usize = std::str::from_utf8(&asked)?.parse().context("a number of bytes")?;
        ensure!(length <= bytes.len(), "more than there is");
        for message in bytes[..length].chunks(MESSAGE_BYTES) {
            sender.send_binary(message).await?;
        }
        sender.flush().await?;
    }
}
