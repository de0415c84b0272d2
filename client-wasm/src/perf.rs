//! What `cargo xtask bench transports` measures of this client's streams. The module that is shipped is built without it.

use futures::{AsyncReadExt, AsyncWriteExt};
use js_sys::Float64Array;
use libp2p::PeerId;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::client::Client;
use crate::error::Error;
use crate::options::whole;

const PERF: &str = "/perf/1.0.0";
const PING: &str = "/ipfs/ping/1.0.0";
const PING_BYTES: usize = 32;

/// Bytes that are read or written at once.
const BLOCK_BYTES: usize = 64 * 1024;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn milliseconds() -> f64;
}

#[wasm_bindgen]
impl Client {
    /// `Promise<void>`: sends so many bytes to a connected peer and gets so many, on one stream of libp2p's
    /// [perf protocol](https://github.com/libp2p/specs/blob/master/perf/perf.md).
    pub async fn transfer(&self, peer: String, up: f64, down: f64) -> Result<(), Error> {
        let (Some(mut up), Some(down)) = (whole(up), whole(down)) else {
            return Err(Error::bad_options("up and down are whole numbers of bytes"));
        };
        let mut stream = self.registry().await?.peer().open(peer_id(&peer)?, PERF).await.map_err(failed)?;
        let mut block = vec![0; BLOCK_BYTES];
        stream.write_all(&down.to_be_bytes()).await.map_err(failed)?;
        while up > 0 {
            let length = up.min(BLOCK_BYTES as u64);
            stream.write_all(&block[..length as usize]).await.map_err(failed)?;
            up -= length;
        }
        stream.close().await.map_err(failed)?;
        let mut received = 0;
        loop {
            match stream.read(&mut block).await.map_err(failed)? {
                0 if received == down => return Ok(()),
                0 => return Err(failed(format!("{received} of {down} bytes came"))),
                length => received += length as u64,
            }
        }
    }

    /// `Promise<Float64Array>`: the milliseconds of so many pings of a connected peer, one after the other on one stream.
    pub async fn pings(&self, peer: String, count: usize) -> Result<Float64Array, Error> {
        let mut stream = self.registry().await?.peer().open(peer_id(&peer)?, PING).await.map_err(failed)?;
        let (sent, mut came) = ([7; PING_BYTES], [0; PING_BYTES]);
        let mut took = Vec::new();
        for _ in 0..count {
            let begun = milliseconds();
            stream.write_all(&sent).await.map_err(failed)?;
            stream.flush().await.map_err(failed)?;
            stream.read_exact(&mut came).await.map_err(failed)?;
            took.push(milliseconds() - begun);
        }
        Ok(took.as_slice().into())
    }
}

fn peer_id(peer: &str) -> Result<PeerId, Error> {
    peer.parse().map_err(|_| Error::bad_options("the peer is not a peer id"))
}

fn failed(reason: impl ToString) -> Error {
    Error::internal(reason.to_string())
}
