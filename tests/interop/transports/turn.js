// A page has one turn: its address tells the task, so that nothing has to be asked for before it begins.
const address = new URL(location.href).searchParams;
export const driver = address.get("driver");

/** Does this page's task, tells what came of it, and goes on to the next one's page. */
export async function turn(perform) {
  const told = await perform(JSON.parse(address.get("task"))).catch((error) => ({ fault: String(error?.stack ?? error) }));
  await fetch(driver, { method: "POST", body: JSON.stringify(told) });
  await goOn();
}

export async function goOn() {
  const task = await (await fetch(driver)).json();
  location.replace(`${task.page}.html?${new URLSearchParams({ driver, task: JSON.stringify(task) })}`);
}

/** Milliseconds that something takes. */
export async function timed(work) {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** Moves so many bytes by `transfer(up, down)`: on one stream, and shared by some streams at once. Puts the milliseconds of each into `told`. */
export async function transfers({ bytes, streams }, transfer, told = {}) {
  const several = (up, down) => Promise.all(Array.from({ length: streams }, () => transfer(up / streams, down / streams)));
  told.down = await timed(() => transfer(0, bytes));
  told.up = await timed(() => transfer(bytes, 0));
  told["down in parallel"] = await timed(() => several(0, bytes));
  told["up in parallel"] = await timed(() => several(bytes, 0));
  return told;
}
