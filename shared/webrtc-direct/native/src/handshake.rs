//! From the first datagram to a connection of which it is known whose it is.

use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use libp2p::PeerId;
use libp2p::identity::Keypair;
use libp2p_webrtc_utils::{Fingerprint, noise};
use tokio::net::UdpSocket;
use webrtc_direct::ufrag::{self, UserName, Version};

use crate::clock;
use crate::connection::Connection;
use crate::driver::{Driver, Path, lock};
use crate::error::Error;
use crate::ice::Ice;
use crate::limits::HANDSHAKE_TIMEOUT;
use crate::port::Newcomer;
use crate::session::{Config, Role, Session};

type Outcome = Result<(PeerId, Connection), Error>;

/// Goes on with who has begun.
pub(crate) async fn accept(config: Arc<Config>, keypair: Keypair, newcomer: Newcomer) -> Outcome {
    let Newcomer { remote, name, arrivals, place } = newcomer;
    in_time(async move {
        let name = UserName::parse(name.as_bytes())?;
        let driver = driver(&config, Role::Server, &name, remote, Path::Shared { place, arrivals })?;
        let mut connection = Connection::new(driver);
        let client = established(&mut connection).await?;
        let stream = connection.handshake_stream();
        let noise = noise::inbound(keypair, stream, client, config.fingerprint());
        let peer = connection.until(noise).await??;
        connection.driver().authenticate();
        Ok((peer, connection))
    })
    .await
}

/// Begins.
pub(crate) async fn dial(
    config: Arc<Config>,
    keypair: Keypair,
    version: Version,
    remote: SocketAddr,
    server: Fingerprint,
) -> Outcome {
    in_time(async move {
        let any = if remote.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
        let socket = UdpSocket::bind::<SocketAddr>(any).await?;
        socket.connect(remote).await?;
        let name = match version {
            Version::One => {
                let shared = ufrag::shared(&clock::random_text::<32>())?;
                format!("{shared}:{shared}")
            }
            Version::Two => {
                let server = ufrag::server(&clock::random_text::<32>())?;
                format!("{server}:{}", clock::random_text::<16>())
            }
        };
        let name = UserName::parse(name.as_bytes())?;
        let driver = driver(&config, Role::Client, &name, remote, Path::Own(Arc::new(socket)))?;
        let mut connection = Connection::new(driver);
        if established(&mut connection).await? != server {
            return Err(Error::WrongCertificate);
        }
        let stream = connection.handshake_stream();
        let noise = noise::outbound(keypair, stream, server, config.fingerprint());
        let peer = connection.until(noise).await??;
        Ok((peer, connection))
    })
    .await
}

fn driver(
    config: &Arc<Config>,
    role: Role,
    name: &UserName<'_>,
    remote: SocketAddr,
    path: Path,
) -> Result<Driver, Error> {
    let now = clock::now();
    let session = Session::new(config.clone(), role, now)?;
    let ice = Ice::new(role, name, remote, u64::from_ne_bytes(clock::random()), now);
    Ok(Driver::new(session, ice, path))
}

/// Waits until channels can be used, and returns the SHA-256 of the peer's certificate.
async fn established(connection: &mut Connection) -> Result<Fingerprint, Error> {
    connection.until_established().await?;
    lock(connection.driver().session()).peer().ok_or(Error::WrongCertificate)
}

async fn in_time(handshake: impl Future<Output = Outcome>) -> Outcome {
    tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await.unwrap_or(Err(Error::Timeout))
}
