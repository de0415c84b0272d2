/** How the page speaks of an error: `code` picks the words, the client's own sentence stays as the detail. */
export interface Problem {
  code: string;
  title: string;
  detail: string;
  /** Whether it may pass by itself: then the page tries again when a relay is reached. */
  passing: boolean;
}

const TITLES: Record<string, string> = {
  "network/unreachable": "No relay can be reached just now",
  "network/timeout": "The relay took too long to answer",
  "relay/refused": "The relay declined to answer",
  "relay/broke-protocol": "The relay gave an answer that makes no sense",
  "package/not-found": "No such package",
  "version/not-found": "No such version",
  "version/contested": "Two releases claim to be this version",
  "version/retracted": "This version was retracted by its publisher",
  "package/withdrawn": "Its publisher withdrew all versions of this package",
  "query/too-long": "That is too long for a search",
  "query/too-many-words": "Those are too many words for a search",
  "name/invalid": "That is not a package name",
  "content/not-found": "Nobody has this content just now",
  "content/no-provider": "Nobody sends this content just now",
  "content/wrong-hash": "Refused: the content does not match its hash",
  "content/too-large": "Refused: the content is larger than its record says",
  "content/wrong-size": "Refused: the content has not the size that its record says",
  "client/bad-options": "The address of this page names no usable relay",
  "client/no-wasm": "The verifier could not be loaded",
};

/** Nobody can be asked, and what was answered before is shown. */
export const OFFLINE: Problem = {
  code: "network/unreachable",
  title: "No relay can be reached just now",
  detail: "This is what was verified in this browser before; there may be something newer.",
  passing: true,
};

/** Any thrown value; the client throws errors with a `code`. */
export function describeProblem(thrown: unknown): Problem {
  const code = codeOf(thrown);
  return {
    code,
    title: TITLES[code] ?? titleOfKind(code),
    detail: thrown instanceof Error ? thrown.message : String(thrown),
    passing: code.startsWith("network/") || code === "content/not-found" || code === "content/no-provider",
  };
}

function titleOfKind(code: string): string {
  if (isRefusal(code)) return "Refused: the record did not verify";
  // Often a clock that is wrong, there or here, which the sentence below it tells.
  if (code.startsWith("checkpoint/")) return "Refused: what the relay signed does not hold now";
  return "Something went wrong";
}

/** Whether verification failed, rather than the network. */
export function isRefusal(code: string): boolean {
  return code.startsWith("record/");
}

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : "client/internal";
}
