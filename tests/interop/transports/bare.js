// What the browser itself can do: a WebSocket and data channels without anything on them.
import { driver, timed, transfers, turn } from "./turn.js";

const BLOCK = new Uint8Array(64 * 1024);
/** A data channel is kept filled up to here; browsers close one of which more waits than 16 MB. */
const HIGH_WATER_BYTES = 1024 * 1024;

await turn(async ({ socket, volume, pings }) => {
  const open = socket !== undefined ? webSocket(socket) : await dataChannels(`${driver}/channels`);
  if (pings === undefined) return transfers(volume, async (up, down) => transfer(await open(), up, down));
  const { send, next } = await open();
  const took = [];
  for (let count = 0; count < pings; count += 1) {
    took.push(
      await timed(() => {
        send(BLOCK.subarray(0, 32));
        return next();
      }),
    );
  }
  return { pings: took };
});

function webSocket(url) {
  return async () => {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    await new Promise((done, fail) => Object.assign(socket, { onopen: done, onerror: fail }));
    return messages(socket);
  };
}

/** The same connection for all channels. */
async function dataChannels(url) {
  const connection = new RTCPeerConnection();
  const first = connection.createDataChannel("");
  await connection.setLocalDescription();
  await gathered(connection);
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(connection.localDescription) });
  await connection.setRemoteDescription(await answer.json());
  await new Promise((done) => (first.onopen = done));
  return async () => {
    const channel = connection.createDataChannel("");
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = HIGH_WATER_BYTES / 2;
    await new Promise((done) => (channel.onopen = done));
    return messages(channel);
  };
}

function gathered(connection) {
  return new Promise((done) => {
    const look = () => connection.iceGatheringState === "complete" && done();
    connection.onicegatheringstatechange = look;
    look();
  });
}

/** `send`, once there is room, and `next`, which gives the next message. */
function messages(line) {
  let wake = () => {};
  const waiting = [];
  line.onmessage = ({ data }) => {
    waiting.push(data);
    wake();
  };
  return {
    send: (message) => line.send(message),
    async room() {
      if ("bufferedAmountLowThreshold" in line && line.bufferedAmount >= HIGH_WATER_BYTES) {
        await new Promise((done) => (line.onbufferedamountlow = done));
      }
    },
    async next() {
      if (waiting.length === 0) await new Promise((done) => (wake = done));
      return waiting.shift();
    },
  };
}

async function transfer({ send, room, next }, up, down) {
  if (up > 0) {
    send(`put ${up}`);
    for (let left = up; left > 0; left -= BLOCK.length) {
      await room();
      send(BLOCK.subarray(0, left));
    }
    await next();
  } else {
    send(`get ${down}`);
    for (let left = down; left > 0; ) left -= (await next()).byteLength;
  }
}
