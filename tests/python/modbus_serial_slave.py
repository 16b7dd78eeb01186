"""A pymodbus RTU slave on a serial line (argument 1), unit 3, with 2.608 as CDAB at holding 106; serves until it is killed."""
import asyncio
import sys

from pymodbus import FramerType
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusSerialServer


async def main():
    holding = [0] * 120
    holding[106:108] = [0xE979, 0x4026]
    # pymodbus counts its blocks from 1.
    device = ModbusDeviceContext(hr=ModbusSequentialDataBlock(1, holding))
    context = ModbusServerContext(devices={3: device}, single=False)
    server = ModbusSerialServer(context, framer=FramerType.RTU, port=sys.argv[1], baudrate=19200, timeout=0.05)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
