import { goOn } from "./turn.js";

await goOn();
