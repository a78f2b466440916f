// A host in Node that reports through the agent. It needs no package.
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { createInterface } from "node:readline/promises";

function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": "application/json" };
    const options = { socketPath: process.env.ROLLCALL_SOCKET, method, path, headers, timeout: 10_000 };
    const sent = request(options, async (response) => {
      const chunks = await response.setEncoding("utf8").toArray();
      const answer = JSON.parse(chunks.join(""));
      response.statusCode === 200 ? resolve(answer) : reject(new Error(`${method} ${path}: ${answer.error}`));
    });
    sent.on("timeout", () => sent.destroy(new Error("the agent does not answer")));
    sent.on("error", reject).end(body && JSON.stringify(body));
  });
}

async function start() {
  await ask("PUT", "/v1/host", { version: "1.2.3" });
  await ask("PUT", "/v1/facts", { store: "sqlite", tls: true, users: 42 });
  if ((await ask("GET", "/v1/consent")).telemetry.state !== "unset") return;
  for (const { name, value, reason } of (await ask("GET", "/v1/preview")).fields) console.log(name, "=", value, "-", reason);
  console.log("Report this once a day, and codes of what fails? y or n:");
  const { value: answer } = await createInterface(process.stdin)[Symbol.asyncIterator]().next();
  if (["y", "n"].includes(answer)) await ask("POST", "/v1/consent", { telemetry: answer === "y", health: answer === "y" });
}

try {
  await start(); // and go on without telemetry if that fails
  await readFile("missing.db").catch(() => // the work of the host
    ask("POST", "/v1/faults", { source: "startup", component: "storage", reason: "open-failed" }));
} catch (error) {
  console.error("telemetry:", error.message);
}
process.stdin.destroy();
