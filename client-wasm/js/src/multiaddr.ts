/** Only as much of multiaddrs as is needed before the wasm module, which parses them fully, sees them. */

/** Whether an address names "any interface" (`0.0.0.0`, `::`): a listener's word for itself, never a place to dial. */
export function isUnspecified(address: string): boolean {
  const parts = address.split("/");
  return parts.some((part, index) => {
    const value = parts[index + 1] ?? "";
    if (part === "ip4") return value.startsWith("0.");
    return part === "ip6" && isUnspecifiedIp6(value);
  });
}

/** The URL parser brings the many spellings of an IPv6 address to one. */
function isUnspecifiedIp6(value: string): boolean {
  const url = `http://[${value}]/`;
  if (!URL.canParse(url)) return false;
  const canonical = new URL(url).hostname;
  return canonical === "[::]" || canonical === "[::ffff:0:0]";
}

/** Whether an address ends in the given peer's id: then the handshake proves that this very relay was reached. */
export function endsInPeer(address: string, peerId: string): boolean {
  return address.startsWith("/") && address.endsWith(`/p2p/${peerId}`);
}
