import type { Comparison, Difference, Excluded, Fault, SearchAnswer } from "@ggen/market-client";
import { formatBytes, plural, shortPeer } from "./format.ts";

/** What is known of an answer, never more: nothing but its relay's word until others were asked. */
export type ProofState = "comparing" | "one-word" | "complete" | "left-out" | "disputed";

/** What is known once the comparison is there, and before. */
export function stateOf(comparison: Comparison | undefined): ProofState {
  if (comparison === undefined) return "comparing";
  if (comparison.differ.some((difference) => !difference.explained)) return "disputed";
  if (leftOut(comparison).length > 0) return "left-out";
  return comparison.complete ? "complete" : "one-word";
}

/** The line that is always shown. */
export function headline(answer: SearchAnswer, comparison: Comparison | undefined): string {
  const recent = recentCount(answer);
  const agree = `${plural(agreeing(comparison), "relay")} agree`;
  const state = {
    comparing: "one relay’s word so far",
    "one-word": "one relay’s word",
    // Of what came since the checkpoint, nobody but the relay has said anything.
    complete: recent === 0 ? `complete: ${agree}` : `${agree} on all that is in their checkpoints`,
    "left-out": `${plural(leftOut(comparison).length, "package")} left out by the relay’s operator`,
    disputed: "disputed: relays differ",
  }[stateOf(comparison)];
  return recent === 0 ? state : `${state}; ${count(recent)} not yet in a checkpoint`;
}

/** What the state means, for somebody who reads the word for the first time. */
export function meaning(answer: SearchAnswer, comparison: Comparison | undefined): string {
  switch (stateOf(comparison)) {
    case "complete": {
      const others = agreeing(comparison) - 1;
      const commit = others === 1 ? "commits" : "commit";
      const but = comparison?.differ.length === 0 ? "" : ", except for what their operators exclude, which is listed below";
      const said = `${plural(others, "other relay")} that you or this page chose ${commit} to the same list${but}. If one of these ${count(others + 1)} relays is honest, nothing is missing from it.`;
      const since = "What is marked as not yet in a checkpoint is not part of that list: whether more came since is one relay’s word.";
      return recentCount(answer) === 0 ? said : `${said} ${since}`;
    }
    case "disputed":
      return "Relays show different lists. What only one of them has is named here: it was verified in this browser, and handed to the relay that lacks it.";
    case "left-out":
      return "The operator of the relay that was asked keeps something off its lists, and the relay says so. Another relay has it: it was verified in this browser, and is named here.";
    case "one-word":
      return "What is shown was verified in this browser. That nothing is missing is the word of one relay, bound by its signature: no other relay that you or this page chose said the same.";
    case "comparing":
      return "What is shown was verified in this browser. Other relays are being asked whether they have the same list.";
  }
}

/** How far the relay's proof goes. With several words or filters, entries that can match are more than packages that do. */
export function reach({ proof }: SearchAnswer): string {
  if (proof === undefined) return "Nothing can match this.";
  const proven = `proven in ${formatBytes(proof.bytes)}.`;
  if (proof.entries === 0) return `The relay’s catalogue has no entry that can match: ${proven}`;
  if (proof.walked < proof.entries) {
    return `The first ${count(proof.walked)} of ${count(proof.entries)} entries that can match were gone through, without a gap: ${proven}`;
  }
  const all = proof.entries === 1 ? "The one entry" : `All ${count(proof.entries)} entries`;
  return `${all} of the relay’s catalogue that can match ${proof.entries === 1 ? "was" : "were"} gone through, without a gap: ${proven}`;
}

