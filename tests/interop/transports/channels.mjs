// Bare data channels, by libdatachannel, which is no part of ours: a channel's text says what its asker wants, as a bare WebSocket's does.
import { PeerConnection } from "node-datachannel";

const BLOCK = Buffer.alloc(64 * 1024);
/** A channel is kept filled up to here. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** Answers a page's offer, and serves its channels for as long as the page is there. */
export function answer(offer) {
  const connection = new PeerConnection("bare", { iceServers: [], enableIceUdpMux: false });
  connection.onDataChannel(serve);
  connection.onStateChange((state) => ["failed", "disconnected"].includes(state) && connection.close());
  const answered = new Promise((done) =>
    connection.onGatheringStateChange((state) => state === "complete" && done(connection.localDescription())),
  );
  connection.setRemoteDescription(offer.sdp, offer.type);
  return answered;
}

function serve(channel) {
  let left = 0;
  channel.setBufferedAmountLowThreshold(HIGH_WATER_BYTES / 2);
  const send = () => {
    while (left > 0 && channel.bufferedAmount() < HIGH_WATER_BYTES) {
      channel.sendMessageBinary(BLOCK.subarray(0, left));
      left -= Math.min(left, BLOCK.length);
    }
  };
  channel.onBufferedAmountLow(send);
  let expected = 0;
  channel.onMessage((message) => {
    if (typeof message === "string") {
      const [verb, number] = message.split(" ");
      if (verb === "put") return void (expected = Number(number));
      left = Number(number);
      send();
    } else if ((expected -= message.byteLength) === 0) {
      channel.sendMessage("all");
    }
  });
}
