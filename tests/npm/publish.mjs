// Publishes numbered levels with QoS 1 through a link that may be cut, and prints how many were acknowledged, how often it connected and
// how many publishes it gave back.
// Arguments: port, first second, how many, protocol version (4 is 3.1.1, or 5).
import mqtt from "mqtt";

const [port, start, count, version] = process.argv.slice(2).map(Number);
const client = mqtt.connect({
    host: "127.0.0.1",
    port,
    protocolVersion: version,
    clientId: `npm-${version}`,
    clean: false,
    properties: version === 5 ? { sessionExpiryInterval: 3600 } : undefined,
    username: "prova",
    password: "prova",
    reconnectPeriod: 50,
});
let connected = 0;
client.on("connect", () => connected++);
// A cut link is one; it connects again by itself.
client.on("error", () => {});
// What was handed over while it sent its backlog again, and was cut off once more, it gives back as failed: that is published anew.
let failed = 0;
async function deliver(payload) {
    for (;;) {
        try {
            return await client.publishAsync("pescaia/v1/demo/prova", payload, { qos: 1 });
        } catch {
            failed++;
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    }
}
const sent = [];
for (let number = 0; number < count; number++) {
    const payload = JSON.stringify({ time: start + number, values: { level: number / 1000 } });
    sent.push(deliver(payload));
    await new Promise((resolve) => setTimeout(resolve, 2));
}
await Promise.all(sent);
console.log(sent.length, connected, failed);
await client.endAsync();
