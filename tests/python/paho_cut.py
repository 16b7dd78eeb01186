"""Publishes numbered levels with paho through a proxy that cuts the link now and then; prints how many were acknowledged."""
import json
import socket
import sys
import threading
import time

import paho.mqtt.client as mqtt

door, start, count = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
pairs = []


def pump(source, sink):
    try:
        while data := source.recv(4096):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.close()
        except OSError:
            pass


def proxy(listener):
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", door))
        pairs.append((client, server))
        for ends in ((client, server), (server, client)):
            threading.Thread(target=pump, args=ends, daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=proxy, args=(listener,), daemon=True).start()

acked = set()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho-1", clean_session=False)
client.username_pw_set("prova", "prova")
client.reconnect_delay_set(min_delay=0.1, max_delay=0.2)
client.max_inflight_messages_set(20)
client.on_publish = lambda _c, _u, mid, _r, _p: acked.add(mid)
client.connect("127.0.0.1", listener.getsockname()[1], keepalive=10)
client.loop_start()
for number in range(count):
    client.publish("pescaia/v1/demo/prova", json.dumps({"time": start + number, "values": {"level": number / 1000}}), qos=1)
    if number % 150 == 100:
        time.sleep(0.05)
        for sockets in pairs:
            for end in sockets:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
deadline = time.time() + 30
while len(acked) < count and time.time() < deadline:
    time.sleep(0.05)
client.loop_stop()
print(len(acked))
