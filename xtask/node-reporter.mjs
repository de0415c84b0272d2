// A reporter for `node --test`: shows results line by line, and appends one line of JSON to the file that
// GGEN_TEST_REPORT names, so that xtask can compare what was declared with what ran.
import { appendFileSync } from "node:fs";
import { inspect } from "node:util";

export default async function* report(events) {
  const declared = [];
  const summary = { expected: 0, passed: [], failed: [], skipped: [] };
  let suites = 0;

  for await (const { type, data } of events) {
    const isFile = data.name !== undefined && data.name === data.file;
    if (type === "test:stdout" || type === "test:stderr") {
      yield data.message;
    } else if (type === "test:enqueue") {
      // Node itself wraps each file in a test of the file's name.
      if (!isFile) declared.push(data.name);
    } else if (type === "test:pass" || type === "test:fail") {
      if (data.details?.type === "suite") {
        suites += 1;
        continue;
      }
      if (isFile) {
        // Reported only if the file could not be run or declares nothing: both are faults.
        declared.push(data.name);
        summary.failed.push(data.name);
        yield `FAILED ${data.name}: ${type === "test:pass" ? "declares no test" : reason(data)}\n`;
      } else if (data.skip !== undefined || data.todo !== undefined) {
        summary.skipped.push(data.name);
        yield `skipped ${data.name}\n`;
      } else if (type === "test:pass") {
        summary.passed.push(data.name);
        yield `ok ${data.name} (${Math.round(data.details.duration_ms)} ms)\n`;
      } else {
        summary.failed.push(data.name);
        yield `FAILED ${data.name}: ${reason(data)}\n`;
      }
    }
  }

  summary.expected = declared.length - suites;
  if (process.env.GGEN_TEST_REPORT) appendFileSync(process.env.GGEN_TEST_REPORT, `${JSON.stringify(summary)}\n`);
}

function reason({ details }) {
  const error = details?.error?.cause ?? details?.error;
  return error?.stack ?? inspect(error);
}