/** With how many the list was compared, and how. Relays that nobody chose can show that something is missing; their agreement is not counted. */
export function comparedWith(comparison: Comparison): string {
  const { agree, silent } = comparison;
  const differ = differing(comparison);
  const asked = agree.length + differ.length + silent.length;
  if (asked === 0) return "No other relay that counts is connected.";
  const said = [
    ...(agree.length > 0 ? [`${count(agree.length)} the same${comparison.differ.length > differ.length ? ", but for what they leave out" : ""}`] : []),
    ...(differ.length > 0 ? [differ.length === 1 ? "1 another list" : `${count(differ.length)} other lists`] : []),
    ...(silent.length > 0 ? [`${count(silent.length)} did not say`] : []),
  ];
  return `Asked ${plural(asked, "other relay")} for the hash of all entries that can match, and for the entries where it differs: ${said.join(", ")}.`;
}

/** Those that differ by more than what they leave out of their own, which agree on the rest. */
export function differing({ agree, differ }: Comparison): Difference[] {
  return differ.filter(({ relay }) => !agree.includes(relay));
}

/** How what another relay has differs, in sentences; what it has more of is listed by name beside them. */
export function differences(difference: Difference, asked: string): string[] {
  const { lacks, outdated, hidden, excluded, unbacked, faults } = difference;
  const other = `Relay ${shortPeer(difference.relay)}`;
  const compared = `relay ${shortPeer(asked)}`;
  return [
    ...(lacks.length > 0 ? [`${other} lacks ${plural(lacks.length, "package")} of this list.`] : []),
    ...(outdated.length > 0 ? [`${other} has a later version of ${plural(outdated.length, "package")} of this list.`] : []),
    ...(hidden.length > 0 ? [`${plural(hidden.length, "package")} of them ${compared} holds too, and keeps off this list.`] : []),
    // What the relay that was asked leaves out is said once, whoever else has it.
    ...excluded.filter(({ relay }) => relay === difference.relay).map(exclusion),
    ...(unbacked > 0 ? [`For ${plural(unbacked, "place")} in its list ${compared} delivers no package.`] : []),
    ...faults.map((fault) => `Relay ${shortPeer(fault.relay)} ${misdeed(fault)}: proven by what it signed.`),
  ];
}

/** What the relay that was asked leaves out, and says so: each once. */
export function leftOut(comparison: Comparison | undefined): Excluded[] {
  const all = (comparison?.differ ?? []).flatMap(({ relay, excluded }) => excluded.filter((one) => one.relay !== relay));
  return [...new Map(all.map((one) => [one.release.id, one])).values()];
}

/** What a relay says that it leaves out, and why. */
export function exclusion({ relay, release, reason }: Excluded): string {
  const said = reason === "" ? "and gives no reason" : `and says why: “${reason}”`;
  return `The operator of relay ${shortPeer(relay)} keeps ${release.name} ${release.version} off its lists, ${said}.`;
}

/** What a relay does that breaks the rules, as what follows its name. */
export function misdeed(fault: Fault): string {
  return MISDEEDS[fault.code] ?? `broke a rule (${fault.code})`;
}

const MISDEEDS: Record<string, string> = {
  "relay/two-roots": "signed two different states of everything for the same minute",
  "relay/missing-entry": "leaves out a package that it holds",
  "relay/false-filter": "lists a package under false marks",
  "relay/wrong-entry": "lists a package where it does not belong",
  "relay/stale-entry": "lists another version of a package than its newest",
  "relay/missing-version": "leaves a version out of a package’s versions",
  "relay/unheeded-status": "does not heed what a publisher says of a version",
  "relay/void-release": "keeps a release that its publisher’s new key made void",
};

/** What was published since the relay last committed itself. */
export function sinceCheckpoint(answer: SearchAnswer): string | undefined {
  const recent = recentCount(answer);
  if (recent === 0) return undefined;
  return `${plural(recent, "package")} came since the relay last signed what it has, which it does once a minute: verified, but not part of the proof yet.`;
}

function recentCount({ hits }: SearchAnswer): number {
  return hits.filter((hit) => hit.status === "verified" && !hit.inCheckpoint).length;
}

/** The relay that answered is one of those that agree. */
function agreeing(comparison: Comparison | undefined): number {
  return (comparison?.agree.length ?? 0) + 1;
}

const count = (number: number) => number.toLocaleString("en");
