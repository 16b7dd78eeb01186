// A modbus-serial slave, unit 7: 2.608 as CDAB at holding 106; every third answer takes `slow` ms; what is not there is exception 2.
// Arguments: port (0 for any), slow. Prints its port, serves until it is killed.
import modbus from "modbus-serial";
import { once } from "node:events";
import { createServer } from "node:net";

const [wanted, slow] = process.argv.slice(2).map(Number);
const words = new Map([[106, 0xe979], [107, 0x4026]]);
let asked = 0;

function answer(found, say) {
    if (found.includes(undefined)) {
        say(Object.assign(new Error("no such register"), { modbusErrorCode: 2 }));
        return;
    }
    asked += 1;
    setTimeout(() => say(null, found.length === 1 ? found[0] : found), asked % 3 === 0 ? slow : 0);
}

// One register and several are two questions to modbus-serial; it looks at the number of parameters.
const unit = {
    getHoldingRegister: (address, _unit, say) => answer([words.get(address)], say),
    getMultipleHoldingRegisters: (address, length, _unit, say) =>
        answer(Array.from({ length }, (_, place) => words.get(address + place)), say),
};
// To modbus-serial port 0 is 502.
const free = createServer().listen(wanted, "127.0.0.1");
await once(free, "listening");
const { port } = free.address();
free.close();
await once(free, "close");
const server = new modbus.ServerTCP(unit, { host: "127.0.0.1", port, unitID: 7 });
server.on("initialized", () => console.log(port));
server.on("socketError", () => {});
