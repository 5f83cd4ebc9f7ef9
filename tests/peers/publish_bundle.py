"""Serves a bundle to a device over the broker by the recipes of MQTT.md, until its standard input ends.

    publish_bundle.py MQTT.md PORT DEVICE BUNDLE KIND

Prints the parameters of `model_update` on a line, and then one line for each piece: how many bytes were sent so far. KIND
is `honest`, `twice` (each piece is sent two times) or `spoiled` (a byte of chunk 3 is another one).
"""

import json, re, sys
import paho.mqtt.client as mqtt

contract, port, device, bundle, kind = sys.argv[1:6]
recipes = re.findall(r"```python\n(.*?)```", open(contract).read(), re.S)
exec(next(text for text in recipes if "def serve(" in text))
sent = 0


class Client(mqtt.Client):
    def publish(self, topic, payload, **more):
        global sent
        if kind == "spoiled" and topic.endswith("/data/3"):
            payload = bytes([payload[0] ^ 1]) + payload[1:]
        for _ in range(2 if kind == "twice" else 1):
            sent += len(payload)
            super().publish(topic, payload, **more)
        print(sent, flush=True)


client = Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.connect("127.0.0.1", int(port))
client.loop_start()
print(json.dumps(serve(client, device, bundle)), flush=True)
sys.stdin.read()
