"""A pymodbus TCP slave, unit 1, with 2.608 in every byte order; prints its port and serves until it is killed."""
import asyncio
import socket
import sys

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer


def block(words):
    # pymodbus counts its blocks from 1.
    return ModbusSequentialDataBlock(1, words)


async def main():
    port = int(sys.argv[1])
    if port == 0:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    holding = [0] * 20
    holding[0:2] = [0x4026, 0xE979]
    holding[2:4] = [0xE979, 0x4026]
    holding[8] = 2608
    holding[9:11] = [0, 2608]
    inputs = [0] * 20
    inputs[4:6] = [0x2640, 0x79E9]
    inputs[6:8] = [0x79E9, 0x2640]
    bits = [0, 0, 0, 1, 0, 0, 0, 0]
    device = ModbusDeviceContext(di=block(bits), co=block(bits), hr=block(holding), ir=block(inputs))
    server = ModbusTcpServer(ModbusServerContext(devices={1: device}, single=False), address=("127.0.0.1", port))
    print(port, flush=True)
    await server.serve_forever()


asyncio.run(main())
