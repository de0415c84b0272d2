// Chromium as it is to become: it refuses an offer in which a page has edited the ICE credentials.
import assert from "node:assert/strict";
import { test } from "node:test";
import { useBrowser } from "./support/browser.mjs";
import { openOwnPage } from "./support/own-page.mjs";
import { Relay } from "./support/relay.mjs";
import { watchRtc } from "./support/rtc.mjs";

useBrowser("--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/");

test("version 2 of webrtc-direct connects in a browser that refuses the edited offer of version 1", async (t) => {
  const relay = await Relay.start(t);
  const options = { relays: [relay.address("webrtc-direct")], discover: false };
  const { page, ask } = await openOwnPage(t, options, 1, (page) => page.addInitScript(watchRtc));
  assert.deepEqual(await page.evaluate(() => globalThis.dialed), ["v2"]);
  const { value } = await ask("search", "");
  assert.equal(value.relay, relay.peerId);
  assert.ok(await page.evaluate(refusesEditedOffer), "the browser is such a one");
});

/** Runs in the page. */
async function refusesEditedOffer() {
  const connection = new RTCPeerConnection();
  connection.createDataChannel("");
  const { type, sdp } = await connection.createOffer();
  try {
    await connection.setLocalDescription({ type, sdp: sdp.replace(/^a=ice-ufrag:.*$/m, "a=ice-ufrag:libp2p+webrtc+v1/0123456789") });
    return false;
  } catch {
    return true;
  } finally {
    connection.close();
  }
}
