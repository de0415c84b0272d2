/**
 * Runs in a page before all else: counts the data channels of both sides, opened ever and open at a time, and notes by which versions of
 * WebRTC-direct peers are dialed. To one of them, `silent`, no peer answers, as if it spoke only the other.
 */
export function watchRtc(silent) {
  const channels = (globalThis.channels = { opened: 0, open: 0, most: 0 });
  const dialed = (globalThis.dialed = []);
  const count = (channel) => {
    channels.opened += 1;
    channels.open += 1;
    channels.most = Math.max(channels.most, channels.open);
    channel.addEventListener("close", () => (channels.open -= 1));
  };
  const { createDataChannel, setRemoteDescription } = RTCPeerConnection.prototype;
  const watched = new WeakSet();
  RTCPeerConnection.prototype.createDataChannel = function (...of) {
    if (!watched.has(this)) this.addEventListener("datachannel", ({ channel }) => count(channel));
    watched.add(this);
    const channel = createDataChannel.apply(this, of);
    count(channel);
    return channel;
  };
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const [, version] = /^a=ice-ufrag:libp2p\+webrtc\+(v\d)\//m.exec(sdp);
    dialed.push(version);
    // A port that nobody listens on.
    if (version === silent) sdp = sdp.replace(/ \d+ typ host/, " 9 typ host");
    return setRemoteDescription.call(this, { type, sdp });
  };
}
